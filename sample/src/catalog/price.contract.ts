import { bypass, entity, external } from 'nestjs-cache-contract';
import { DATABASE } from '../database/origin.js';

/**
 * The money question is asked of the database, each time; another system sets the prices there. The contract says
 * so in the place where somebody would look who wonders whether a price may be cached.
 */
export const Prices = entity<number, number>('price', {
  maxStaleness: 0,
  read: bypass(),
  write: external(),
  origin: DATABASE,
});
