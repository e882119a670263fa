import { counter, entity } from 'nestjs-cache-contract';
import { ProductNotFound } from '../catalog/product-not-found.js';
import { DATABASE } from '../database/origin.js';

/**
 * How often a product was viewed. A popular one is, many times a second, and a row lock for each visit would be too
 * much: views are journalled, seen by readers at once, and added up in the database once a second. If the process
 * crashes, a second of views is lost, which is why nothing is sold or paid by this number.
 */
export const ViewCounts = entity<number, number>('view-count', {
  ...counter(),
  absentWhen: (error) => error instanceof ProductNotFound,
  origin: DATABASE,
});
