import type { Comparable } from '../entry/version.js';
import type { EntryName } from './entry-name.js';
import type { InvalidationLog } from './invalidation-log.js';

export type { EntryName };

/** Which message of the log had invalidated each tag of a value last when its load began, by its number. */
export interface Generations {
  readonly epoch: string;
  /** Of the tag that all entries of its entity carry. */
  readonly family: number;
  readonly tags: readonly (readonly [tag: string, generation: number])[];
}

/** What a store keeps of one load. Times are milliseconds of the store's own clock, as {@link CacheStore.now} tells it. */
export interface StoredEntry {
  /** The value, encoded; nothing where the source said that there is nothing. */
  readonly payload: Uint8Array | undefined;
  /** When the load began: what the source said after this moment may be missing from the value. */
  readonly loadedAt: number;
  /** From this moment on the value is not fresh. */
  readonly softExpiry: number;
  readonly loadMs: number;
  /** Of what shape the value is; an entry of another shape is loaded again. 16 bits. */
  readonly schema: number;
  /**
   * What is not there has none. Where one of two has none, they are not compared. Numbers and bigints of up to 80 bits
   * are compared exactly, also with each other.
   */
  readonly version: Comparable | undefined;
  /** Where the store has a log: when its tags were invalidated last. The store keeps it as it is. */
  readonly generations?: Generations;
  /**
   * The store may have lost what was said about it: it has failed over since it was stored, or has been started from what
   * it had written down. It is loaded again, once for all processes, and serves only who would have something stale
   * rather than an error. Told by what reads; nothing comes to be stored with it.
   */
  readonly isDoubtful?: boolean;
}

/** The right to store one entry: granted to one at a time, and gone as soon as anybody else changes the entry. */
export interface Lease {
  readonly entry: EntryName;
  /** Names this attempt, and no other. */
  readonly token: string;
  /** When it was granted, in the store's time. */
  readonly grantedAt: number;
}

export interface LeaseTerms {
  /** How long the load may take before somebody else may load. */
  readonly leaseMs: number;
  /** How long past its soft expiry an entry is good enough for this reader while it is loaded. */
  readonly staleForMs: number;
  /** How long past its soft expiry it is good enough after loading has failed. */
  readonly staleOnErrorMs: number;
  /**
   * Entries loaded up to this moment are of no use to this reader, neither as fresh nor as stale. Who cannot use what
   * was read, for its shape or its tags, says here when that was loaded.
   */
  readonly newerThan: number;
}

/** What is doubtful is neither fresh nor stale here: it is answered at most where loading has failed. */
export type LeaseAnswer =
  /** Load it. Who has something good enough may be served with it meanwhile. */
  | { readonly outcome: 'granted'; readonly lease: Lease; readonly stale: StoredEntry | undefined }
  /** Somebody has stored it since. Nobody is asked to load it, also while somebody writes it. */
  | { readonly outcome: 'fresh'; readonly stored: StoredEntry }
  /**
   * Somebody else loads or writes it, for at most `forMs`. `woken` resolves when a command has ended that: it is not
   * told when the time is over, or to who was given something stale, and a message may be lost. So who waits has a
   * timer of his own. Then he asks again.
   */
  | {
      readonly outcome: 'held';
      readonly forMs: number;
      readonly stale: StoredEntry | undefined;
      readonly woken: Promise<void>;
      /** Nobody waits for `woken` any more. */
      readonly leave: () => void;
    }
  /**
   * Loading has failed, and there is something good enough for that case: the source is left alone for `forMs`. Who
   * has nothing is granted the lease meanwhile.
   */
  | { readonly outcome: 'cooling'; readonly forMs: number; readonly stale: StoredEntry }
  /** The store answers, but takes nothing: full, or a replica. */
  | { readonly outcome: 'refused' };

/**
 * What became of what was to be stored.
 *
 * - `'voided'`: the lease is not in force any more. Who has written, not only read, has to invalidate then.
 * - `'older version'`: what is stored, or what an invalidation asked for, is newer. The lease is given back.
 */
export type FillOutcome = 'stored' | 'voided' | 'older version';

/**
 * Whether it can be used now; where it cannot, why, and what to do about it. `mayLose`: it can, and what it acknowledges
 * may be lost all the same, how, and what to do about that: contracts that prefer an error to a stale answer cannot be
 * kept there. Both say so in the form `'what. Fix: what to do'`.
 */
export type CheckOutcome =
  'ready' | 'out of reach' | { readonly outOfReach: string } | { readonly mayLose: string };

/**
 * What is there of one entry of several; a promise where the part of the store that was asked has sent it on to another
 * one: nobody else waits for it, and what becomes of it is no failure of who was asked. Nobody may listen to it any more
 * when it is rejected.
 */
export type ReadAnswer = StoredEntry | undefined | Promise<StoredEntry | undefined>;

/**
 * Where entries are kept that several processes share. Every method may reject, late or never answer: whoever calls
 * them has a deadline of his own, and goes on without the store. A command whose answer was lost may take effect at any
 * later time, and more than once.
 *
 * An error with `answered: true` says that the store is there and refuses, because it is full, or a replica: it is asked
 * again. Every other rejection counts as no answer; after some of those in a row the store is left alone for a while.
 *
 * What holds whatever happens: a value whose load began before an invalidation or a write of its entry took effect is
 * not stored after it. And of two leases of one entry at most one is in force. A store may forget anything early, for
 * room: a lease, which is voided by it, an entry, a floor.
 */
export abstract class CacheStore {
  /** Where processes tell each other what has changed. Without it, none has copies that are older than it can bear. */
  readonly log?: InvalidationLog;

  /**
   * Called when the application starts. Rejects if the store can never do what is asked of it here: the application does
   * not start then. One that is only out of reach, or does not say within 15 seconds, is used as soon as it is back.
   * Why it is out of reach is logged, with what to do about it: `{ outOfReach: 'nothing listens at redis:6379. Fix: …' }`.
   */
  check(): Promise<CheckOutcome> {
    return Promise.resolve('ready');
  }

  /**
   * Its time, in milliseconds, as far as this process knows it: by the clock that counts for the entry, where there are
   * several.
   */
  abstract now(entry: EntryName): number;

  /**
   * Names the part of the store that has the entry, as far as is known, where parts fail one by one: while one is out of
   * reach, the others are asked all the same. Without it, the store is there or not as a whole.
   */
  placeOf?(entry: EntryName): string;

  /** The entry, however old, also while somebody loads or writes it. */
  abstract read(entry: EntryName): Promise<StoredEntry | undefined>;

  /** The same for several, which were asked for in one turn of the event loop: in their order. */
  readAll(entries: readonly EntryName[]): Promise<readonly ReadAnswer[]> {
    return Promise.all(entries.map((entry) => this.read(entry)));
  }

  /** Asks for the right to load an entry. */
  abstract lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer>;

  /**
   * Stores what was loaded or written, and gives the lease back. `keepMs`: after that it is gone; nothing is kept where
   * that is not above 0. The store has bytes of its own: what is done to `payload` later does not reach it.
   *
   * Rejects where the store takes nothing. Who has written has to invalidate then, as where it is voided.
   */
  abstract fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome>;

  /**
   * Loading has failed: gives the lease back, and has the entry left alone for `coolDownMs`, unless somebody writes or
   * invalidates it before. Changes nothing if the lease is not in force any more.
   */
  abstract fail(lease: Lease, coolDownMs: number): Promise<void>;

  /**
   * A write of the entry begins: takes the right to store it from whoever has it, another writer too. What is stored
   * stays, until the write has settled. Ends by {@link fill}, {@link fail} or {@link invalidate}, or after `leaseMs`.
   */
  abstract claim(entry: EntryName, leaseMs: number): Promise<Lease>;

  /**
   * Removes the entry, and voids its lease, whoever has it. With `atLeast` an entry of that version or a newer one
   * stays, and for `keepMs` an older one is refused, whether there is an entry or not. That floor outlives what is
   * stored and invalidated meanwhile. Of two floors the higher one may count for as long as the later one lasts.
   */
  abstract invalidate(
    entry: EntryName,
    below?: { readonly atLeast: Comparable; readonly keepMs: number },
  ): Promise<void>;

  /** Nothing is left open when it resolves. */
  abstract close(): Promise<void>;
}
