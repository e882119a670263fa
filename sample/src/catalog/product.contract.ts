import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { ProductNotFound } from './product-not-found.js';

export interface Product {
  readonly id: number;
  readonly category: string;
  readonly title: string;
}

/**
 * What a product is hardly changes, and a title that is hours old harms nobody; the price, which would, is not in it.
 * The loader throws for an unknown product: `absentWhen` tells that from a failure, so it is remembered as an answer.
 */
export const Products = entity<Product, number>('product', {
  maxStaleness: '4h',
  read: readThrough({ ttl: '1h', negativeTtl: '30s', l1: { maxEntries: 10_000 } }),
  write: invalidate(),
  absentWhen: (error) => error instanceof ProductNotFound,
});
