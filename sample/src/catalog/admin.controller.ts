import { Controller, Get, Param, UseGuards } from '@nestjs/common';
import { bypass, OverrideStrategy } from 'nestjs-cache-contract';
import { RowId } from '../http/whole-number.pipe.js';
import { Permission } from '../permissions/permission.contract.js';
import { Needs, PermissionGuard } from '../permissions/permission.guard.js';
import { CatalogService } from './catalog.service.js';
import { ProductNotFound } from './product-not-found.js';
import type { Product } from './product.contract.js';

/**
 * Who looks here wants to see what is in the database. Of all entities, so the guard does not go by a permission that
 * is cached either; and what is cached for everybody else stays as it is.
 */
@Controller('admin/products')
@UseGuards(PermissionGuard)
@OverrideStrategy({ read: bypass() })
export class AdminController {
  constructor(private readonly catalog: CatalogService) {}

  @Get(':id')
  @Needs(Permission.EditCatalog)
  async find(@Param('id', RowId) id: number): Promise<Product> {
    const product = await this.catalog.find(id);
    if (product === null) throw new ProductNotFound(id);
    return product;
  }
}
