import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import { Breaker } from './breaker.js';
import type {
  CacheStore,
  EntryName,
  FillOutcome,
  Lease,
  LeaseAnswer,
  LeaseTerms,
  StoredEntry,
} from './cache-store.js';
import { Deadlines } from './deadlines.js';
import { GuardedLog } from './guarded-log.js';
import { ReadTurns } from './read-turns.js';
import { isRefusal } from './refusal.js';
import { isSoundFill, isSoundGrant, isSoundLease, isSoundRead } from './sound-answers.js';

/** The store gave no answer in time, or failed, or is not asked just now. One for all: it is thrown by every call of an outage. */
export const NO_STORE = new Error('the store is out of reach');
/** The store did answer, and refuses. */
export const REFUSED = new Error('the store refuses');

/** More than most stores ever have. */
const MOST_PLACES = 64;

/** How long an answer is waited for, and what becomes of it. */
interface Terms<T> {
  /** From when on; by default from now on. */
  readonly since?: number;
  /** Whether it can be meant. */
  readonly isSound?: (answer: T) => boolean;
  /** It came when nobody waited for it any more. */
  readonly late?: (answer: T) => void;
}

/** A part of the store that fails and comes back by itself. */
interface Place {
  readonly breaker: Breaker;
  /** Of what it sends on to others. */
  readonly onward: Breaker;
  readonly reads: ReadTurns;
}

/**
 * A store that costs its callers no more than a deadline, and after some failures in a row nothing at all. Where it has
 * several parts, each for itself.
 *
 * @throws {@link NO_STORE}, {@link REFUSED}, from every method
 */
export class GuardedStore {
  private readonly deadlines: Deadlines;
  private readonly places = new Map<string, Place>();
  /** Who may not write the log may still read the store: what happens there does not count. */
  private readonly ofLog = { breaker: new Breaker() };
  /** As soon as there are so many places, those are forgotten that nothing is known of. */
  private mostPlaces = MOST_PLACES;
  /** How many turns there were in which entries were asked for. */
  turns = 0;
  private closed = false;

  constructor(
    private readonly store: CacheStore,
    private readonly deadlineMs: number,
    private readonly clock: Clock,
    private readonly background: Background,
  ) {
    this.deadlines = new Deadlines(clock, background);
  }

  /** Where processes tell each other what has changed, if they do. */
  get log(): GuardedLog | undefined {
    const { log } = this.store;
    if (log === undefined) return undefined;
    return new GuardedLog(log, (ask, { mostMs = Infinity, isSound } = {}) => {
      const since = this.clock.monotonic() - Math.max(0, this.deadlineMs - mostMs);
      return this.within(this.ofLog, ask, { since, isSound });
    });
  }

  /** In the store's own time. */
  now(entry: EntryName): number {
    return this.store.now(entry);
  }

  /** The entry, however old. */
  find(entry: EntryName): Promise<StoredEntry | undefined> {
    return this.placeOf(entry).reads.find(entry);
  }

  lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    return this.within(this.placeOf(entry), () => this.store.lease(entry, terms), {
      isSound: isSoundLease,
      late: (answer) => {
        if (answer.outcome === 'granted') this.giveBack(answer.lease);
        if (answer.outcome === 'held') answer.leave();
      },
    });
  }

  fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    return this.within(this.placeOf(lease.entry), () => this.store.fill(lease, stored, keepMs), {
      isSound: isSoundFill,
    });
  }

  fail(lease: Lease, coolDownMs: number): Promise<void> {
    return this.within(this.placeOf(lease.entry), () => this.store.fail(lease, coolDownMs));
  }

  claim(entry: EntryName, leaseMs: number): Promise<Lease> {
    return this.within(this.placeOf(entry), () => this.store.claim(entry, leaseMs), {
      isSound: isSoundGrant,
      late: (answer) => this.giveBack(answer),
    });
  }

  invalidate(entry: EntryName, below?: Parameters<CacheStore['invalidate']>[1]): Promise<void> {
    return this.within(this.placeOf(entry), () => this.store.invalidate(entry, below));
  }

  /** Whoever has only one attempt left has it, whatever has failed until now. */
  admitAll(): void {
    this.ofLog.breaker.answered();
    for (const { breaker } of this.places.values()) breaker.answered();
  }

  /** Who waits now waits no longer. Never rejects, and takes no longer than a call. */
  async close(): Promise<void> {
    this.closed = true;
    this.deadlines.end();
    await new Promise<void>((resolve) => {
      const stop = this.background.after(this.deadlineMs, resolve);
      const done = () => {
        stop();
        resolve();
      };
      attempt(() => this.store.close()).then(done, done);
    });
  }

  private placeOf(entry: EntryName): Place {
    const name = this.nameOf(entry);
    const known = this.places.get(name);
    if (known !== undefined) return known;
    const reads = new ReadTurns(
      (entries, since) =>
        this.within(place, () => this.store.readAll(entries), {
          isSound: (all) => isSoundRead(all, entries.length),
          since,
        }),
      (answer, since) => this.within({ breaker: place.onward }, () => answer, { since }),
      () => this.clock.monotonic(),
      () => this.turns++,
    );
    const place: Place = { breaker: new Breaker(), onward: new Breaker(), reads };
    if (this.places.size >= this.mostPlaces) this.forgetPlaces();
    this.places.set(name, place);
    return place;
  }

  /** Servers come and go, and each has had a name. */
  private forgetPlaces(): void {
    for (const [name, { breaker, onward, reads }] of this.places) {
      if (breaker.isFresh && onward.isFresh && reads.isIdle) this.places.delete(name);
    }
    this.mostPlaces = Math.max(MOST_PLACES, 2 * this.places.size);
  }

  private nameOf(entry: EntryName): string {
    try {
      return this.store.placeOf?.(entry) ?? '';
    } catch {
      return '';
    }
  }

  private within<T>(
    { breaker }: Pick<Place, 'breaker'>,
    ask: () => Promise<T>,
    { since, isSound = () => true, late = () => undefined }: Terms<T> = {},
  ): Promise<T> {
    const now = this.clock.monotonic();
    const until = (since ?? now) + this.deadlineMs;
    // What was held back until after its time is not the store's failure.
    if (this.closed || until < now || !breaker.admits(now)) return Promise.reject(NO_STORE);
    return new Promise((resolve, reject) => {
      const wait = this.deadlines.wait(until, () => {
        breaker.failed(this.clock.monotonic());
        reject(NO_STORE);
      });
      attempt(ask).then(
        (answer) => {
          if (!isSound(answer)) return wait.giveUp();
          if (!wait.end()) return void attempt(() => late(answer)).catch(() => undefined);
          breaker.answered();
          resolve(answer);
        },
        (error: unknown) => {
          if (!isRefusal(error)) return wait.giveUp();
          if (!wait.end()) return;
          breaker.answered();
          reject(REFUSED);
        },
      );
    });
  }

  /** Nobody will load under it: others need not wait for its end. Nor does anybody wait for this. */
  private giveBack(lease: Lease): void {
    attempt(() => this.store.fail(lease, 0)).catch(() => undefined);
  }
}

/** A store of somebody else may throw before it has returned a promise, or return none. */
function attempt<T>(ask: () => T | Promise<T>): Promise<T> {
  try {
    return Promise.resolve(ask());
  } catch (error) {
    return Promise.reject(error);
  }
}
