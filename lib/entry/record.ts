import type { Comparable } from './version.js';

/**
 * How the value of a record is handed to a caller.
 *
 * - `shared`: a primitive, or plain data frozen through and through: everybody gets the same.
 * - `copied`: holds a Date, Map, Set or binary, which freezing does not protect: everybody gets a copy.
 * - `revived`: plain data of a class instance: everybody gets an instance of their own, made by `revive`.
 * - `thrown`: the error the loader threw for something that does not exist: everybody gets it thrown.
 * - `raw`: cannot be kept, so it is never stored: only who loaded it gets it.
 */
export type HandOut = 'shared' | 'copied' | 'revived' | 'thrown' | 'raw';

/** What only some entities keep; beside the record, because a record is paid for by every entry. */
export interface RecordExtras {
  /** Estimated size of the value in memory. */
  readonly bytes: number;
  readonly tags: readonly string[];
  /** Where the tags stood when the load began. */
  readonly taggedAt: number;
  readonly version: Comparable | undefined;
  /** Its store has failed over since, and may have lost an invalidation of it. */
  readonly isDoubtful?: boolean;
}

/**
 * What the cache remembers of one load.
 *
 * Times are whole milliseconds of the monotonic clock: small integers live inside the object, fractions beside it.
 */
export class CacheRecord {
  /** Set by a hit, cleared by the table's hand when it looks for something to evict. */
  visited = false;

  constructor(
    readonly value: unknown,
    readonly handOut: HandOut,
    /** When the load began: what the source said after this moment may be missing from the value. */
    readonly loadedAt: number,
    /** From this moment on the value is not fresh. */
    readonly softExpiry: number,
    readonly loadMs: number,
    readonly extras?: RecordExtras,
  ) {}

  /** The source said that there is nothing under this key. */
  get absent(): boolean {
    return this.value === null || this.handOut === 'thrown';
  }

  /** Nobody knows whether it is current. */
  get isDoubtful(): boolean {
    return this.extras?.isDoubtful === true;
  }

  /** Estimated size of the value; 0 where nobody counts. */
  get bytes(): number {
    return this.extras?.bytes ?? 0;
  }
}
