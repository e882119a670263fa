import type { Clock } from '../time/clock.js';
import type { CacheStore, EntryName } from './cache-store.js';

/** What a store is made of that opens with the application. */
export interface StoreParts {
  /** Keeps its entries apart from those of other applications. */
  readonly namespace: string;
  readonly clock: Clock;
  /** To be called for what was found under an entry's name and is none; it counts as absent. */
  readonly onUnreadable: (entry: EntryName) => void;
}

/** A store that several processes share: what `redisStore()` makes, or your own with a {@link CacheStore} of yours. */
export interface StoreDefinition {
  /**
   * How long a call waits for an answer. Then it goes on without the store.
   *
   * @unit milliseconds
   */
  readonly deadlineMs: number;
  /** @throws {CacheUsageError} if it cannot be meant: told at boot, with all other faults */
  open(parts: StoreParts): CacheStore;
}
