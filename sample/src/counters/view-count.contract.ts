import { entity, external, readThrough } from 'nestjs-cache-contract';
import { ProductNotFound } from '../catalog/product-not-found.js';
import { DATABASE } from '../database/origin.js';

/**
 * How often a product was viewed. Not `invalidate()`, although the views are counted here: the count of a popular
 * product changes many times a second, and an entry that each view drops would never be there to be read.
 */
export const ViewCounts = entity<number, number>('view-count', {
  maxStaleness: '5s',
  read: readThrough({ ttl: '5s' }),
  write: external(),
  absentWhen: (error) => error instanceof ProductNotFound,
  origin: DATABASE,
});
