import { Injectable } from '@nestjs/common';
import { SqlLedger } from 'nestjs-cache-contract';
import { Pool, type PoolClient } from 'pg';

/** A flushing method gets the client that its transaction runs on: `tx.query(…)`. */
@Injectable()
export class ShopLedger extends SqlLedger<PoolClient> {
  constructor(private readonly pool: Pool) {
    super('postgres');
  }

  override async transaction<T>(work: (tx: PoolClient) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      const result = await work(client);
      // After a failed statement that somebody caught, PostgreSQL answers a COMMIT with a rollback, not with an error.
      const { command } = await client.query('COMMIT');
      if (command !== 'COMMIT') throw new Error('not committed: a statement had failed');
      client.release();
      return result;
    } catch (error) {
      // A connection that cannot roll back is not used again.
      await client.query('ROLLBACK').then(
        () => client.release(),
        () => client.release(true),
      );
      throw error;
    }
  }

  override async query(tx: PoolClient, sql: string, values: readonly (string | number)[]) {
    const { rows } = await tx.query<object>(sql, [...values]);
    return rows;
  }
}
