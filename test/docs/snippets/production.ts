import 'reflect-metadata';
import { Controller, Get, Injectable, Param } from '@nestjs/common';
import {
  acceptStale,
  alwaysAvailable,
  bypass,
  Cached,
  CachedMany,
  entity,
  external,
  guarded,
  invalidate,
  Invalidates,
  origin,
  OverrideStrategy,
  readMostly,
  readThrough,
  staleWhileRevalidate,
  WriteThrough,
  writeThrough,
} from 'nestjs-cache-contract';

export interface Profile {
  id: string;
  name: string;
}
export interface Product {
  id: number;
  title: string;
  category: string;
}

// #region profiles
export const Profiles = entity<Profile | null>('profile', {
  ...readMostly(),
  maxStaleness: '90s',
  read: readThrough({ ttl: '1m', negativeTtl: '5s' }),
});
// #endregion

// #region catalog
/** One constant for the database: its loads never exceed what the pool has to give. */
export const Database = origin('database', { maxConcurrent: 8, maxQueued: 200 });

export const Products = entity<Product | null, number>('product', {
  maxStaleness: { normal: '6h', incident: '24h' },
  prefer: 'stale',
  read: staleWhileRevalidate({
    ttl: '1h',
    staleFor: '5h',
    staleIfError: '18h',
    negativeTtl: '30s',
  }),
  write: writeThrough(),
  origin: Database,
  tags: (product) => [`category:${product.category}`],
});

@Injectable()
export class CatalogService {
  readonly rows = new Map<number, Product>([[1, { id: 1, title: 'Assam', category: 'tea' }]]);
  queries = 0;

  @Cached(Products)
  async find(id: number): Promise<Product | null> {
    this.queries++;
    return this.rows.get(id) ?? null;
  }

  @CachedMany(Products)
  async findMany(ids: number[]): Promise<(Product | null)[]> {
    this.queries++;
    return ids.map((id) => this.rows.get(id) ?? null);
  }

  @WriteThrough(Products, (id: number) => id)
  async retitle(id: number, title: string): Promise<Product> {
    const product = { ...this.rows.get(id)!, title };
    this.rows.set(id, product);
    return product;
  }

  @Invalidates(Products, { tags: (category: string) => [`category:${category}`] })
  async renameCategory(category: string, to: string): Promise<void> {
    for (const [id, row] of this.rows) {
      if (row.category === category) this.rows.set(id, { ...row, category: to });
    }
  }
}
// #endregion

export const Availability = entity<number, number>('availability', {
  maxStaleness: '15m',
  read: readThrough({ ttl: '10s' }),
  write: external(),
});

@Injectable()
export class StockService {
  queries = 0;
  @Cached(Availability)
  async of(_id: number): Promise<number> {
    return ++this.queries;
  }
}

// #region override
@Controller('admin/stock')
@OverrideStrategy(Availability, { read: bypass() })
export class AdminController {
  constructor(private readonly stock: StockService) {}
  @Get(':id')
  of(@Param('id') id: string): Promise<number> {
    return this.stock.of(Number(id));
  }
}

@Controller('shop/stock')
@OverrideStrategy(Availability, { read: acceptStale('10m') })
export class ShopController {
  constructor(private readonly stock: StockService) {}
  @Get(':id')
  of(@Param('id') id: string): Promise<number> {
    return this.stock.of(Number(id));
  }
}
// #endregion

// #region permissions
export const Permissions = entity<readonly string[], [tenant: string, user: string]>('permission', {
  ...guarded(),
});
// #endregion

export const Menu = entity<string>('menu', { ...alwaysAvailable() });
export const Settings = entity<string>('setting', { ...readMostly(), write: invalidate() });
