import { AsyncResource } from 'node:async_hooks';
import type { WriteBehindPolicy } from '../../contract/policy.js';
import type { DistributedLock } from '../../coordination/distributed-lock.js';
import type { Background } from '../../time/background.js';
import type { Clock } from '../../time/clock.js';
import { Withdrawn, type Attempt, type Written } from './batch-writer.js';
import type { Gate } from './gate.js';
import type { Entry, Journal, Operation, Segment } from './journal.js';
import { Waiters } from './waiters.js';

/** How much a new flush counts in the average that predicts waiting times. */
const WEIGHT = 0.2;
const SHORTEST_RETRY_MS = 100;
/** How many entries that wait are asked whether anything can be written at all. */
const WITNESSES = 5;

export interface FlusherParts {
  readonly policy: WriteBehindPolicy;
  readonly journal: Journal;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly background: Background;
  readonly lock: DistributedLock;
  /** Only one flusher at a time should write what this one writes. */
  readonly lockName: string;
  readonly write: (
    segment: Segment,
    attempt: Attempt,
    witnesses: readonly Entry[] | undefined,
  ) => Promise<Written>;
  /** Called in the turn in which the segment is forgotten. */
  readonly written: (segment: Segment, outcome: Written, flushMs: number) => void;
  readonly failed: (segment: Segment, error: unknown, flushMs: number) => void;
  /** What who waits is told when nothing is written any more. */
  readonly ended: () => Error;
}

interface Outcome {
  readonly segment: Segment;
  readonly outcome: Written;
  readonly flushMs: number;
}

/** Writes what a shard has accepted, one segment after the other, each until it is written. */
export class Flusher {
  private running: Promise<void> | undefined;
  private again = false;
  /** What is open has waited long enough, for a batch that was being written. */
  private due = false;
  private stopped = false;
  private timer: (() => void) | undefined;
  private failures = 0;
  private averageMs = 0;
  private retryAt = 0;
  private readonly waiters = new Waiters();
  /** Written, and the journal does not know it yet. */
  private written: Outcome | undefined;
  /** Known not to be written, and the journal does not know it yet. */
  private withdrawn: { segment: Segment; because: Error } | undefined;

  /** Batches belong to no request: they are written in the context in which the application started. */
  private readonly runInOwnContext = AsyncResource.bind(() => this.run());

  constructor(private readonly parts: FlusherParts) {}

  /** Something was accepted. */
  accepted(): void {
    if (this.failures > 0 || this.stopped) return;
    // Also while a batch is written: what waits then has waited when that is over.
    if (this.running === undefined && this.parts.journal.sealed > 0) this.start();
    else this.timer ??= this.after(this.parts.policy.flushEveryMs);
  }

  /** Resolves when all that has been accepted until now is written; rejects with what the next attempt fails with. */
  async flush(): Promise<void> {
    const { journal, ended } = this.parts;
    if (this.stopped) throw ended();
    const upTo = await journal.seal();
    if ((await journal.head()) === undefined && this.written === undefined) return;
    const waiting = this.waiters.until(upTo);
    this.start();
    await waiting;
  }

  /** As {@link flush}; but does not wait where the last attempt has failed, and leaves it at that. */
  async flushIfItWorks(): Promise<void> {
    if (this.failures > 0) return;
    // Told as an event by who tries.
    await this.flush().catch(() => undefined);
  }

  /** Resolves when the mutation is written, after all that was accepted before; if an attempt fails, it is given up. */
  flushAwaited(operation: Operation, inside?: Attempt['inside']): Promise<void> {
    if (this.stopped) return Promise.reject(this.parts.ended());
    // Before it has a segment: whoever writes that finds what belongs into its transaction.
    const { waiter, waiting } = this.waiters.forOne(operation.number, inside);
    this.parts.journal.putAwaited(operation).then(
      (segment) => {
        waiter.segment = segment;
        this.start();
      },
      (error: unknown) => this.waiters.fail(waiter, error),
    );
    return waiting;
  }

  /** When there will probably be room. */
  retryAfterMs(): number {
    const { journal, clock } = this.parts;
    const pause = this.failures > 0 ? Math.max(0, this.retryAt - clock.monotonic()) : 0;
    return Math.max(SHORTEST_RETRY_MS, Math.ceil(pause + this.averageMs * (journal.sealed + 1)));
  }

  /** No attempt begins any more. */
  stop(): void {
    this.stopped = true;
    this.cancelTimer();
    if (this.running === undefined) this.abandon();
  }

  private abandon(): void {
    if (this.waiters.size > 0) this.waiters.failAll(this.parts.ended());
  }

  private cancelTimer(): void {
    this.timer?.();
    this.timer = undefined;
  }

  private after(ms: number): () => void {
    return this.parts.background.after(ms, () => {
      this.timer = undefined;
      this.due = this.running !== undefined;
      void this.sealIfIdle().then(() => this.start());
    });
  }

  /** While older segments wait, what is open goes on collecting: it would only wait behind them. */
  private async sealIfIdle(): Promise<void> {
    const { journal } = this.parts;
    try {
      if (journal.sealed === 0) await journal.seal();
    } catch {
      // The next timer tries again.
    }
  }

  private start(): void {
    this.again = true;
    if (this.running !== undefined) return;
    this.cancelTimer();
    this.running = this.runInOwnContext();
    this.parts.background.track(this.running);
  }

  private async run(): Promise<void> {
    while (this.again) {
      this.again = false;
      if (this.due) await this.sealIfIdle();
      this.due = false;
      while (!this.stopped) {
        const step = await this.step();
        if (step === 'idle') break;
        // Who has come just then waits for the next attempt, and not for the pause before it.
        if (step === 'failed' && this.again && this.waiters.size > 0) {
          this.again = false;
          continue;
        }
        if (step === 'failed') {
          this.running = undefined;
          return this.stopped ? this.abandon() : this.pause();
        }
      }
    }
    // In the turn of the last look at `again`: a start after it begins anew.
    this.running = undefined;
    if (this.stopped) this.abandon();
    else if (this.parts.journal.size > 0) this.timer ??= this.after(this.parts.policy.flushEveryMs);
  }

  private async step(): Promise<'done' | 'failed' | 'idle'> {
    const { journal, clock } = this.parts;
    if (this.withdrawn !== undefined) return this.withdraw(this.withdrawn);
    if (this.written === undefined) {
      const head = await journal.head().then(
        (segment) => ({ segment }),
        () => undefined,
      );
      if (head === undefined) return 'idle';
      const { segment } = head;
      if (segment === undefined) return this.rest();
      const startedAt = clock.monotonic();
      try {
        const outcome = await this.write(segment);
        this.written = { segment, outcome, flushMs: clock.monotonic() - startedAt };
      } catch (error) {
        // Only who can tell its caller takes a mutation back.
        if (error instanceof Withdrawn && this.waiters.of(segment) !== undefined) {
          return this.withdraw((this.withdrawn = { segment, because: error.because }));
        }
        this.failures++;
        this.parts.failed(segment, error, clock.monotonic() - startedAt);
        await this.giveUp(error);
        return 'failed';
      }
    }
    return this.acknowledge(this.written);
  }

  /** All is written, if not by us; unless more has been sealed since. */
  private rest(): 'idle' {
    if (this.parts.journal.sealed > 0) return 'idle';
    this.waiters.allWritten();
    return 'idle';
  }

  private async write(segment: Segment): Promise<Written> {
    const { gate, policy, lock, lockName } = this.parts;
    const { awaited, entries, previousSeq } = segment;
    const waiter = this.waiters.of(segment);
    const singly = this.failures >= policy.attempts && awaited === undefined;
    const witnesses = singly
      ? await this.parts.journal.behind(segment, WITNESSES, this.failures - policy.attempts)
      : undefined;
    await gate.close(entries);
    const outcome = await lock.run(
      lockName,
      ({ signal }) => {
        const goesOn = () => !this.stopped;
        const attempt = { number: this.failures + 1, signal, goesOn, inside: waiter?.inside };
        return this.parts.write(segment, attempt, witnesses);
      },
      // Else a lock that nobody gives back would hold up whoever waits for the batch, and the end of the application.
      { patience: policy.flushTimeoutMs },
    );
    // Else a ledger that always says so would keep us busy for ever.
    if (outcome.verdict === 'regressed' && previousSeq === 0)
      throw new Error('The ledger misses what came before a first batch.');
    return outcome;
  }

  /** Written it is, whatever happens here; only the journal has to know. */
  private async acknowledge({ segment, outcome, flushMs }: Outcome): Promise<'done' | 'failed'> {
    const { journal, gate } = this.parts;
    const regressed = outcome.verdict === 'regressed';
    try {
      await (regressed ? journal.beginAnew(segment.incarnation) : journal.acknowledge(segment));
    } catch {
      this.failures++;
      return 'failed';
    }
    this.written = undefined;
    this.averageMs += WEIGHT * (flushMs - this.averageMs);
    this.parts.written(segment, outcome, flushMs);
    if (regressed) return 'done';
    this.failures = 0;
    gate.open();
    this.waiters.written(segment);
    return 'done';
  }

  /** It concerns its caller alone. An empty segment takes its place, and is written like any other. */
  private async withdraw({
    segment,
    because,
  }: NonNullable<Flusher['withdrawn']>): Promise<'done' | 'failed'> {
    try {
      await this.parts.journal.cancel(segment);
    } catch {
      this.failures++;
      return 'failed';
    }
    this.withdrawn = undefined;
    const waiter = this.waiters.of(segment);
    if (waiter !== undefined) this.waiters.fail(waiter, because);
    return 'done';
  }

  /** Nobody waits for a second attempt. */
  private async giveUp(error: unknown): Promise<void> {
    const concerned = this.waiters.concerned();
    for (const { segment } of concerned) {
      if (segment !== undefined) await this.parts.journal.cancel(segment).catch(() => undefined);
    }
    for (const waiter of concerned) this.waiters.fail(waiter, error);
  }

  private pause(): void {
    const { delayMs, maxDelayMs } = this.parts.policy;
    const { clock } = this.parts;
    const longest = Math.min(maxDelayMs, delayMs * 2 ** Math.min(this.failures - 1, 30));
    // Half of it is chance, so that shards and processes that failed together do not come back together.
    const pauseMs = longest * (0.5 + 0.5 * clock.random());
    this.retryAt = clock.monotonic() + pauseMs;
    this.cancelTimer();
    if (!this.stopped) this.timer = this.after(pauseMs);
  }
}
