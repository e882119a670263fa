import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Patch,
  Query,
  UseGuards,
} from '@nestjs/common';
import { RowIdsPipe } from '../http/row-ids.pipe.js';
import { ShortTextPipe } from '../http/short-text.pipe.js';
import { RowId } from '../http/whole-number.pipe.js';
import { Permission } from '../permissions/permission.contract.js';
import { Needs, PermissionGuard } from '../permissions/permission.guard.js';
import { CatalogService } from './catalog.service.js';
import { ProductNotFound } from './product-not-found.js';
import type { Product } from './product.contract.js';

@Controller()
@UseGuards(PermissionGuard)
export class CatalogController {
  constructor(private readonly catalog: CatalogService) {}

  @Get('products')
  findMany(@Query('ids', RowIdsPipe) ids: number[]): Promise<(Product | null)[]> {
    return this.catalog.findMany(ids);
  }

  @Get('products/:id')
  async find(@Param('id', RowId) id: number): Promise<Product> {
    const product = await this.catalog.find(id);
    if (product === null) throw new ProductNotFound(id);
    return product;
  }

  @Get('products/:id/price')
  async price(@Param('id', RowId) id: number): Promise<{ cents: number }> {
    return { cents: await this.catalog.price(id) };
  }

  @Patch('products/:id')
  @Needs(Permission.EditCatalog)
  retitle(
    @Param('id', RowId) id: number,
    @Body('title', ShortTextPipe) title: string,
  ): Promise<Product> {
    return this.catalog.retitle(id, title);
  }

  @Delete('products/:id')
  @HttpCode(204)
  @Needs(Permission.EditCatalog)
  discontinue(@Param('id', RowId) id: number): Promise<void> {
    return this.catalog.discontinue(id);
  }

  @Patch('categories/:category')
  @HttpCode(204)
  @Needs(Permission.EditCatalog)
  renameCategory(
    @Param('category', ShortTextPipe) category: string,
    @Body('name', ShortTextPipe) name: string,
  ): Promise<void> {
    return this.catalog.renameCategory(category, name);
  }
}
