import { randomUUID } from 'node:crypto';
import type { Entry, Journal, Operation, Put, Segment } from './journal.js';
import { fold, type Pending } from './pending.js';
import { Producers } from './producers.js';

interface Frozen {
  readonly segment: Segment;
  readonly byId: ReadonlyMap<string, Entry>;
}

const NOTHING: ReadonlyMap<string, Entry> = new Map();

/**
 * A journal in the memory of this process: the default, and the model for others.
 *
 * Each method takes effect before it returns; the promises are the contract's.
 */
export class MemoryJournal implements Journal {
  incarnation: string = randomUUID();
  private seq = 0;
  private sealedSeq = 0;
  private frozenKeys = 0;
  private open = new Map<string, Entry>();
  private frozen: Frozen[] = [];
  private readonly producers = new Producers();

  constructor(
    readonly shard: number,
    private readonly maxBatch: number,
    private readonly maxPending: number,
  ) {}

  get size(): number {
    return this.frozenKeys + this.open.size;
  }

  get sealed(): number {
    return this.frozen.length;
  }

  put(operation: Operation, accepted: () => void): Promise<Put> {
    return Promise.resolve(this.accept(operation, accepted));
  }

  private accept(operation: Operation, accepted: () => void): Put {
    const { id, key, change } = operation;
    if (operation.incarnation !== this.incarnation) return { outcome: 'ambiguous' };
    const known = this.producers.knows(operation);
    if (known !== undefined) return { outcome: known };
    const before = this.open.get(id);
    // What joins an entry that waits already takes no room.
    if (before === undefined && this.size >= this.maxPending) return { outcome: 'full' };
    if (before === undefined && this.open.size >= this.maxBatch) this.freeze();
    this.producers.remember(operation);
    const seq = ++this.seq;
    const mutations = (before?.mutations ?? 0) + 1;
    this.open.set(id, { id, key, change: fold(before?.change, change), seq, mutations });
    accepted();
    return { outcome: 'accepted', seq };
  }

  putAwaited({ id, key, change, number }: Operation): Promise<Segment> {
    this.freeze();
    const entry = { id, key, change, seq: ++this.seq, mutations: 1 };
    return Promise.resolve(this.push([entry], NOTHING, number));
  }

  seal(): Promise<number> {
    this.freeze();
    return Promise.resolve(this.sealedSeq);
  }

  head(): Promise<Segment | undefined> {
    return Promise.resolve(this.frozen[0]?.segment);
  }

  behind({ lastSeq, entries }: Segment, most: number, turn: number): Promise<readonly Entry[]> {
    const own = new Set(entries.map(({ id }) => id));
    const oldest = new Map<string, Entry>();
    const later = this.frozen.filter(({ segment }) => segment.lastSeq > lastSeq);
    for (const { byId } of [...later, { byId: this.open }]) {
      for (const [id, entry] of byId) if (!own.has(id) && !oldest.has(id)) oldest.set(id, entry);
    }
    const all = [...oldest.values()];
    const first = (turn * most) % Math.max(1, all.length);
    return Promise.resolve([...all.slice(first), ...all.slice(0, first)].slice(0, most));
  }

  acknowledge({ lastSeq, incarnation }: Segment): Promise<void> {
    const head = this.frozen[0]?.segment;
    if (head?.lastSeq === lastSeq && head.incarnation === incarnation) {
      this.frozen.shift();
      this.frozenKeys -= head.entries.length;
    }
    return Promise.resolve();
  }

  cancel({ lastSeq }: Segment): Promise<void> {
    const index = this.frozen.findIndex(({ segment }) => segment.lastSeq === lastSeq);
    const given = this.frozen[index];
    if (given?.segment.awaited === undefined) return Promise.resolve();
    const { segment } = given;
    this.frozenKeys -= segment.entries.length;
    if (index === 0) this.frozen[0] = { segment: { ...segment, entries: [] }, byId: NOTHING };
    else this.unlink(index, segment);
    return Promise.resolve();
  }

  /** Nobody has tried to write it, nor what comes after it: the sequence may do without it. */
  private unlink(index: number, { previousSeq }: Segment): void {
    this.frozen.splice(index, 1);
    const next = this.frozen[index];
    if (next === undefined) this.sealedSeq = previousSeq;
    else this.frozen[index] = { ...next, segment: { ...next.segment, previousSeq } };
  }

  beginAnew(ended: string): Promise<void> {
    if (ended !== this.incarnation) return Promise.resolve();
    this.incarnation = randomUUID();
    const { incarnation } = this;
    this.frozen = this.frozen.map(({ segment, byId }, index) => {
      const previousSeq = index === 0 ? 0 : segment.previousSeq;
      return { segment: { ...segment, incarnation, previousSeq }, byId };
    });
    if (this.frozen.length === 0) this.sealedSeq = 0;
    return Promise.resolve();
  }

  pendingOf(id: string): Pending | undefined {
    let pending: Pending | undefined;
    for (const { byId } of this.frozen) {
      const entry = byId.get(id);
      if (entry !== undefined) pending = fold(pending, entry.change);
    }
    const entry = this.open.get(id);
    return entry === undefined ? pending : fold(pending, entry.change);
  }

  private freeze(): void {
    if (this.open.size === 0) return;
    const byId = this.open;
    this.open = new Map();
    this.push(
      [...byId.values()].sort((a, b) => a.seq - b.seq),
      byId,
      undefined,
    );
  }

  /** `byId`: what readers see of it. */
  private push(
    entries: readonly Entry[],
    byId: Frozen['byId'],
    awaited: Segment['awaited'],
  ): Segment {
    const { shard, incarnation, sealedSeq: previousSeq, seq: lastSeq } = this;
    const segment = { shard, incarnation, previousSeq, lastSeq, entries, awaited };
    this.sealedSeq = lastSeq;
    this.frozenKeys += entries.length;
    this.frozen.push({ segment, byId });
    return segment;
  }
}
