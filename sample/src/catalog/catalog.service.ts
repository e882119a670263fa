import { Injectable } from '@nestjs/common';
import { Cached, CachedMany, currentLoad, Invalidates, WriteThrough } from 'nestjs-cache-contract';
import { Database } from '../database/database.js';
import { Prices } from './price.contract.js';
import { ProductNotFound } from './product-not-found.js';
import { categoryTag, Products, type Product } from './product.contract.js';

@Injectable()
export class CatalogService {
  constructor(private readonly database: Database) {}

  @Cached(Products)
  async find(id: number): Promise<Product | null> {
    const sql = 'SELECT id, category, title FROM products WHERE id = ?';
    // A load that takes too long is given up: its connection goes to somebody who still waits.
    const { signal } = currentLoad();
    const [product] = await this.database.query<Product>(sql, [id], signal);
    return product ?? null;
  }

  /** Called with the ids that are not cached; whoever asks for one of them alone meanwhile waits for this query. */
  @CachedMany(Products)
  async findMany(ids: number[]): Promise<(Product | null)[]> {
    const sql = `SELECT id, category, title FROM products WHERE id IN (${ids.map(() => '?').join()})`;
    const { signal } = currentLoad();
    const found = await this.database.query<Product>(sql, ids, signal);
    const byId = new Map(found.map((product) => [product.id, product]));
    return ids.map((id) => byId.get(id) ?? null);
  }

  /** In cents. */
  @Cached(Prices)
  async price(id: number): Promise<number> {
    const sql = 'SELECT cents FROM products WHERE id = ?';
    const [product] = await this.database.query<{ cents: number }>(sql, [id]);
    if (product === undefined) throw new ProductNotFound(id);
    return product.cents;
  }

  @WriteThrough(Products, (id: number) => id)
  async retitle(id: number, title: string): Promise<Product> {
    const sql = 'UPDATE products SET title = ? WHERE id = ? RETURNING id, category, title';
    const [changed] = await this.database.query<Product>(sql, [title, id]);
    if (changed === undefined) throw new ProductNotFound(id);
    return changed;
  }

  @Invalidates(Products, (id: number) => id)
  async discontinue(id: number): Promise<void> {
    const sql = 'DELETE FROM products WHERE id = ? RETURNING id';
    const [gone] = await this.database.query(sql, [id]);
    if (gone === undefined) throw new ProductNotFound(id);
  }

  // Only the database knows which products these are; those in the cache carry the tag.
  @Invalidates(Products, { tags: (category: string) => [categoryTag(category)] })
  async renameCategory(category: string, name: string): Promise<void> {
    const sql = 'UPDATE products SET category = ? WHERE category = ?';
    await this.database.query(sql, [name, category]);
  }
}
