import { Injectable } from '@nestjs/common';
import { InjectCache, type CacheOf } from 'nestjs-cache-contract';
import { ProductNotFound } from '../catalog/product-not-found.js';
import { Database } from '../database/database.js';
import { ViewCounts } from './view-count.contract.js';

/** Says with calls what the other services say with decorators. */
@Injectable()
export class ViewCountService {
  constructor(
    private readonly database: Database,
    @InjectCache(ViewCounts) private readonly cache: CacheOf<typeof ViewCounts>,
  ) {}

  count(product: number): Promise<number> {
    return this.cache.get(product, async ({ signal }) => {
      const sql = 'SELECT views FROM products WHERE id = ?';
      const [row] = await this.database.query<{ views: number }>(sql, [product], signal);
      if (row === undefined) throw new ProductNotFound(product);
      return row.views;
    });
  }

  async add(product: number): Promise<void> {
    const sql = 'UPDATE products SET views = views + 1 WHERE id = ? RETURNING id';
    const [changed] = await this.database.query(sql, [product]);
    if (changed === undefined) throw new ProductNotFound(product);
  }
}
