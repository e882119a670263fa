import type { CacheRecord } from '../entry/record.js';
import type { Lease, LeaseAnswer } from './cache-store.js';
import type { LogPosition } from './invalidation-log.js';

/** The right to store an entry, and what is known of the moment in which it was given. */
export interface Right {
  readonly lease: Lease;
  /** Where the log stood: what was invalidated later may be missing from what is loaded. */
  readonly since: LogPosition | undefined;
}

/** What was asked of the store, in terms of this process: records, and times of the monotonic clock. */
export type Leased =
  | { readonly outcome: 'granted'; readonly right: Right }
  | { readonly outcome: 'fresh'; readonly record: CacheRecord }
  | { readonly outcome: 'cooling' }
  /** What somebody has stored was changed from here while this was on its way: to be asked again. */
  | { readonly outcome: 'overtaken' }
  | Extract<LeaseAnswer, { outcome: 'held' | 'refused' }>;
