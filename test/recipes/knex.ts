import { Inject, Injectable } from '@nestjs/common';
import type { Knex } from 'knex';
import { SqlLedger } from 'nestjs-cache-contract';

/** Knex is a function and no class: it is provided by a name. */
export const KNEX = 'KNEX';

/** A flushing method gets the transaction, which is used like Knex itself: `tx('stock').insert(…)`. */
@Injectable()
export class ShopLedger extends SqlLedger<Knex.Transaction> {
  constructor(@Inject(KNEX) private readonly knex: Knex) {
    super('postgres');
  }

  override transaction<T>(work: (tx: Knex.Transaction) => Promise<T>): Promise<T> {
    return this.knex.transaction(work);
  }

  override async query(tx: Knex.Transaction, sql: string, values: readonly (string | number)[]) {
    // Knex knows no $1. Each of them stands once and in the order of the values.
    const { rows } = await tx.raw<{ rows: object[] }>(sql.replace(/\$\d+/g, '?'), [...values]);
    return rows;
  }
}
