import { Injectable } from '@nestjs/common';
import sqlite from 'node-sqlite3-wasm';
import { SqlLedger } from '../../lib/write/behind/sql-ledger.js';
import { ledgerSchema } from '../../lib/write/behind/sql-statements.js';

export type Connection = InstanceType<typeof sqlite.Database>;

/** A database with one connection, as an application has it in tests: transactions take turns. */
@Injectable()
export class Shop {
  readonly sqlite = new sqlite.Database(':memory:');
  private turn: Promise<unknown> = Promise.resolve();
  /** Thrown by the next statements, as by a database that is out of reach. */
  failure: Error | undefined;

  constructor() {
    for (const statement of ledgerSchema('sqlite')) this.sqlite.exec(statement);
    this.sqlite.exec(
      'CREATE TABLE views (id INTEGER PRIMARY KEY, n INTEGER NOT NULL CHECK (n < 1000000))',
    );
  }

  async transaction<T>(work: (tx: Connection) => Promise<T>): Promise<T> {
    const mine = this.turn.then(() => this.alone(work));
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  private async alone<T>(work: (tx: Connection) => Promise<T>): Promise<T> {
    if (this.failure !== undefined) throw this.failure;
    this.sqlite.exec('BEGIN IMMEDIATE');
    try {
      const result = await work(this.sqlite);
      this.sqlite.exec('COMMIT');
      return result;
    } catch (error) {
      this.sqlite.exec('ROLLBACK');
      throw error;
    }
  }

  /** How often a row says something was viewed. */
  views(id: number): number {
    const [row] = this.sqlite.all('SELECT n FROM views WHERE id = ?', [id]) as { n: number }[];
    return row?.n ?? 0;
  }

  add(id: number, by: bigint): void {
    this.sqlite.run(
      'INSERT INTO views VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n',
      [id, by],
    );
  }
}

@Injectable()
export class ShopLedger extends SqlLedger<Connection> {
  constructor(private readonly shop: Shop) {
    super('sqlite');
  }
  transaction<T>(work: (tx: Connection) => Promise<T>): Promise<T> {
    return this.shop.transaction(work);
  }
  query(tx: Connection, sql: string, values: readonly (string | number)[]) {
    return Promise.resolve(tx.all(sql, [...values]) as object[]);
  }
}
