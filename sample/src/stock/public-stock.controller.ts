import { Controller, Get, Param } from '@nestjs/common';
import { acceptStale, OverrideStrategy } from 'nestjs-cache-contract';
import { RowId } from '../http/whole-number.pipe.js';
import { Stock } from './stock.contract.js';
import { StockService } from './stock.service.js';

/**
 * For crawlers and for sites that compare shops. They ask for everything at all times and would not notice ten minutes,
 * so they are answered at once, from the entries that the basket reads too.
 */
@Controller('public/products/:id/availability')
@OverrideStrategy(Stock, { read: acceptStale('10m') })
export class PublicStockController {
  constructor(private readonly stock: StockService) {}

  @Get()
  async available(@Param('id', RowId) id: number): Promise<{ available: boolean }> {
    return { available: (await this.stock.left(id)) > 0 };
  }
}
