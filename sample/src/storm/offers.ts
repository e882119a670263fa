import { Injectable, type Type } from '@nestjs/common';
import {
  Cached,
  entity,
  invalidate,
  Invalidates,
  readThrough,
  type Contract,
} from 'nestjs-cache-contract';
import { Database } from '../database/database.js';

export const OFFERS = 10;

/** Kept for half an hour, and changed only by methods of this application, so the others hear of it at once. */
const contract = {
  maxStaleness: { normal: '2s', incident: '1h' },
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
} satisfies Contract<number>;

/** What an offer costs, with a copy in each process; or in Redis alone, which is what an entity that prefers errors has. */
export const offers = (copies: boolean) =>
  entity<number, number>('offer', { ...contract, prefer: copies ? 'origin' : 'error' });

export abstract class Offers {
  abstract price(offer: number): Promise<number>;
  /** Resolves to the new price, which is higher than every one before it: so prices tell what is older. */
  abstract raise(offer: number): Promise<number>;
}

export function offersUnder(declared: ReturnType<typeof offers>): Type<Offers> {
  @Injectable()
  class OfferService extends Offers {
    constructor(private readonly database: Database) {
      super();
    }

    @Cached(declared)
    async price(offer: number): Promise<number> {
      const sql = 'SELECT cents FROM products WHERE id = ?';
      const [row] = await this.database.query<{ cents: number }>(sql, [offer]);
      return row!.cents;
    }

    @Invalidates(declared, (offer: number) => offer)
    async raise(offer: number): Promise<number> {
      const sql = 'UPDATE products SET cents = cents + 1 WHERE id = ? RETURNING cents';
      const [row] = await this.database.query<{ cents: number }>(sql, [offer]);
      return row!.cents;
    }
  }
  return OfferService;
}
