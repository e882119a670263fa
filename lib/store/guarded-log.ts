import type { EntryName } from './entry-name.js';
import type { InvalidationLog, LogAnswer, LogListener, LogPosition } from './invalidation-log.js';

/** An answer that takes longer is not waited for: the next one is asked for then. */
const MOST_POLL_MS = 900;

/** A log that costs who asks it no more than the deadline of its store. */
export class GuardedLog {
  constructor(
    private readonly log: InvalidationLog,
    private readonly within: <T>(ask: () => Promise<T>, mostMs?: number) => Promise<T>,
  ) {}

  append(entries: readonly EntryName[], writer: string): Promise<void> {
    return this.within(() => this.log.append(entries, writer));
  }

  poll(heard: LogPosition | undefined): Promise<LogAnswer> {
    return this.within(() => this.log.poll(heard), MOST_POLL_MS);
  }

  listen(listener: LogListener): void {
    this.log.listen(listener);
  }
}
