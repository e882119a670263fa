import type { FlushBatch, Flushed } from '../../lib/write/behind/flush-batch.js';
import {
  type BatchPosition,
  type BuriedRow,
  Ledger,
  type LedgerVerdict,
} from '../../lib/write/behind/ledger.js';

/** What is to happen to a transaction. */
export type Plan =
  | 'goes well'
  | 'cannot begin'
  | 'begins late'
  | 'crashes before it commits'
  | 'commits late'
  | 'commits, and its answer is lost';

/** One entry that was written, in the order of the commits. */
export interface Row {
  readonly shard: number;
  readonly key: string;
  readonly seq: number;
}

/** All that a transaction sees, and leaves if it commits. */
export interface Contents {
  readonly values: Map<string, bigint>;
  readonly positions: Map<string, number>;
  readonly letters: Map<string, BuriedRow>;
  /** All that were ever put there. */
  readonly buried: Map<string, BuriedRow>;
  /** `shard:seq` of the mutation by which one was retried, or `discarded`. */
  readonly exhumed: Map<string, string>;
  readonly rows: Row[];
}

/** A transaction: what it has changed so far, and which batch it has claimed. */
export type Tx = Contents & { position?: BatchPosition };

function copied(contents: Contents): Tx {
  return {
    values: new Map(contents.values),
    positions: new Map(contents.positions),
    letters: new Map(contents.letters),
    buried: new Map(contents.buried),
    exhumed: new Map(contents.exhumed),
    rows: [...contents.rows],
  };
}

/**
 * A database in memory that serialises its transactions: one after the other, or side by side with an error for the one
 * that commits second.
 */
export class Database {
  contents: Contents = copied({
    values: new Map(),
    positions: new Map(),
    letters: new Map(),
    buried: new Map(),
    exhumed: new Map(),
    rows: [],
  });
  /** For the transactions to come, one each; those after them go well. */
  plans: Plan[] = [];
  /** `shard:seq` of what a restore has taken away. */
  readonly lost = new Set<string>();
  private late: (() => void)[] = [];
  private turn: Promise<unknown> = Promise.resolve();
  private life = 0;
  private copy = this.contents;

  constructor(
    private readonly locking: 'one by one' | 'side by side',
    /** Waited for at each of its moments. */
    private readonly moment?: (name: 'begins' | 'commits' | 'answers') => Promise<unknown>,
  ) {}

  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const plan = this.plans.shift() ?? 'goes well';
    if (plan === 'cannot begin') return Promise.reject(new Error('no connection'));
    if (this.locking === 'side by side') return this.run(plan, work);
    const run = this.turn.then(() => this.run(plan, work));
    this.turn = run.catch(() => undefined);
    return run;
  }

  private async run<T>(plan: Plan, work: (tx: Tx) => Promise<T>): Promise<T> {
    const { life } = this;
    if (plan === 'begins late') await this.pause();
    if (this.life !== life) throw new Error('the connection is lost');
    await this.moment?.('begins');
    const before = this.contents;
    const tx = copied(before);
    const result = await work(tx);
    if (plan === 'crashes before it commits') throw new Error('the connection is lost');
    if (plan === 'commits late') await this.pause();
    await this.moment?.('commits');
    if (this.life !== life) throw new Error('the connection is lost');
    if (this.contents !== before) throw new Error('could not serialise');
    this.contents = tx;
    await this.moment?.('answers');
    if (plan === 'commits, and its answer is lost') throw new Error('the connection is lost');
    return result;
  }

  private pause(): Promise<void> {
    return new Promise((go) => this.late.push(go));
  }

  /** Those that were to begin or commit late do so now. */
  letGo(): void {
    const { late } = this;
    this.late = [];
    for (const go of late) go();
  }

  backUp(): void {
    this.copy = this.contents;
  }

  /** Everything since the backup is lost, and every connection. */
  restore(): void {
    this.life++;
    const kept = new Set(this.copy.rows.map(idOfRow));
    for (const row of this.contents.rows) if (!kept.has(idOfRow(row))) this.lost.add(idOfRow(row));
    for (const letter of this.contents.buried.keys()) {
      if (!this.copy.buried.has(letter)) this.lost.add(entryOfLetter(letter));
    }
    this.contents = copied(this.copy);
    this.copy = this.contents;
  }
}

export function idOfRow({ shard, seq }: Row): string {
  return `${shard}:${seq}`;
}

/** `shard:seq` of what was buried. Dead letters are named `namespace/entity/shard/incarnation/lastSeq/seq`. */
export function entryOfLetter(letter: string): string {
  const parts = letter.split(':');
  return `${parts[2]}:${parts[5]}`;
}

/** As the documentation of `Ledger` asks for it. */
export class ModelLedger extends Ledger<Tx> {
  constructor(private readonly database: Database) {
    super();
  }

  override transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.database.transaction(work);
  }

  override async advance(tx: Tx, batch: BatchPosition): Promise<LedgerVerdict> {
    tx.position = batch;
    const shard = `${batch.shard}/${batch.incarnation}`;
    const stands = tx.positions.get(shard) ?? 0;
    if (stands >= batch.lastSeq) return 'duplicate';
    if (stands > batch.previousSeq) return 'overlapping';
    if (stands < batch.previousSeq) return 'regressed';
    tx.positions.set(shard, batch.lastSeq);
    return 'advanced';
  }

  override async bury(tx: Tx, rows: readonly BuriedRow[]): Promise<void> {
    for (const row of rows) {
      if (tx.letters.has(row.id)) throw new Error(`${row.id} is there already`);
      tx.letters.set(row.id, row);
      tx.buried.set(row.id, row);
    }
  }

  override async exhume(tx: Tx, { id }: Pick<BuriedRow, 'id'>): Promise<boolean> {
    if (!tx.letters.delete(id)) return false;
    const { position } = tx;
    tx.exhumed.set(id, position ? `${position.shard}:${position.lastSeq}` : 'discarded');
    return true;
  }

  override async buried(): Promise<readonly BuriedRow[]> {
    return [...this.database.contents.letters.values()];
  }
}

/** One that remembers nothing: what a test of exactly-once has to notice. */
export class ForgetfulLedger extends ModelLedger {
  override async advance(tx: Tx, batch: BatchPosition): Promise<LedgerVerdict> {
    // Within one transaction it would be noticed.
    if (tx.position?.lastSeq === batch.lastSeq) return 'duplicate';
    tx.position = batch;
    return 'advanced';
  }
}

/** The flushing method of an application, in which some mutations cannot be written. */
export class Handler {
  /** By key and kind of the mutation. */
  readonly poison = new Map<string, 'throws' | 'rejects'>();

  /** Called for each entry before it is written. */
  constructor(private readonly tried: (shard: number, seq: number) => void) {}

  readonly flush = async (batch: FlushBatch<any>, tx: unknown): Promise<Flushed> => {
    const { values, rows } = tx as Tx;
    const shard = Number(batch.id.split(':')[2]);
    const rejected: { key: string; reason: string }[] = [];
    let thrown: Error | undefined;
    for (const entry of batch.entries) {
      const { key, seq, op } = entry as { key: string; seq: number; op: string };
      this.tried(shard, seq);
      const poison = this.poison.get(`${op} ${key}`);
      if (poison === 'rejects') {
        rejected.push({ key, reason: 'refused' });
        continue;
      }
      if (poison === 'throws') thrown = new Error('the database does not take it');
      if (entry.op === 'remove') values.delete(key);
      else if (entry.op === 'set') values.set(key, BigInt(entry.value as number));
      else values.set(key, (values.get(key) ?? 0n) + (entry as { by: bigint }).by);
      rows.push({ shard, key, seq });
    }
    // Not before the others are written: they have to be undone.
    if (thrown !== undefined) throw thrown;
    return rejected.length > 0 ? { rejected } : undefined;
  };
}
