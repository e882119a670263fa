import { CacheFlushTimeoutError } from '../../errors/write-behind.error.js';
import type { Clock } from '../../time/clock.js';

/** Ends the waiting for what takes too long, and tells it by its signal. What it does all the same, it does alone. */
export class TimeLimit {
  constructor(
    private readonly entity: string,
    private readonly ms: number,
    private readonly after: Clock['after'],
  ) {}

  /**
   * @throws what `work` throws; the reason of `outer`, if that is aborted first
   * @throws {CacheFlushTimeoutError} CACHE_FLUSH_TIMEOUT
   */
  async run<T>(outer: AbortSignal, work: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    outer.throwIfAborted();
    const abort = new AbortController();
    let end!: (reason: unknown) => void;
    const ended = new Promise<never>((_, reject) => {
      end = (reason) => {
        reject(reason);
        abort.abort(reason);
      };
    });
    const whenOuter = () => end(outer.reason);
    const cancel = this.after(this.ms, () => end(new CacheFlushTimeoutError(this.entity, this.ms)));
    outer.addEventListener('abort', whenOuter, { once: true });
    try {
      return await Promise.race([work(abort.signal), ended]);
    } finally {
      cancel();
      outer.removeEventListener('abort', whenOuter);
    }
  }
}
