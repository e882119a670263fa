import { randomUUID } from 'node:crypto';
import type { AnyEntity, EntityKey } from '../../contract/entity.js';
import type { WriteBehindPolicy } from '../../contract/policy.js';
import type { DistributedLock } from '../../coordination/distributed-lock.js';
import { idOf, ownKey } from '../../entry/key.js';
import { CacheUsageError } from '../../errors/cache.error.js';
import { CacheJournalFullError } from '../../errors/write-behind.error.js';
import type { EventSource, Trace } from '../../events/event-source.js';
import type { EntityState } from '../../store/entity-state.js';
import type { Background } from '../../time/background.js';
import type { Clock } from '../../time/clock.js';
import { calls, isFlushing, isLoading } from '../../read/call-context.js';
import { BatchWriter, NOT_ANY_MORE, type Attempt, type FlushTarget } from './batch-writer.js';
import { batchId, deadLetter, DeadLetters, type DeadLetter } from './dead-letters.js';
import { FlushReport, type JournalStatus } from './flush-report.js';
import { Flusher } from './flusher.js';
import { Gate } from './gate.js';
import type { Journal, Operation } from './journal.js';
import type { Receipt } from './mutation.js';
import { PendingReads } from './pending-reads.js';
import { pendingOf, type Pending } from './pending.js';
import { TimeLimit } from './time-limit.js';

export interface WriteBehindParts {
  readonly namespace: string;
  readonly clock: Clock;
  readonly background: Background;
  readonly lock: DistributedLock;
  readonly events: EventSource;
  /** Makes readers see what was accepted. */
  readonly show: (id: string, change: Pending, trace: Trace | undefined) => void;
  /** Forgets a cached value that is not what the source says. */
  readonly forget: (id: string) => void;
  readonly journal: (shard: number) => Journal;
}

interface Shard {
  readonly journal: Journal;
  readonly gate: Gate;
  readonly flusher: Flusher;
}

/** Accepts the mutations of one entity, and has them written. */
export class WriteBehind {
  private readonly shards: readonly Shard[];
  private readonly report: FlushReport;
  private readonly producer = randomUUID();
  private number = 0;
  private target: { batches: BatchWriter; deadLetters: DeadLetters } | undefined;
  private hurried = false;
  private closed = false;

  constructor(
    private readonly state: EntityState,
    private readonly parts: WriteBehindParts,
  ) {
    this.report = new FlushReport(state.policy.entity, parts.events, parts.forget);
    const { shards } = this.policy;
    this.shards = Array.from({ length: shards }, (_, shard) => this.open(shard));
    state.pending = new PendingReads((id) => this.shardOf(id), state.policy.revive);
  }

  /** From now on mutations are accepted: there is somebody to write them. */
  bind(target: FlushTarget): void {
    const { namespace, background } = this.parts;
    const { entity, revive } = this.state.policy;
    const after = (ms: number, task: () => void) => background.after(ms, task);
    const limit = new TimeLimit(entity, this.policy.flushTimeoutMs, after);
    const of = { namespace, entity, revive };
    const deadLetters = new DeadLetters(of, target.ledger, this.policy.maxPending);
    this.target = { batches: new BatchWriter(of, target, deadLetters, limit), deadLetters };
  }

  /**
   * Resolves once it is in the journal, and readers see it.
   *
   * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID, CACHE_NOT_RUNNING
   * @throws {CacheJournalFullError} CACHE_JOURNAL_FULL
   */
  async accept(id: string, key: EntityKey, mutation: unknown, trace?: Trace): Promise<Receipt> {
    const { journal, flusher } = this.shardOf(id);
    const change = this.checked(mutation);
    const put = await journal.put(this.operation(journal, id, key, change), () => {
      this.report.accept(id, trace);
      this.parts.show(id, change, trace);
    });
    if (put.outcome === 'full') {
      throw new CacheJournalFullError(this.state.policy.entity, flusher.retryAfterMs());
    }
    // Each operation is sent once, and to the journal as it is now.
    if (put.outcome !== 'accepted') throw new Error(`A new mutation was taken for ${put.outcome}.`);
    flusher.accepted();
    if (this.hurried && this.inside() === undefined) await flusher.flushIfItWorks();
    return { seq: put.seq, shard: journal.shard, durable: 'memory' };
  }

  /**
   * Resolves when it is written, after all that was accepted before it. If that does not work at the first attempt it
   * is not written, and rejects with what the attempt failed with.
   */
  async acceptWritten(id: string, key: EntityKey, mutation: unknown): Promise<void> {
    const change = this.checked(mutation);
    this.mayWait('a mutation that is to be written at once');
    await this.write(id, key, change);
  }

  /** Resolves when all that has been accepted until now is written; rejects with what an attempt fails with. */
  async flush(): Promise<void> {
    this.running();
    this.mayWait('flush()');
    const ends = await Promise.allSettled(this.shards.map(({ flusher }) => flusher.flush()));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** The application is ending: who changes something now waits until it is written, if that works at once. */
  hurry(): void {
    this.hurried = true;
  }

  /** No mutation is accepted any more, and no batch is begun. */
  close(): void {
    this.closed = true;
    for (const { flusher } of this.shards) flusher.stop();
  }

  /** What is still pending when nothing is under way any more is lost. */
  reportLost(): void {
    this.report.lost();
  }

  get status(): JournalStatus {
    return this.report.status;
  }

  async deadLetters(): Promise<DeadLetter<AnyEntity>[]> {
    const { revive } = this.state.policy;
    const all = await this.running().deadLetters.all();
    return all.map(({ row, entry }) => deadLetter(row, entry, revive));
  }

  /** Writes a dead letter after all, in the transaction that removes it. False if it is not there (any more). */
  async retry(letter: string): Promise<boolean> {
    const { deadLetters } = this.running();
    this.mayWait('retry()');
    const found = (await deadLetters.all()).find(({ row }) => row.id === letter);
    if (found === undefined) return false;
    const { key, change } = found.entry;
    const exhume = (tx: unknown) => deadLetters.exhume(tx, letter);
    const { transactional } = deadLetters;
    // Without a transaction: taken before, so that of two who retry it one writes it.
    if (!transactional && !(await exhume(undefined))) return false;
    try {
      const id = idOf(key, this.state.policy.entity);
      await this.write(id, key, change, transactional ? exhume : undefined);
      return true;
    } catch (error) {
      if (error === NOT_ANY_MORE) return false;
      if (!transactional) deadLetters.putBack(found.row);
      throw error;
    }
  }

  /** Removes a dead letter without writing it. False if it is not there (any more). */
  discard(letter: string): Promise<boolean> {
    return this.running().deadLetters.discard(letter);
  }

  private async write(
    id: string,
    key: EntityKey,
    change: Pending,
    inside?: Attempt['inside'],
  ): Promise<void> {
    const { journal, flusher } = this.shardOf(id);
    await flusher.flushAwaited(this.operation(journal, id, key, change), inside);
  }

  private get policy(): WriteBehindPolicy {
    return this.state.policy.writeBehind!;
  }

  private open(shard: number): Shard {
    const { clock, background, lock, namespace } = this.parts;
    const { entity } = this.state.policy;
    const [journal, gate] = [this.parts.journal(shard), new Gate()];
    const flusher = new Flusher({
      policy: this.policy,
      journal,
      gate,
      clock,
      background,
      lock,
      lockName: `${namespace}/flush/${entity}/${shard}`,
      write: (segment, attempt, witnesses) =>
        this.target!.batches.write(segment, attempt, witnesses),
      written: (segment, outcome, ms) =>
        this.report.written(segment, batchId({ namespace, entity }, segment), outcome, ms),
      ended: () => this.ended(),
      failed: (segment, error, ms) =>
        this.report.failed(segment, batchId({ namespace, entity }, segment), error, ms),
    });
    return { journal, gate, flusher };
  }

  private shardOf(id: string): Shard {
    const { shards } = this;
    return shards.length === 1 ? shards[0]! : shards[hash(id) % shards.length]!;
  }

  private operation(journal: Journal, id: string, key: EntityKey, change: Pending): Operation {
    const { producer } = this;
    const own = ownKey(key);
    return {
      id,
      key: own,
      change,
      producer,
      number: ++this.number,
      incarnation: journal.incarnation,
    };
  }

  private checked(mutation: unknown): Pending {
    this.running();
    const { entity, revive } = this.state.policy;
    return pendingOf(mutation, { entity, merge: this.policy.merge, revive });
  }

  /** A batch waits for the loads of its keys, and for the batches before it: who is part of one would wait for itself. */
  private mayWait(what: string): void {
    const inside = this.inside();
    if (inside === undefined) return;
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `${what} of '${this.state.policy.entity}' was called inside ${inside}: it might wait for itself`,
      'call it before or after, or do not await it there.',
    );
  }

  private inside(): string | undefined {
    const context = calls.getStore();
    if (isFlushing(context)) return 'a method that writes a batch';
    return isLoading(context, this.state) ? 'a loader of the same entity' : undefined;
  }

  private ended(): CacheUsageError {
    return new CacheUsageError(
      'CACHE_NOT_RUNNING',
      `'${this.state.policy.entity}' was asked to write something after the application had shut down`,
      'let what writes end in beforeApplicationShutdown or onApplicationShutdown.',
    );
  }

  private running() {
    if (this.target !== undefined && !this.closed) return this.target;
    const { entity } = this.state.policy;
    throw this.closed
      ? this.ended()
      : new CacheUsageError(
          'CACHE_NOT_RUNNING',
          `'${entity}' was asked to write something before the application had started: nothing would write it`,
          'await app.init() or app.listen() first, also in a testing module.',
        );
  }
}

/** FNV-1a: spreads ids evenly, and always alike. */
function hash(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
