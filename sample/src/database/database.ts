import { setTimeout } from 'node:timers/promises';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import sqlite from 'node-sqlite3-wasm';
import { ConnectionPool } from './connection-pool.js';
import { SCHEMA } from './schema.js';

const CONNECTIONS = 10;
const ACQUIRE_TIMEOUT_MS = 1_000;

/**
 * The source of truth: SQLite in the memory of this process, behind what makes a real database scarce: few
 * connections, and time that each query takes.
 */
@Injectable()
export class Database implements OnApplicationShutdown {
  /** How long each query takes, and holds its connection. */
  delayMs = 20;
  private queries = 0;
  private readonly pool = new ConnectionPool(CONNECTIONS, ACQUIRE_TIMEOUT_MS);
  private readonly sqlite = new sqlite.Database(':memory:');

  constructor() {
    this.sqlite.exec(SCHEMA);
  }

  /** The rows a statement answers with. An aborted `signal` ends the waiting, and frees the connection. */
  query<Row>(sql: string, values: (string | number)[] = [], signal?: AbortSignal): Promise<Row[]> {
    return this.pool.use(async () => {
      this.queries++;
      await setTimeout(this.delayMs, undefined, { signal });
      return this.sqlite.all(sql, values) as Row[];
    }, signal);
  }

  /** `queries` were given a connection, `refused` waited for one in vain. */
  state() {
    const { busy, refused } = this.pool;
    return { queries: this.queries, refused, delayMs: this.delayMs, connectionsBusy: busy };
  }

  onApplicationShutdown(): void {
    this.sqlite.close();
  }
}
