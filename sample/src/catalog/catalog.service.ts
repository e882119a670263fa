import { Injectable } from '@nestjs/common';
import { Cached, currentLoad, Invalidates } from 'nestjs-cache-contract';
import { Database } from '../database/database.js';
import { Prices } from './price.contract.js';
import { ProductNotFound } from './product-not-found.js';
import { Products, type Product } from './product.contract.js';

@Injectable()
export class CatalogService {
  constructor(private readonly database: Database) {}

  @Cached(Products)
  async find(id: number): Promise<Product> {
    const sql = 'SELECT id, category, title FROM products WHERE id = ?';
    // A load that takes too long is given up: its connection goes to somebody who still waits.
    const { signal } = currentLoad();
    const [product] = await this.database.query<Product>(sql, [id], signal);
    if (product === undefined) throw new ProductNotFound(id);
    return product;
  }

  /** In cents. */
  @Cached(Prices)
  async price(id: number): Promise<number> {
    const sql = 'SELECT cents FROM products WHERE id = ?';
    const [product] = await this.database.query<{ cents: number }>(sql, [id]);
    if (product === undefined) throw new ProductNotFound(id);
    return product.cents;
  }

  @Invalidates(Products, (id: number) => id)
  async retitle(id: number, title: string): Promise<void> {
    const sql = 'UPDATE products SET title = ? WHERE id = ? RETURNING id';
    const [changed] = await this.database.query(sql, [title, id]);
    if (changed === undefined) throw new ProductNotFound(id);
  }

  // Only the database knows which products these are, so all are forgotten. It is done rarely enough.
  @Invalidates(Products, { family: true })
  async renameCategory(category: string, name: string): Promise<void> {
    const sql = 'UPDATE products SET category = ? WHERE category = ?';
    await this.database.query(sql, [name, category]);
  }
}
