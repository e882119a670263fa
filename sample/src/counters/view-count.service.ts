import { Injectable } from '@nestjs/common';
import {
  add,
  Cached,
  currentLoad,
  Flushes,
  set,
  WriteBehind,
  type AddMutation,
  type FlushBatch,
  type Flushed,
  type SetMutation,
} from 'nestjs-cache-contract';
import { ProductNotFound } from '../catalog/product-not-found.js';
import { Database, type Transaction } from '../database/database.js';
import { StorefrontLedger } from '../database/storefront-ledger.js';
import { ViewCounts } from './view-count.contract.js';

@Injectable()
export class ViewCountService {
  constructor(private readonly database: Database) {}

  @Cached(ViewCounts)
  async count(product: number): Promise<number> {
    const sql = 'SELECT views FROM products WHERE id = ?';
    const { signal } = currentLoad();
    const [row] = await this.database.query<{ views: number }>(sql, [product], signal);
    if (row === undefined) throw new ProductNotFound(product);
    return row.views;
  }

  /** Only says what changes. That the product exists is known from the cache, but for one query every few seconds. */
  @WriteBehind(ViewCounts)
  async view(product: number): Promise<AddMutation<number>> {
    await this.count(product);
    return add(1);
  }

  @WriteBehind(ViewCounts, (product: number) => product)
  async correct(product: number, views: number): Promise<SetMutation<number>> {
    await this.count(product);
    return set(views);
  }

  /** One entry per product, whatever was accepted for it. A batch that was written before does not come here again. */
  @Flushes(ViewCounts, { ledger: StorefrontLedger })
  async write({ entries }: FlushBatch<typeof ViewCounts>, tx: Transaction): Promise<Flushed> {
    const rejected: { key: number; reason: string }[] = [];
    for (const entry of entries) {
      const [sum, number] = entry.op === 'add' ? ['views + ?', entry.by] : ['?', entry.value];
      const sql = `UPDATE products SET views = ${sum} WHERE id = ? RETURNING id`;
      const [written] = await tx.query(sql, [number, entry.key]);
      // It was there when the view was accepted.
      if (written === undefined) {
        rejected.push({ key: entry.key, reason: `no product ${entry.key}` });
      }
    }
    return { rejected };
  }
}
