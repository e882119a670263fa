import type { OriginPolicy } from '../contract/policy.js';
import { CacheOriginBusyError } from '../errors/cache.error.js';
import type { Clock } from '../time/clock.js';

/** How much a new load counts in the average that predicts waiting times. */
const WEIGHT = 0.2;
const SHORTEST_RETRY_MS = 100;
/** What a load is expected to take before one has shown it. */
const GUESSED_MS = 1_000;

/** Nobody waits longer for a turn, whatever the time his load has. */
const LONGEST_WAIT_MS = 10_000;

/** Time as the cap needs it. */
export type Timing = Pick<Clock, 'monotonic' | 'after'>;

/** So many calls of a source at a time; others wait in a bounded line, and are turned away when it is full. */
export class OriginCap {
  private busy = 0;
  private averageMs: number | undefined;
  private readonly line = new Set<() => void>();

  constructor(
    private readonly limit: OriginPolicy,
    private readonly timing: Timing,
  ) {}

  /**
   * Runs `work` when it is its turn. Begins at once if there is room.
   *
   * @throws {CacheOriginBusyError} CACHE_ORIGIN_BUSY if the line is full or does not move; the signal's reason if that is aborted first
   */
  run<T>(work: () => T | Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.busy < this.limit.maxConcurrent) {
      this.busy++;
      return this.finish(work);
    }
    if (this.line.size >= this.limit.maxQueued) {
      return Promise.reject(new CacheOriginBusyError(this.limit.name, this.retryAfterMs()));
    }
    return this.turn(signal).then(() => this.finish(work));
  }

  private async finish<T>(work: () => T | Promise<T>): Promise<T> {
    const startedAt = this.timing.monotonic();
    try {
      return await work();
    } finally {
      const ms = this.timing.monotonic() - startedAt;
      const before = this.averageMs ?? ms;
      this.averageMs = before + WEIGHT * (ms - before);
      this.release();
    }
  }

  private turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.line.delete(enter);
        signal.removeEventListener('abort', leave);
        stop();
      };
      const enter = () => {
        settle();
        resolve();
      };
      const leave = () => {
        settle();
        reject(signal.reason);
      };
      const stop = this.timing.after(LONGEST_WAIT_MS, () => {
        settle();
        reject(new CacheOriginBusyError(this.limit.name, this.retryAfterMs()));
      });
      signal.addEventListener('abort', leave, { once: true });
      this.line.add(enter);
    });
  }

  /** The place goes to whoever waits longest; it is free only if nobody does. */
  private release(): void {
    const [next] = this.line;
    if (next === undefined) this.busy--;
    else next();
  }

  /** When the line will probably have moved on. */
  private retryAfterMs(): number {
    const rounds = (this.line.size + 1) / this.limit.maxConcurrent;
    return Math.max(SHORTEST_RETRY_MS, Math.ceil(rounds * (this.averageMs ?? GUESSED_MS)));
  }
}
