import { Injectable } from '@nestjs/common';
import { SqlLedger } from 'nestjs-cache-contract';
import { Database, type Transaction } from './database.js';

/** Remembers which batches are written, in the database they are written to: in the same transaction, or it is worth nothing. */
@Injectable()
export class StorefrontLedger extends SqlLedger<Transaction> {
  constructor(private readonly database: Database) {
    super('sqlite');
  }

  override transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.database.transaction(work);
  }

  override query(
    tx: Transaction,
    sql: string,
    values: readonly (string | number)[],
  ): Promise<object[]> {
    return tx.query(sql, values);
  }
}
