import { deserialize, serialize } from 'node:v8';
import type { AnyEntity, EntityKey, KeyOf } from '../../contract/entity.js';
import { handedOut, type FlushEntry, type Refusal } from './flush-batch.js';
import type { Entry, Segment } from './journal.js';
import type { BuriedRow, Ledger } from './ledger.js';
import type { Pending } from './pending.js';

/** A mutation that could not be written. It is kept until somebody retries or discards it. */
export type DeadLetter<E extends AnyEntity> = {
  readonly id: string;
  /** What the flushing method said, or threw. */
  readonly reason: string;
  readonly buriedAt: Date;
} & FlushEntry<E>;

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
      id: `${batch}/${entry.seq}`,
      content: serialize({ key: entry.key, change: entry.change }).toString('base64'),
      reason: reason.slice(0, 1_000),
      buriedAt,
    }));
    if (this.ledger !== undefined) return this.ledger.bury(tx, rows);
    if (this.rows.size + rows.length > this.mostInMemory) {
      throw new Error(`${this.mostInMemory} dead letters are in memory, and no more fit`);
    }
    for (const row of rows) this.rows.set(row.id, row);
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
  const seq = Number(row.id.slice(row.id.lastIndexOf('/') + 1));
  const { id, reason, buriedAt } = row;
  const out = handedOut(
    { ...(entry as { key: KeyOf<E>; change: Pending }), id: '', seq, mutations: 1 },
    revive,
  );
  return { ...(out as FlushEntry<E>), id, reason, buriedAt: new Date(buriedAt) };
}

/** The name of a batch, the same on every attempt. */
export function batchId({ namespace, entity }: Of, segment: Segment): string {
  return [namespace, entity, segment.shard, segment.incarnation, segment.lastSeq].join('/');
}
