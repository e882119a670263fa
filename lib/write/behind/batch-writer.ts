import {
  CacheFlushFailedError,
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
import { Ending, findPoison, writeSingly, type Trial } from './poison.js';
import type { TimeLimit } from './time-limit.js';

/** Who writes the batches of an entity. */
export interface FlushTarget {
  readonly flush: (batch: FlushBatch<any>, tx: unknown) => Promise<Flushed> | Flushed;
  readonly ledger: Ledger<unknown> | undefined;
}

export interface Attempt {
  readonly number: number;
  readonly signal: AbortSignal;
  /** Whether what takes several transactions is to go on: not when the application has ended. */
  readonly goesOn: () => boolean;
  /** Done in the same transaction, after the effects of the batch; false if they are not to be. */
  readonly inside?: (tx: unknown) => Promise<boolean>;
}

/** What happened to a mutation whose caller waits, and to nothing else: it is not written, and that is known. */
export class Withdrawn extends Error {
  constructor(readonly because: Error) {
    super(because.message);
  }
}

/** What was to be written in the same transaction was not possible any more. */
export const NOT_ANY_MORE = new Error('It is not there any more.');

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

  /**
   * `witnesses`: given where the batch failed too often as a whole, so that what in it cannot be written is to be found.
   * They wait behind it.
   */
  async write(
    segment: Segment,
    attempt: Attempt,
    witnesses: readonly Entry[] | undefined,
  ): Promise<Written> {
    const { ledger } = this.target;
    if (ledger === undefined) return this.writeUnguarded(segment, attempt, witnesses);
    const trial: Trial = (entries) => this.trial(ledger, segment, entries, attempt);
    const found = witnesses && (await findPoison(segment.entries, witnesses, trial));
    return this.transaction(ledger, attempt, async (tx, attempt) => {
      const verdict = await ledger.advance(tx, this.position(segment));
      if (verdict === 'duplicate' || verdict === 'regressed') return { verdict, buried: [] };
      if (verdict === 'overlapping') {
        throw new CacheFlushFailedError(
          this.of.entity,
          'the ledger says that a part of it is written already',
        );
      }
      const entries = without(segment, found);
      const refusals = [...(found ?? []), ...(await this.call(segment, entries, attempt, tx))];
      await this.confirm(ledger, segment, tx);
      await this.bury(segment, refusals, tx);
      if ((await attempt.inside?.(tx)) === false) throw new Withdrawn(NOT_ANY_MORE);
      return { verdict: 'applied', buried: refusals.map(({ entry }) => entry) };
    });
  }

  private async writeUnguarded(
    segment: Segment,
    attempt: Attempt,
    witnesses: readonly Entry[] | undefined,
  ): Promise<Written> {
    const { entries } = segment;
    // Else what else is in the batch would be written again and again.
    if (segment.awaited === undefined) this.deadLetters.expect(entries.length);
    const refusals =
      witnesses === undefined
        ? await this.callInTime(this.idOf(segment), entries, attempt)
        : await writeSingly(entries, witnesses, async (entry) => {
            attempt.signal.throwIfAborted();
            if (!attempt.goesOn()) throw new Ending(this.of.entity);
            // An id of its own: who remembers ids would take it for the batch.
            return this.callInTime(`${this.idOf(segment)}:${entry.seq}`, [entry], attempt);
          });
    attempt.signal.throwIfAborted();
    await this.bury(segment, refusals, undefined);
    return { verdict: 'applied', buried: refusals.map(({ entry }) => entry) };
  }

  private async trial(
    ledger: Ledger<unknown>,
    segment: Segment,
    entries: readonly Entry[],
    attempt: Attempt,
  ): ReturnType<Trial> {
    if (!attempt.goesOn()) throw new Ending(this.of.entity);
    let rejected: readonly Refusal[] | undefined;
    try {
      await this.transaction(ledger, attempt, async (tx, attempt) => {
        const verdict = await ledger.advance(tx, this.position(segment));
        if (verdict === 'advanced') {
          const refusals = await this.call(segment, entries, attempt, tx);
          await this.confirm(ledger, segment, tx);
          rejected = refusals;
        } else {
          // Written already, or not to be written: the last transaction says so.
          rejected = [];
        }
        throw new Undo();
      });
    } catch (error) {
      attempt.signal.throwIfAborted();
      if (error instanceof CacheFlushTimeoutError) throw error;
      return rejected === undefined ? { error } : { rejected };
    }
    throw new CacheFlushFailedError(
      this.of.entity,
      'transaction() of the ledger committed although its work was rejected',
    );
  }

  /**
   * Some clients commit what a swallowed error has undone, or was never part of the transaction. Then the ledger is not
   * where it was moved to, or its database refuses to say. Asked so that the ledger has nothing to move: where the
   * transaction has ended, that would be committed.
   */
  private async confirm(ledger: Ledger<unknown>, segment: Segment, tx: unknown): Promise<void> {
    const position = { ...this.position(segment), previousSeq: segment.lastSeq };
    const verdict = await ledger.advance(tx, position);
    if (verdict === 'duplicate' || verdict === 'advanced') return;
    throw new CacheFlushFailedError(
      this.of.entity,
      'the ledger is not where it was moved to in the same transaction: an error that was swallowed has undone it. Fix: let the flushing method throw what its statements throw',
    );
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

  private callInTime(id: string, entries: readonly Entry[], attempt: Attempt) {
    return this.limit.run(attempt.signal, (signal) =>
      this.callAs(id, entries, { ...attempt, signal }, undefined),
    );
  }

  private call(segment: Segment, entries: readonly Entry[], attempt: Attempt, tx: unknown) {
    return this.callAs(this.idOf(segment), entries, attempt, tx);
  }

  private async callAs(
    id: string,
    entries: readonly Entry[],
    { number, signal }: Attempt,
    tx: unknown,
  ): Promise<Refusal[]> {
    signal.throwIfAborted();
    if (entries.length === 0) return [];
    const { revive, entity } = this.of;
    const batch: FlushBatch<any> = {
      id,
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
    if (segment.awaited !== undefined && refusals.length > 0) {
      const { reason } = refusals[0]!;
      throw new Withdrawn(new CacheMutationRejectedError(this.of.entity, reason));
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

function without({ entries }: Segment, refusals: readonly Refusal[] = []): readonly Entry[] {
  if (refusals.length === 0) return entries;
  const refused = new Set(refusals.map(({ entry }) => entry));
  return entries.filter((entry) => !refused.has(entry));
}
