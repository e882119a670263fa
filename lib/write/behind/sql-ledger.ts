import { CacheUsageError } from '../../errors/cache.error.js';
import { show } from '../../errors/wording.js';
import { type BatchPosition, type BuriedRow, Ledger, type LedgerVerdict } from './ledger.js';
import { type SqlDialect, type Statements, statementsOf } from './sql-statements.js';

/** Drivers give a `bigint` column as text, number or bigint. */
type Row = Readonly<Record<string, string | number | bigint>>;

/**
 * A ledger in the database that the flushing method writes to: extend it with how your database client runs a
 * transaction and a statement. The tables are those of `ledgerSchema()`; without them every flush fails with the
 * database's own error, and is tried again.
 *
 * Two transactions that try the same batch: under READ COMMITTED the second waits for the first, and is told `duplicate`
 * if that commits. Under REPEATABLE READ and SERIALIZABLE the database may refuse it instead (SQLSTATE 40001): it rolls
 * back, and the next attempt is told `duplicate`. Under these two read nothing before `advance`: what is committed after
 * the first read is not seen, and a batch taken for `regressed`. On SQLite begin with `BEGIN IMMEDIATE`: the second then
 * waits for its turn.
 */
export abstract class SqlLedger<Tx> extends Ledger<Tx> {
  private readonly statements: Statements;

  /** @throws {CacheUsageError} CACHE_ARGUMENT_INVALID for a dialect other than `'postgres'` and `'sqlite'` */
  constructor(dialect: SqlDialect) {
    super();
    this.statements = statementsOf(dialect);
  }

  /**
   * Runs one statement in the transaction and gives its rows, as objects by column name: those of a `SELECT`, and those
   * of an `INSERT`, `UPDATE` or `DELETE` that ends in `RETURNING`.
   *
   * Placeholders are `$1`, `$2`, … for `postgres` and `?` for `sqlite`. Each stands once and in the order of `values`, so
   * that a client which only knows `?` is served by `sql.replace(/\$\d+/g, '?')`.
   */
  abstract query(
    tx: Tx,
    sql: string,
    values: readonly (string | number)[],
  ): Promise<readonly object[]>;

  override async advance(tx: Tx, batch: BatchPosition): Promise<LedgerVerdict> {
    if (await this.claim(tx, batch)) return 'advanced';
    const [position] = await this.rows(tx, this.statements.position, shardOf(batch), 'last_seq');
    const lastSeq = position === undefined ? 0 : Number(position.last_seq);
    if (lastSeq >= batch.lastSeq) return 'duplicate';
    if (lastSeq > batch.previousSeq) return 'overlapping';
    if (lastSeq < batch.previousSeq) return 'regressed';
    // It was not there yet a moment ago: the batch before was just being committed. The row is locked by now.
    return (await this.claim(tx, batch)) ? 'advanced' : 'regressed';
  }

  override async bury(tx: Tx, rows: readonly BuriedRow[]): Promise<void> {
    for (const { namespace, entity, id, content, reason, buriedAt } of rows) {
      // PostgreSQL refuses NUL in a text, and a reason is whatever somebody threw.
      const text = reason.replaceAll('\0', '\uFFFD');
      await this.query(tx, this.statements.bury, [namespace, entity, id, content, text, buriedAt]);
    }
  }

  override async exhume(
    tx: Tx,
    { namespace, entity, id }: Pick<BuriedRow, 'id' | 'namespace' | 'entity'>,
  ): Promise<boolean> {
    const rows = await this.rows(tx, this.statements.exhume, [namespace, entity, id], 'id');
    return rows.length > 0;
  }

  override async buried({
    namespace,
    entity,
  }: Pick<BuriedRow, 'namespace' | 'entity'>): Promise<readonly BuriedRow[]> {
    const rows = await this.transaction((tx) =>
      this.rows(tx, this.statements.buried, [namespace, entity], 'buried_at'),
    );
    return rows.map(({ id, content, reason, buried_at }) => ({
      id: String(id),
      namespace,
      entity,
      content: String(content),
      reason: String(reason),
      buriedAt: String(buried_at),
    }));
  }

  private async claim(tx: Tx, batch: BatchPosition): Promise<boolean> {
    const moved = [batch.lastSeq, batch.id, ...shardOf(batch)];
    const { begin, move } = this.statements;
    const claimed =
      batch.previousSeq === 0
        ? await this.rows(tx, begin, moved, 'last_seq')
        : await this.rows(tx, move, [...moved, batch.previousSeq], 'last_seq');
    return claimed.length > 0;
  }

  /**
   * Clients like to give something around the rows, as `[rows, count]` or `{ rows }`, or to rename their columns. Taken
   * for rows, that would apply a batch twice, or never.
   */
  private async rows(
    tx: Tx,
    sql: string,
    values: readonly (string | number)[],
    column: string,
  ): Promise<readonly Row[]> {
    const rows: unknown = await this.query(tx, sql, values);
    if (Array.isArray(rows) && rows.every((row) => isRow(row, column))) return rows;
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `query() of ${this.constructor.name} was to give the rows of a statement, each with a ${column}, got ${show(rows)}`,
      'give an array with an object per row, by the names of its columns, and an empty one if there is no row.',
    );
  }
}

const shardOf = (batch: BatchPosition) => [
  batch.namespace,
  batch.entity,
  batch.shard,
  batch.incarnation,
];

const isRow = (row: unknown, column: string): row is Row =>
  typeof row === 'object' && row !== null && column in row;
