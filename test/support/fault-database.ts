import fs, { copyFileSync, existsSync, fsyncSync, mkdtempSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import sqlite from 'node-sqlite3-wasm';
import pg from 'pg';
import { ledgerSchema, type SqlDialect } from 'nestjs-cache-contract';
import { until } from './fault-child.js';
import type { Counters } from './fault-operations.js';

export interface Place {
  readonly dialect: SqlDialect;
  /** A file, or a connection string. */
  readonly url: string;
}

export interface Tx {
  query(sql: string, values?: readonly (string | number | bigint)[]): Promise<object[]>;
}

/** Told of a COMMIT as it goes on. */
export interface CommitWatch {
  /** It is under way, and may still fail. */
  readonly underWay?: () => void;
  /** It has succeeded, and who asked for it does not know yet. */
  readonly answered?: () => void;
  /** Whether the answer never arrives. */
  readonly answerLost?: boolean;
}

export interface Database {
  readonly dialect: SqlDialect;
  transaction<T>(work: (tx: Tx) => Promise<T>, watch?: CommitWatch): Promise<T>;
  close(): Promise<void>;
}

/** `name`: by which PostgreSQL shows the connections. */
export function openDatabase({ dialect, url }: Place, name: string): Database {
  return dialect === 'sqlite' ? new SqliteDatabase(url) : new PostgresDatabase(url, name);
}

const SCHEMA = 'CREATE TABLE IF NOT EXISTS counters (id bigint PRIMARY KEY, n bigint NOT NULL)';
const ALL = 'SELECT id, n FROM counters';
const ADD = `INSERT INTO counters VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET n = counters.n + excluded.n`;

export async function addToCounter(tx: Tx, key: number, by: bigint): Promise<void> {
  await tx.query(ADD, [key, by]);
}

/** An empty database. */
export async function createTables(place: Place): Promise<void> {
  const database = openDatabase(place, 'schema');
  await database.transaction(async (tx) => {
    for (const table of ['counters', 'cache_ledger', 'cache_dead_letters']) {
      await tx.query(`DROP TABLE IF EXISTS ${table}`);
    }
    for (const statement of [SCHEMA, ...ledgerSchema(place.dialect)]) await tx.query(statement);
  });
  await database.close();
}

/** What has been committed by the process that called itself `name` and is dead by now. */
export async function committed({ dialect, url }: Place, name: string): Promise<Counters> {
  if (dialect === 'postgres') return new PostgresDatabase(url, 'witness').readAfter(name);
  // A copy, so that the next process finds the file as the dead one has left it.
  const directory = mkdtempSync(join(dirname(url), 'copy-'));
  const copy = join(directory, basename(url));
  for (const end of ['', '-wal']) {
    if (existsSync(url + end)) copyFileSync(url + end, copy + end);
  }
  const database = new SqliteDatabase(copy);
  const rows = await database.transaction((tx) => tx.query(ALL));
  await database.close();
  rmSync(directory, { recursive: true });
  return countersOf(rows);
}

function countersOf(rows: object[]): Counters {
  return new Map(
    (rows as { id: string | number; n: string | number }[]).map(({ id, n }) => [
      Number(id),
      BigInt(n),
    ]),
  );
}

/**
 * Write-ahead logging in the hands of one process. This driver keeps others away by a directory beside the file and
 * takes its own for somebody else's: it would never roll back what a dead process has left in a rollback journal.
 */
class SqliteDatabase implements Database {
  readonly dialect = 'sqlite';
  private readonly connection: sqlite.Database;
  private turn: Promise<unknown> = Promise.resolve();

  constructor(file: string) {
    // A process that was killed has left it there.
    rmSync(`${file}.lock`, { recursive: true, force: true });
    this.connection = new sqlite.Database(file);
    this.connection.exec('PRAGMA locking_mode = EXCLUSIVE');
    this.connection.exec('PRAGMA journal_mode = WAL');
  }

  transaction<T>(work: (tx: Tx) => Promise<T>, watch: CommitWatch = {}): Promise<T> {
    const mine = this.turn.then(() => this.alone(work, watch));
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  private async alone<T>(work: (tx: Tx) => Promise<T>, watch: CommitWatch): Promise<T> {
    const { connection } = this;
    connection.exec('BEGIN IMMEDIATE');
    try {
      const result = await work({
        query: async (sql, values = []) =>
          connection.all(sql.replaceAll(/\$\d/g, '?'), [...values]),
      });
      watching(watch, () => connection.exec('COMMIT'));
      if (watch.answerLost) throw new Error('The answer to COMMIT was lost.');
      return result;
    } catch (error) {
      if (connection.inTransaction) connection.exec('ROLLBACK');
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.turn;
    this.connection.close();
  }
}

/**
 * A COMMIT is one call here: it can be interrupted where it writes to the file. Each page is two writes, and the last
 * one says that it is the last; a transaction with a ledger has three pages.
 */
function watching({ underWay, answered }: CommitWatch, commit: () => void): void {
  let writes = 0;
  fs.writeSync = ((...args: Parameters<typeof writeSync>) => {
    if (++writes === 3) underWay?.();
    return writeSync(...args);
  }) as typeof writeSync;
  fs.fsyncSync = (file) => {
    if (writes > 3) answered?.();
    fsyncSync(file);
  };
  try {
    commit();
  } finally {
    Object.assign(fs, { writeSync, fsyncSync });
  }
}

class PostgresDatabase implements Database {
  readonly dialect = 'postgres';
  private readonly pool: pg.Pool;

  constructor(url: string, name: string) {
    this.pool = new pg.Pool({ connectionString: url, application_name: name, max: 3 });
    // A connection that breaks while nobody uses it.
    this.pool.on('error', () => undefined);
    this.pool.on('connect', (client) => client.on('error', () => undefined));
  }

  async transaction<T>(work: (tx: Tx) => Promise<T>, watch: CommitWatch = {}): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    try {
      await client.query('BEGIN');
      const result = await work({
        query: async (sql, values = []) =>
          (await client.query(sql, values.map(String))).rows as object[],
      });
      await commit(client, watch);
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch((failure: Error) => (broken = failure));
      throw error;
    } finally {
      client.release(broken);
    }
  }

  /** A server goes on with what it was told last, though nobody is there to hear of it. */
  async readAfter(name: string): Promise<Counters> {
    const connected = 'SELECT FROM pg_stat_activity WHERE application_name = $1';
    try {
      await until(
        'the server has noticed that a process is dead',
        async () => (await this.pool.query(connected, [name])).rowCount === 0,
      );
      return countersOf((await this.pool.query(ALL)).rows as object[]);
    } finally {
      await this.close();
    }
  }

  close(): Promise<void> {
    return this.pool.end();
  }
}

async function commit(client: pg.PoolClient, watch: CommitWatch): Promise<void> {
  const { connection } = client as unknown as {
    connection: NodeJS.EventEmitter & { stream: { destroy(): void } };
  };
  const answered = () => watch.answered?.();
  connection.prependListener('commandComplete', answered);
  const answer = client.query('COMMIT');
  // It is sent by now, in this turn.
  watch.underWay?.();
  if (watch.answerLost) connection.stream.destroy();
  await answer;
  connection.off('commandComplete', answered);
}
