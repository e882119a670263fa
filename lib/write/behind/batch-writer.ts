import {
  CacheFlushTimeoutError,
  CacheMutationRejectedError,
} from '../../errors/write-behind.error.js';
import { batchId, type DeadLetters } from './dead-letters.js';
import {
  handedOut,
  refusalsOf,
  type FlushBatch,
  type Flushed,
  type Refusal,
} from './flush-batch.js';
import type { Entry, Segment } from './journal.js';
import type { Ledger } from './ledger.js';
import type { TimeLimit } from './time-limit.js';

/** Who writes the batches of an entity. */
export interface FlushTarget {
  readonly flush: (batch: FlushBatch<any>, tx: unknown) => Promise<Flushed> | Flushed;
  readonly ledger: Ledger<unknown> | undefined;
}

export interface Attempt {
  readonly number: number;
  readonly signal: AbortSignal;
  /** Written in the same transaction, after the effects of the batch. */
  readonly inside?: (tx: unknown) => Promise<void>;
}

export interface Written {
  readonly verdict: 'applied' | 'duplicate' | 'regressed';
  readonly buried: readonly Entry[];
}

interface Of {
  readonly namespace: string;
  readonly entity: string;
  readonly revive: ((plain: unknown) => unknown) | undefined;
}

/** Thrown to undo a transaction in which everything went well. */
class Undo extends Error {}

/** Writes one frozen batch: with a ledger in one transaction, which has its effect once however often it is tried. */
export class BatchWriter {
  constructor(
    private readonly of: Of,
    private readonly target: FlushTarget,
    private readonly deadLetters: DeadLetters,
    private readonly limit: TimeLimit,
  ) {}

  /** `singly`: the batch failed too often as a whole, so what in it cannot be written is to be found. */
  async write(segment: Segment, attempt: Attempt, singly: boolean): Promise<Written> {
    const { ledger } = this.target;
    if (ledger === undefined) return this.writeUnguarded(segment, attempt, singly);
    const found = singly ? await this.findRefusals(ledger, segment, attempt) : [];
    return this.transaction(ledger, attempt, async (tx, attempt) => {
      const verdict = await ledger.advance(tx, this.position(segment));
      if (verdict === 'duplicate' || verdict === 'regressed') return { verdict, buried: [] };
      if (verdict === 'overlapping') {
        throw new Error(
          `The ledger says that a part of batch ${this.idOf(segment)} is written already.`,
        );
      }
      const refusals = [
        ...found,
        ...(await this.call(segment, without(segment, found), attempt, tx)),
      ];
      await this.bury(segment, refusals, tx);
      await attempt.inside?.(tx);
      return { verdict: 'applied', buried: refusals.map(({ entry }) => entry) };
    });
  }

  private async writeUnguarded(
    segment: Segment,
    attempt: Attempt,
    singly: boolean,
  ): Promise<Written> {
    const refusals = singly
      ? await this.writeSingly(segment, attempt)
      : await this.callInTime(segment, segment.entries, attempt);
    await this.bury(segment, refusals, undefined);
    await attempt.inside?.(undefined);
    return { verdict: 'applied', buried: refusals.map(({ entry }) => entry) };
  }

  /** Without transactions there is nothing to undo: what works is written, perhaps for the second time. */
  private async writeSingly(segment: Segment, attempt: Attempt): Promise<Refusal[]> {
    const refusals: Refusal[] = [];
    let failure: { error: unknown } | undefined;
    for (const entry of segment.entries) {
      try {
        refusals.push(...(await this.callInTime(segment, [entry], attempt)));
      } catch (error) {
        attempt.signal.throwIfAborted();
        failure = { error };
        refusals.push({ entry, reason: reasonOf(error) });
      }
    }
    // If nothing at all could be written it is the target that fails.
    if (failure !== undefined && refusals.length === segment.entries.length) throw failure.error;
    return refusals;
  }

  /**
   * The entries without which the rest can be written, found by trials that are undone. Grown from the good ones, so
   * that of two entries which only fail together one is found.
   */
  private async findRefusals(
    ledger: Ledger<unknown>,
    segment: Segment,
    attempt: Attempt,
  ): Promise<Refusal[]> {
    let good: readonly Entry[] = [];
    const refusals: Refusal[] = [];
    const outage = await this.trial(ledger, segment, [], attempt);
    if (outage !== undefined) throw outage.error;
    const divide = async (entries: readonly Entry[]): Promise<void> => {
      const failure = await this.trial(ledger, segment, [...good, ...entries], attempt);
      // What took too long says nothing of the entries.
      if (failure?.error instanceof CacheFlushTimeoutError) throw failure.error;
      attempt.signal.throwIfAborted();
      if (failure === undefined) {
        good = [...good, ...entries];
      } else if (entries.length > 1) {
        const half = Math.ceil(entries.length / 2);
        await divide(entries.slice(0, half));
        await divide(entries.slice(half));
      } else {
        // A database that is out of reach is no fault of the entry.
        const without = await this.trial(ledger, segment, good, attempt);
        if (without !== undefined) throw without.error;
        refusals.push({ entry: entries[0]!, reason: reasonOf(failure.error) });
      }
    };
    if (segment.entries.length > 0) await divide(segment.entries);
    return refusals;
  }

  private async trial(
    ledger: Ledger<unknown>,
    segment: Segment,
    entries: readonly Entry[],
    attempt: Attempt,
  ): Promise<{ error: unknown } | undefined> {
    let went = false;
    try {
      await this.transaction(ledger, attempt, async (tx, attempt) => {
        await ledger.advance(tx, this.position(segment));
        await this.call(segment, entries, attempt, tx);
        went = true;
        throw new Undo();
      });
    } catch (error) {
      return went ? undefined : { error };
    }
    throw new Error('The ledger committed a transaction whose work was rejected.');
  }

  private transaction<T>(
    ledger: Ledger<unknown>,
    attempt: Attempt,
    work: (tx: unknown, attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    return this.limit.run(attempt.signal, (signal) =>
      ledger.transaction((tx) => work(tx, { ...attempt, signal })),
    );
  }

  private callInTime(segment: Segment, entries: readonly Entry[], attempt: Attempt) {
    return this.limit.run(attempt.signal, (signal) =>
      this.call(segment, entries, { ...attempt, signal }, undefined),
    );
  }

  private async call(
    segment: Segment,
    entries: readonly Entry[],
    { number, signal }: Attempt,
    tx: unknown,
  ): Promise<Refusal[]> {
    signal.throwIfAborted();
    if (entries.length === 0) return [];
    const { revive, entity } = this.of;
    const batch: FlushBatch<any> = {
      id: this.idOf(segment),
      attempt: number,
      entries: entries.map((entry) => handedOut(entry, revive)) as FlushBatch<any>['entries'],
      signal,
    };
    const refusals = refusalsOf(await this.target.flush(batch, tx), entries, entity);
    signal.throwIfAborted();
    return refusals;
  }

  private async bury(segment: Segment, refusals: readonly Refusal[], tx: unknown): Promise<void> {
    // Who waits is told, and nothing is written.
    if (segment.awaited && refusals.length > 0) {
      throw new CacheMutationRejectedError(this.of.entity, refusals[0]!.reason);
    }
    await this.deadLetters.bury(tx, this.idOf(segment), refusals);
  }

  private idOf(segment: Segment): string {
    return batchId(this.of, segment);
  }

  private position(segment: Segment) {
    const { shard, incarnation, previousSeq, lastSeq } = segment;
    const { namespace, entity } = this.of;
    return { id: this.idOf(segment), namespace, entity, shard, incarnation, previousSeq, lastSeq };
  }
}

function without({ entries }: Segment, refusals: readonly Refusal[]): readonly Entry[] {
  if (refusals.length === 0) return entries;
  const refused = new Set(refusals.map(({ entry }) => entry));
  return entries.filter((entry) => !refused.has(entry));
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
