import { deserialize, serialize } from 'node:v8';
import type { AnyEntity, EntityKey } from '../../contract/entity.js';
import { handedOut, type FlushEntry, type Refusal } from './flush-batch.js';
import type { Entry, Segment } from './journal.js';
import type { BuriedRow, Ledger } from './ledger.js';
import { CacheFlushFailedError } from '../../errors/write-behind.error.js';
import { exactly, type Pending } from './pending.js';

/** An `add` as callers made it: as a number where one can hold it, which JSON can as well. */
type Counted<F> = F extends { op: 'add' } ? Omit<F, 'by'> & { readonly by: number | bigint } : F;

/** A mutation that could not be written. It is kept until somebody retries or discards it. */
export type DeadLetter<E extends AnyEntity> = {
  readonly id: string;
  /** What the flushing method said, or threw. */
  readonly reason: string;
  readonly buriedAt: Date;
} & Counted<FlushEntry<E>>;

interface Of {
  readonly namespace: string;
  readonly entity: string;
}

/** Where dead letters are kept: in the ledger's database, or without a ledger in the memory of this process. */
export class DeadLetters {
  private readonly rows = new Map<string, BuriedRow>();

  constructor(
    private readonly of: Of,
    private readonly ledger: Ledger<unknown> | undefined,
    /** In memory; a batch whose entries would not fit stays where it is. */
    private readonly mostInMemory: number,
  ) {}

  /** In the transaction of the batch they were part of. */
  async bury(tx: unknown, batch: string, refusals: readonly Refusal[]): Promise<void> {
    if (refusals.length === 0) return;
    const buriedAt = new Date().toISOString();
    const rows = refusals.map(({ entry, reason }) => ({
      ...this.of,
      id: `${batch}:${entry.seq}`,
      content: serialize({ key: entry.key, change: entry.change }).toString('base64'),
      reason: reason.slice(0, 1_000),
      buriedAt,
    }));
    if (this.ledger !== undefined) return this.ledger.bury(tx, rows);
    for (const row of rows) this.rows.set(row.id, row);
  }

  /** @throws if so many more would not fit */
  expect(more: number): void {
    if (this.ledger !== undefined || this.rows.size + more <= this.mostInMemory) return;
    throw new CacheFlushFailedError(
      this.of.entity,
      `${this.rows.size} of its dead letters are in memory, and there is no room for more. Fix: retry() or discard() them`,
    );
  }

  /** Whether removing one can be part of the transaction that writes it. */
  get transactional(): boolean {
    return this.ledger !== undefined;
  }

  /** Puts back what was taken from memory. */
  putBack(row: BuriedRow): void {
    this.rows.set(row.id, row);
  }

  /** False if somebody else has removed it before. */
  async exhume(tx: unknown, id: string): Promise<boolean> {
    return this.ledger === undefined
      ? this.rows.delete(id)
      : this.ledger.exhume(tx, { ...this.of, id });
  }

  discard(id: string): Promise<boolean> {
    return this.ledger === undefined
      ? this.exhume(undefined, id)
      : this.ledger.transaction((tx) => this.exhume(tx, id));
  }

  async all(): Promise<{ row: BuriedRow; entry: Pick<Entry, 'key' | 'change'> }[]> {
    const rows = this.ledger === undefined ? this.rows.values() : await this.ledger.buried(this.of);
    return [...rows].map((row) => ({
      row,
      entry: deserialize(Buffer.from(row.content, 'base64')) as { key: EntityKey; change: Pending },
    }));
  }
}

export function deadLetter<E extends AnyEntity>(
  row: BuriedRow,
  entry: Pick<Entry, 'key' | 'change'>,
  revive: ((plain: unknown) => unknown) | undefined,
): DeadLetter<E> {
  const seq = Number(row.id.slice(row.id.lastIndexOf(':') + 1));
  const { id, reason, buriedAt } = row;
  const { key, change } = entry;
  const shown =
    change.op === 'add'
      ? { key, seq, op: 'add', by: exactly(change.by, change.as) }
      : handedOut({ key, change, id: '', seq, mutations: 1 }, revive && tolerant(revive));
  return { ...(shown as Counted<FlushEntry<E>>), id, reason, buriedAt: new Date(buriedAt) };
}

/** What `revive` cannot make any more is shown as it is kept: others must not go unseen for it. */
function tolerant(revive: (plain: unknown) => unknown): (plain: unknown) => unknown {
  return (plain) => {
    try {
      return revive(plain);
    } catch {
      return plain;
    }
  };
}

/** The name of a batch, the same on every attempt. */
export function batchId({ namespace, entity }: Of, segment: Segment): string {
  return [namespace, entity, segment.shard, segment.incarnation, segment.lastSeq].join(':');
}
