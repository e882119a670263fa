import { Controller, Get, HttpCode, Param, Post, Put, UseGuards } from '@nestjs/common';
import { bypass, OverrideStrategy, writeThrough, type Receipt } from 'nestjs-cache-contract';
import { RowId, WholeNumberPipe } from '../http/whole-number.pipe.js';
import { Permission } from '../permissions/permission.contract.js';
import { Needs, PermissionGuard } from '../permissions/permission.guard.js';
import { ViewCounts } from './view-count.contract.js';
import { ViewCountService } from './view-count.service.js';

@Controller('products/:id/views')
export class ViewCountController {
  constructor(private readonly views: ViewCountService) {}

  @Get()
  async count(@Param('id', RowId) id: number): Promise<{ views: number }> {
    return { views: await this.views.count(id) };
  }

  /** Accepted, not written yet: the receipt says what keeps it until then. */
  @Post()
  @HttpCode(202)
  async view(@Param('id', RowId) id: number): Promise<Receipt | undefined> {
    const { receipt } = await this.views.view(id);
    return receipt;
  }

  /** Whoever takes out what a crawler has counted wants to know that it is done. */
  @Put(':views')
  @HttpCode(204)
  @UseGuards(PermissionGuard)
  @Needs(Permission.EditCatalog)
  @OverrideStrategy(ViewCounts, { read: bypass(), write: writeThrough() })
  async correct(
    @Param('id', RowId) id: number,
    @Param('views', new WholeNumberPipe(0, Number.MAX_SAFE_INTEGER)) views: number,
  ): Promise<void> {
    await this.views.correct(id, views);
  }
}
