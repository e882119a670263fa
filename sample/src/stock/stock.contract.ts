import { entity, external, readThrough } from 'nestjs-cache-contract';
import { ProductNotFound } from '../catalog/product-not-found.js';
import { DATABASE } from '../database/origin.js';

/**
 * How many are left; the warehouse changes it. Thirty seconds are close enough for somebody who is about to buy.
 *
 * The bound is wider, because not everybody needs that: it is what the most patient reader may get, and it keeps
 * anybody from being more patient. The loader throws for an unknown product: `absentWhen` tells that from a failure, so
 * it is remembered as an answer.
 */
export const Stock = entity<number, number>('stock', {
  maxStaleness: '11m',
  read: readThrough({ ttl: '30s' }),
  write: external(),
  absentWhen: (error) => error instanceof ProductNotFound,
  origin: DATABASE,
});
