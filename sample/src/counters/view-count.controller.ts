import { Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { RowId } from '../http/whole-number.pipe.js';
import { ViewCountService } from './view-count.service.js';

@Controller('products/:id/views')
export class ViewCountController {
  constructor(private readonly views: ViewCountService) {}

  @Get()
  async count(@Param('id', RowId) id: number): Promise<{ views: number }> {
    return { views: await this.views.count(id) };
  }

  @Post()
  @HttpCode(204)
  add(@Param('id', RowId) id: number): Promise<void> {
    return this.views.add(id);
  }
}
