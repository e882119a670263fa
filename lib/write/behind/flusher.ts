import { AsyncResource } from 'node:async_hooks';
import type { WriteBehindPolicy } from '../../contract/policy.js';
import type { DistributedLock } from '../../coordination/distributed-lock.js';
import type { Background } from '../../time/background.js';
import type { Clock } from '../../time/clock.js';
import type { Attempt, Written } from './batch-writer.js';
import type { Gate } from './gate.js';
import type { Journal, Segment } from './journal.js';

/** How much a new flush counts in the average that predicts waiting times. */
const WEIGHT = 0.2;
const SHORTEST_RETRY_MS = 100;

export interface FlusherParts {
  readonly policy: WriteBehindPolicy;
  readonly journal: Journal;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly background: Background;
  readonly lock: DistributedLock;
  /** Only one flusher at a time should write what this one writes. */
  readonly lockName: string;
  readonly write: (segment: Segment, attempt: Attempt, singly: boolean) => Promise<Written>;
  /** Called in the turn in which the segment is forgotten. */
  readonly written: (segment: Segment, outcome: Written, flushMs: number) => void;
  readonly failed: (segment: Segment, error: unknown, flushMs: number) => void;
}

interface Waiter {
  readonly upTo: number;
  /** A mutation whose caller waits: given up if an attempt fails. */
  readonly segment?: Segment;
  readonly inside?: Attempt['inside'];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Writes what a shard has accepted, one segment after the other, each until it is written. */
export class Flusher {
  private running: Promise<void> | undefined;
  private again = false;
  private timer: (() => void) | undefined;
  private failures = 0;
  private averageMs = 0;
  private retryAt = 0;
  private waiters: Waiter[] = [];

  /** Batches belong to no request: they are written in the context in which the application started. */
  private readonly runInOwnContext = AsyncResource.bind(() => this.run());

  constructor(private readonly parts: FlusherParts) {}

  /** Something was accepted. */
  accepted(): void {
    if (this.running !== undefined || this.failures > 0) return;
    if (this.parts.journal.sealed > 0) this.start();
    else this.timer ??= this.after(this.parts.policy.flushEveryMs);
  }

  /** Resolves when all that has been accepted until now is written; rejects with what the next attempt fails with. */
  async flush(): Promise<void> {
    const { journal } = this.parts;
    const upTo = await journal.seal();
    if ((await journal.head()) === undefined) return;
    await this.until({ upTo });
  }

  /** Resolves when the segment is written; if an attempt fails, it is given up. */
  async flushAwaited(segment: Segment, inside?: Attempt['inside']): Promise<void> {
    await this.until({ upTo: segment.lastSeq, segment, inside });
  }

  /** When there will probably be room. */
  retryAfterMs(): number {
    const { journal, clock } = this.parts;
    const pause = this.failures > 0 ? Math.max(0, this.retryAt - clock.monotonic()) : 0;
    return Math.max(SHORTEST_RETRY_MS, Math.ceil(pause + this.averageMs * (journal.sealed + 1)));
  }

  /** No attempt begins any more by itself. */
  stop(): void {
    this.timer?.();
    this.timer = undefined;
  }

  private until(waiter: Omit<Waiter, 'resolve' | 'reject'>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiters.push({ ...waiter, resolve, reject });
      this.start();
    });
  }

  private after(ms: number): () => void {
    return this.parts.background.after(ms, () => {
      this.timer = undefined;
      this.parts.journal.seal().then(
        () => this.start(),
        () => this.start(),
      );
    });
  }

  private start(): void {
    this.again = true;
    if (this.running !== undefined) return;
    this.stop();
    this.running = this.runInOwnContext();
    this.parts.background.track(this.running);
  }

  private async run(): Promise<void> {
    while (this.again) {
      this.again = false;
      for (;;) {
        const segment = await this.parts.journal.head().catch(() => undefined);
        if (segment === undefined) break;
        if (!(await this.attempt(segment))) {
          this.running = undefined;
          return this.pause();
        }
      }
    }
    // In the turn of the last look at `again`: a start after it begins anew.
    this.running = undefined;
    if (this.parts.journal.size > 0) this.timer ??= this.after(this.parts.policy.flushEveryMs);
  }

  private async attempt(segment: Segment): Promise<boolean> {
    const { journal, gate, clock, policy, lock, lockName } = this.parts;
    const startedAt = clock.monotonic();
    const inside = this.waiters.find(
      (waiter) => waiter.segment?.lastSeq === segment.lastSeq,
    )?.inside;
    const singly = this.failures >= policy.attempts && !segment.awaited;
    try {
      await gate.close(segment.entries);
      const written = await lock.run(lockName, ({ signal }) =>
        this.parts.write(segment, { number: this.failures + 1, signal, inside }, singly),
      );
      if (written.verdict === 'regressed') await this.beginAnew(segment);
      else await journal.acknowledge(segment);
      const flushMs = clock.monotonic() - startedAt;
      this.averageMs += WEIGHT * (flushMs - this.averageMs);
      this.parts.written(segment, written, flushMs);
      if (written.verdict === 'regressed') return true;
      this.failures = 0;
      gate.open();
      this.settle(
        (waiter) => waiter.upTo <= segment.lastSeq,
        (waiter) => waiter.resolve(),
      );
      return true;
    } catch (error) {
      this.failures++;
      this.parts.failed(segment, error, clock.monotonic() - startedAt);
      await this.giveUp(error);
      return false;
    }
  }

  private async beginAnew({ previousSeq }: Segment): Promise<void> {
    // Else a ledger that always says so would keep us busy for ever.
    if (previousSeq === 0) throw new Error('The ledger misses what came before a first batch.');
    await this.parts.journal.beginAnew();
  }

  /** Nobody waits for a second attempt. */
  private async giveUp(error: unknown): Promise<void> {
    const given = this.waiters.flatMap(({ segment }) => segment ?? []);
    for (const segment of given) await this.parts.journal.cancel(segment).catch(() => undefined);
    this.settle(
      () => true,
      (waiter) => waiter.reject(error),
    );
  }

  private settle(which: (waiter: Waiter) => boolean, how: (waiter: Waiter) => void): void {
    const settled = this.waiters.filter(which);
    this.waiters = this.waiters.filter((waiter) => !settled.includes(waiter));
    settled.forEach(how);
  }

  private pause(): void {
    const { delayMs, maxDelayMs } = this.parts.policy;
    const { clock } = this.parts;
    const longest = Math.min(maxDelayMs, delayMs * 2 ** Math.min(this.failures - 1, 30));
    // Half of it is chance, so that shards and processes that failed together do not come back together.
    const pauseMs = longest * (0.5 + 0.5 * clock.random());
    this.retryAt = clock.monotonic() + pauseMs;
    this.timer ??= this.after(pauseMs);
  }
}
