/** One batch, as the ledger knows it: whose it is, and which stretch of its shard's sequence it covers. */
export interface BatchPosition {
  /** The same on every attempt: `namespace/entity/shard/incarnation/lastSeq`. */
  readonly id: string;
  readonly namespace: string;
  readonly entity: string;
  readonly shard: number;
  /** One life of a journal; sequences of different incarnations have nothing to do with each other. */
  readonly incarnation: string;
  /** Where the batch before it ended; 0 for the first of an incarnation. */
  readonly previousSeq: number;
  readonly lastSeq: number;
}

/**
 * What the ledger says of a batch.
 *
 * - `advanced`: it is the next one; its effects are to be written in this transaction.
 * - `duplicate`: it was applied before; nothing is to be written.
 * - `regressed`: the ledger stands before the batch: the database was restored from a backup.
 * - `overlapping`: a part of the batch was applied as part of another one: nothing is to be written.
 */
export type LedgerVerdict = 'advanced' | 'duplicate' | 'regressed' | 'overlapping';

/** A mutation that could not be applied, as the database keeps it. */
export interface BuriedRow {
  /** Unique: the batch it was part of, and its number in it. */
  readonly id: string;
  readonly namespace: string;
  readonly entity: string;
  /** The key and the mutation, as text that only the journal reads. */
  readonly content: string;
  /** What the handler said, or threw. */
  readonly reason: string;
  /** ISO 8601, UTC. */
  readonly buriedAt: string;
}

/**
 * Remembers, in the same transaction as the effects of a batch, that the batch was applied: what makes a batch that is
 * sent again after a crash, a lost answer or a second flusher have no second effect.
 *
 * Extend `SqlLedger` for a SQL database; extend this for another that has transactions. Provide your class and name it
 * in `@Flushes(entity, { ledger: ShopLedger })`; its `Tx` is what the flushing method gets as its second argument.
 */
export abstract class Ledger<Tx> {
  /**
   * Runs `work` in one transaction: commits if it resolves, rolls back and rejects with its error if it rejects.
   *
   * Every statement of `work` goes through `tx`. On a database with a single connection no statement of anybody else may
   * get into the transaction.
   */
  abstract transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;

  /**
   * Moves the shard's position from `previousSeq` to `lastSeq`, if that is where it stands (0 where there is none), and
   * says what it found. Asked once more after the flushing method, with `previousSeq` as great as `lastSeq`, whether it is
   * still there. Two transactions that try at once must not both find it there: a row lock, or a serialisation
   * error for one of them.
   */
  abstract advance(tx: Tx, batch: BatchPosition): Promise<LedgerVerdict>;

  /** Keeps mutations that could not be applied. */
  abstract bury(tx: Tx, rows: readonly BuriedRow[]): Promise<void>;

  /** Removes one of them; false if it is not there (any more). */
  abstract exhume(tx: Tx, row: Pick<BuriedRow, 'id' | 'namespace' | 'entity'>): Promise<boolean>;

  /** Those of one entity, the oldest first. */
  abstract buried(of: Pick<BuriedRow, 'namespace' | 'entity'>): Promise<readonly BuriedRow[]>;
}
