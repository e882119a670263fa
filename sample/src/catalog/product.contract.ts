import { entity, staleWhileRevalidate, writeThrough } from 'nestjs-cache-contract';
import { DATABASE } from '../database/origin.js';

export interface Product {
  readonly id: number;
  readonly category: string;
  readonly title: string;
}

/** The tag of all products of a category. */
export const categoryTag = (category: string) => `category:${category}`;

/**
 * What a product is hardly changes, and a title that is hours old harms nobody; the price, which would, is not in it.
 * A shop without a catalog is closed, so a product is served for a day when the database is in trouble. A change made
 * here is seen at once all the same. `null` means that there is no such product.
 *
 * Each process keeps its own, also where there is a Redis, and no read asks that: what another process changes is seen
 * as late as what changes in the database.
 */
export const Products = entity<Product | null, number>('product', {
  maxStaleness: { normal: '6h', incident: '24h' },
  prefer: 'stale',
  read: staleWhileRevalidate({
    ttl: '1h',
    staleFor: '5h',
    staleIfError: '18h',
    negativeTtl: '30s',
    l1: { maxEntries: 10_000 },
  }),
  write: writeThrough(),
  store: 'process',
  tags: ({ category }) => [categoryTag(category)],
  origin: DATABASE,
});
