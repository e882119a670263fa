import type { EntryName } from './entry-name.js';
import type { InvalidationLog, LogAnswer, LogListener, LogPosition } from './invalidation-log.js';

/** A log that costs who asks it no more than the deadline of its store. */
export class GuardedLog {
  constructor(
    private readonly log: InvalidationLog,
    private readonly within: <T>(ask: () => Promise<T>) => Promise<T>,
  ) {}

  get writer(): string {
    return this.log.writer;
  }

  append(entries: readonly EntryName[]): Promise<void> {
    return this.within(() => this.log.append(entries));
  }

  poll(heard: LogPosition | undefined): Promise<LogAnswer> {
    return this.within(() => this.log.poll(heard));
  }

  listen(listener: LogListener): void {
    this.log.listen(listener);
  }
}
