import { CacheError } from '../../errors/cache.error.js';
import type { EventSource, Trace } from '../../events/event-source.js';
import { channels, type CacheEvents } from '../../events/events.js';
import type { Written } from './batch-writer.js';
import type { Segment } from './journal.js';

/** Where the mutations of one entity stand. Counted in mutations since the application started. */
export interface JournalStatus {
  readonly accepted: number;
  /** Accepted, and neither written nor a dead letter yet. */
  readonly pending: number;
  readonly flushed: number;
  /** Batches that the ledger recognised as written before. */
  readonly duplicates: number;
  /** Moved to the dead letters. */
  readonly dead: number;
}

/** Counts what becomes of mutations, and tells it. */
export class FlushReport {
  private accepted = 0;
  private flushed = 0;
  private duplicates = 0;
  private dead = 0;

  constructor(
    private readonly entity: string,
    private readonly events: EventSource,
    /** Forgets a cached value that is not what the source says. */
    private readonly forget: (id: string) => void,
  ) {}

  get status(): JournalStatus {
    const { accepted, flushed, duplicates, dead } = this;
    return { accepted, pending: accepted - flushed - dead, flushed, duplicates, dead };
  }

  accept(id: string, trace: Trace | undefined): void {
    this.accepted++;
    if (!channels.accept.hasSubscribers) return;
    this.events.publish('accept', this.events.ofEntry(this.entity, id, trace));
  }

  written(segment: Segment, batch: string, { verdict, buried }: Written, flushMs: number): void {
    if (verdict === 'regressed') return this.regressed();
    const all = mutationsIn(segment.entries);
    const dead = mutationsIn(buried);
    if (segment.awaited !== undefined) this.accepted += all;
    this.flushed += all - dead;
    this.dead += dead;
    if (verdict === 'duplicate') this.duplicates++;
    // What an attempt rejected whose answer was lost is not known: readers must not count on any of it.
    const doubtful =
      verdict === 'duplicate' || segment.awaited !== undefined ? segment.entries : buried;
    for (const { id } of doubtful) this.forget(id);
    this.announce(segment, batch, verdict, flushMs);
    if (buried.length === 0) return;
    this.events.fault(
      'CACHE_MUTATION_BURIED',
      this.entity,
      `${buried.length} of the ${segment.entries.length} entries of a batch of '${this.entity}' could not be written; they are dead letters now. ` +
        `Fix: look at EntityCache.journal(entity).deadLetters(), then retry() or discard() them.`,
      undefined,
    );
  }

  failed(segment: Segment, batch: string, error: unknown, flushMs: number): void {
    this.announce(segment, batch, 'failed', flushMs);
    // It may be written all the same, and its caller is told that it failed.
    if (segment.awaited !== undefined) for (const { id } of segment.entries) this.forget(id);
    // Not the message of somebody else's: that may quote what a log should not hold.
    const what = error instanceof CacheError ? `: ${error.message}` : ` with ${nameOf(error)}.`;
    const then =
      segment.awaited === undefined
        ? 'Nothing is lost; it is tried again, unchanged.'
        : 'Its caller was told, and it is not tried again.';
    const message = `Writing a batch of '${this.entity}' failed${what} ${then}`;
    this.events.fault('CACHE_FLUSH_FAILED', this.entity, message, undefined);
  }

  /** Nobody will write what is pending. */
  lost(): void {
    const { pending } = this.status;
    if (pending === 0) return;
    const message = `${pending} accepted mutations of '${this.entity}' were lost, because they could not be written before the application ended.`;
    this.events.fault('CACHE_MUTATIONS_LOST', this.entity, message, undefined);
  }

  private regressed(): void {
    const message = `The ledger of '${this.entity}' stands before what it had acknowledged, as after a restore from a backup. What had been written since is gone with it; what is pending is written.`;
    this.events.fault('CACHE_LEDGER_REGRESSED', this.entity, message, undefined);
  }

  private announce(
    { entries }: Segment,
    batch: string,
    outcome: CacheEvents['flush']['outcome'],
    flushMs: number,
  ): void {
    if (!channels.flush.hasSubscribers) return;
    const about = this.events.ofEntity(this.entity, undefined);
    this.events.publish('flush', { ...about, batch, entries: entries.length, outcome, flushMs });
  }
}

/** Whatever was thrown: somebody may throw what cannot be looked at. */
function nameOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.name) : typeof error;
  } catch {
    return 'something odd';
  }
}

function mutationsIn(entries: readonly { readonly mutations: number }[]): number {
  return entries.reduce((sum, { mutations }) => sum + mutations, 0);
}
