import { setTimeout } from 'node:timers/promises';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import sqlite from 'node-sqlite3-wasm';
import { ConnectionLostError } from './connection-lost.js';
import { ConnectionPool } from './connection-pool.js';
import { SCHEMA } from './schema.js';
import { Turns } from './turns.js';

const CONNECTIONS = 10;
const ACQUIRE_TIMEOUT_MS = 1_000;

type Value = string | number | bigint;

/** The connection of a transaction. */
export interface Transaction {
  query<Row>(sql: string, values?: readonly Value[]): Promise<Row[]>;
}

/**
 * The source of truth: SQLite, behind what makes a real database scarce: few connections, and time that each query
 * takes. It is in the memory of this process, or in a file that several processes share.
 */
@Injectable()
export class Database implements OnApplicationShutdown {
  /** How long each query takes, and holds its connection. */
  delayMs = 20;
  /** So many of the next transactions that write are committed, and nobody is told. */
  answersToLose = 0;
  private queries = 0;
  private readonly pool = new ConnectionPool(CONNECTIONS, ACQUIRE_TIMEOUT_MS);
  private readonly turns = new Turns();
  private readonly sqlite = new sqlite.Database(process.env.DATABASE_FILE || ':memory:');

  constructor() {
    // Other processes have the file open, for a moment at a time.
    this.sqlite.exec('PRAGMA busy_timeout = 2000');
    this.sqlite.exec('BEGIN IMMEDIATE');
    if (this.sqlite.get('SELECT count(*) AS tables FROM sqlite_schema')!.tables === 0) {
      this.sqlite.exec(SCHEMA);
    }
    this.sqlite.exec('COMMIT');
  }

  /** The rows a statement answers with. An aborted `signal` ends the waiting, and frees the connection. */
  query<Row>(sql: string, values: Value[] = [], signal?: AbortSignal): Promise<Row[]> {
    return this.pool.use(async () => {
      await this.travel(signal);
      return this.turns.take(() => this.sqlite.all(sql, values) as Row[]);
    }, signal);
  }

  /**
   * All that `work` does with `tx`, or nothing of it. It counts and takes as long as one query, before it begins: while
   * it is open, everybody else waits.
   *
   * @throws {ConnectionLostError} when its answer was lost
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.pool.use(async () => {
      await this.travel();
      let writes = false;
      const query = <Row>(sql: string, values: readonly Value[] = []) => {
        writes ||= !sql.startsWith('SELECT');
        return Promise.resolve().then(() => this.sqlite.all(sql, [...values]) as Row[]);
      };
      const result = await this.turns.take(() => this.commit(() => work({ query })));
      if (!writes || this.answersToLose === 0) return result;
      this.answersToLose--;
      throw new ConnectionLostError();
    });
  }

  /** `queries` were given a connection, `refused` waited for one in vain. */
  state() {
    const { queries, delayMs, answersToLose } = this;
    const { busy, refused } = this.pool;
    return { queries, refused, delayMs, answersToLose, connectionsBusy: busy };
  }

  onApplicationShutdown(): void {
    this.sqlite.close();
  }

  private travel(signal?: AbortSignal): Promise<void> {
    this.queries++;
    return setTimeout(this.delayMs, undefined, { signal });
  }

  private async commit<T>(work: () => Promise<T>): Promise<T> {
    this.sqlite.exec('BEGIN IMMEDIATE');
    try {
      const result = await work();
      this.sqlite.exec('COMMIT');
      return result;
    } catch (error) {
      this.sqlite.exec('ROLLBACK');
      throw error;
    }
  }
}
