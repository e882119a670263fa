import type { DistributedLock } from '../coordination/distributed-lock.js';
import type { Clock } from '../time/clock.js';
import type { CacheStore, EntryName } from './cache-store.js';

/** What a store is made of that opens with the application. */
export interface StoreParts {
  /** Keeps its entries apart from those of other applications. */
  readonly namespace: string;
  readonly clock: Clock;
  /** That of the application, for stores that cannot grant leases by themselves. */
  readonly lock: DistributedLock;
  /** To be called for what was found under an entry's name and is none; it counts as absent. */
  readonly onUnreadable: (entry: EntryName) => void;
  /**
   * To be called with what a running store is refused, and will be again, as for a password that is not right any more:
   * calls go on without it, so nobody else would tell. The same is logged once.
   */
  readonly onRefused: (error: Error) => void;
}

/** A store that several processes share: what `redisStore()` makes, or your own with a {@link CacheStore} of yours. */
export interface StoreDefinition {
  /**
   * How long a call waits for an answer. Then it goes on without the store.
   *
   * @unit milliseconds
   */
  readonly deadlineMs: number;
  /**
   * Who grants leases. `'lock'`: processes keep each other from loading by {@link StoreParts.lock}, and the store itself
   * refuses nothing. What {@link CacheStore} promises holds within each process then; another process may store what it
   * has loaded before an invalidation, and contracts are checked with that.
   *
   * @default 'store'
   */
  readonly leases?: 'store' | 'lock';
  /** @throws {CacheUsageError} if it cannot be meant: told at boot, with all other faults */
  open(parts: StoreParts): CacheStore;
}
