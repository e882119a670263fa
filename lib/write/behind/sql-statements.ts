import { CacheUsageError } from '../../errors/cache.error.js';
import { show } from '../../errors/wording.js';

/** PostgreSQL from 9.5, SQLite from 3.35. */
export type SqlDialect = 'postgres' | 'sqlite';

/** Everything a ledger says to its database. Every placeholder stands once, in the order of the values. */
export interface Statements {
  /** The shard's first batch. `last_seq, batch_id, namespace, entity, shard, incarnation`; a row if it was. */
  readonly begin: string;
  /** The next batch. Those of `begin`, and where the batch before it ended; a row if it was. */
  readonly move: string;
  /** `namespace, entity, shard, incarnation`. */
  readonly position: string;
  /** `namespace, entity, id, content, reason, buried_at`. */
  readonly bury: string;
  /** `namespace, entity, id`; a row if it was there. */
  readonly exhume: string;
  /** `namespace, entity`. */
  readonly buried: string;
}

const BEGIN = `INSERT INTO cache_ledger (last_seq, batch_id, namespace, entity, shard, incarnation, applied_at)
VALUES ($1, $2, $3, $4, $5, $6, CURRENT_TIMESTAMP)
ON CONFLICT (namespace, entity, shard, incarnation) DO NOTHING RETURNING last_seq`;

// Compare-and-set: of two batches that begin at the same place, the database lets one find it there.
const MOVE = `UPDATE cache_ledger SET last_seq = $1, batch_id = $2, applied_at = CURRENT_TIMESTAMP
WHERE namespace = $3 AND entity = $4 AND shard = $5 AND incarnation = $6 AND last_seq = $7 RETURNING last_seq`;

const POSITION = `SELECT last_seq FROM cache_ledger
WHERE namespace = $1 AND entity = $2 AND shard = $3 AND incarnation = $4`;

const BURY = `INSERT INTO cache_dead_letters (namespace, entity, id, content, reason, buried_at)
VALUES ($1, $2, $3, $4, $5, $6)`;

const EXHUME = `DELETE FROM cache_dead_letters
WHERE namespace = $1 AND entity = $2 AND id = $3 RETURNING id`;

const BURIED = `SELECT id, content, reason, buried_at FROM cache_dead_letters
WHERE namespace = $1 AND entity = $2 ORDER BY buried_at, id`;

const postgres: Statements = {
  begin: BEGIN,
  move: MOVE,
  // Waits for a transaction that is moving the row, and finds it where that has left it.
  position: `${POSITION} FOR UPDATE`,
  bury: BURY,
  exhume: EXHUME,
  buried: BURIED,
};

const questionMarks = (sql: string) => sql.replace(/\$\d/g, '?');

const sqlite: Statements = {
  begin: questionMarks(BEGIN),
  move: questionMarks(MOVE),
  // The statement before it has locked the database, even if it changed nothing.
  position: questionMarks(POSITION),
  bury: questionMarks(BURY),
  exhume: questionMarks(EXHUME),
  buried: questionMarks(BURIED),
};

/** @throws {CacheUsageError} CACHE_ARGUMENT_INVALID for another dialect */
export function statementsOf(dialect: SqlDialect): Statements {
  check(dialect, 'SqlLedger');
  return dialect === 'postgres' ? postgres : sqlite;
}

/**
 * The two tables of `SqlLedger`, one `CREATE TABLE IF NOT EXISTS` each: for your migration, or to run at the start.
 *
 * `cache_ledger` keeps one row per shard and life of a journal. A row may be deleted when the journal it belongs to is
 * gone: `applied_at` tells when it was last written. `cache_dead_letters` keeps what could not be applied.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID for a dialect other than `'postgres'` and `'sqlite'`
 */
export function ledgerSchema(dialect: SqlDialect): readonly string[] {
  check(dialect, 'ledgerSchema()');
  const time = dialect === 'postgres' ? 'timestamptz' : 'text';
  return [
    `CREATE TABLE IF NOT EXISTS cache_ledger (
  namespace text NOT NULL,
  entity text NOT NULL,
  shard integer NOT NULL,
  incarnation text NOT NULL,
  last_seq bigint NOT NULL,
  batch_id text NOT NULL,
  applied_at ${time} NOT NULL,
  PRIMARY KEY (namespace, entity, shard, incarnation)
)`,
    `CREATE TABLE IF NOT EXISTS cache_dead_letters (
  namespace text NOT NULL,
  entity text NOT NULL,
  id text NOT NULL,
  content text NOT NULL,
  reason text NOT NULL,
  buried_at text NOT NULL,
  PRIMARY KEY (namespace, entity, id)
)`,
  ];
}

function check(dialect: unknown, where: string): void {
  if (dialect === 'postgres' || dialect === 'sqlite') return;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `${where} expected the dialect of the database, got ${show(dialect)}`,
    "say 'postgres' or 'sqlite'; for another database extend Ledger.",
  );
}
