import { Injectable } from '@nestjs/common';
import { Cached, currentLoad } from 'nestjs-cache-contract';
import { ProductNotFound } from '../catalog/product-not-found.js';
import { Database } from '../database/database.js';
import { Stock } from './stock.contract.js';

@Injectable()
export class StockService {
  constructor(private readonly database: Database) {}

  @Cached(Stock)
  async left(product: number): Promise<number> {
    const sql = 'SELECT stock FROM products WHERE id = ?';
    const { signal } = currentLoad();
    const [row] = await this.database.query<{ stock: number }>(sql, [product], signal);
    if (row === undefined) throw new ProductNotFound(product);
    return row.stock;
  }
}
