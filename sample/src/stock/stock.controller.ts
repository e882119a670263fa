import { Controller, Get, Param } from '@nestjs/common';
import { RowId } from '../http/whole-number.pipe.js';
import { StockService } from './stock.service.js';

/** For the basket: what the contract says. */
@Controller('products/:id/stock')
export class StockController {
  constructor(private readonly stock: StockService) {}

  @Get()
  async left(@Param('id', RowId) id: number): Promise<{ left: number }> {
    return { left: await this.stock.left(id) };
  }
}
