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

interface Wait {
  readonly until: number;
  /** Nothing when it is over: it would hold on to the answer until its time is up. */
  giveUp: (() => void) | undefined;
}

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
  /** In the order of their deadlines: one timer serves them all. */
  private waits: Wait[] = [];
  private timer: (() => void) | undefined;
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
  ) {}

  /** Where processes tell each other what has changed, if they do. */
  get log(): GuardedLog | undefined {
    const { log } = this.store;
    if (log === undefined) return undefined;
    return new GuardedLog(log, (ask, mostMs = Infinity) => {
      const since = this.clock.monotonic() - Math.max(0, this.deadlineMs - mostMs);
      return this.within(this.ofLog, ask, { since });
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

  /** Who waits now waits no longer. Never rejects, and takes no longer than a call. */
  async close(): Promise<void> {
    this.closed = true;
    this.timer?.();
    for (const wait of this.waits) this.giveUp(wait);
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
      const wait: Wait = {
        until,
        giveUp: () => {
          breaker.failed(this.clock.monotonic());
          reject(NO_STORE);
        },
      };
      this.add(wait);
      attempt(ask).then(
        (answer) => {
          if (!isSound(answer)) return this.giveUp(wait);
          if (wait.giveUp === undefined) {
            return void attempt(() => late(answer)).catch(() => undefined);
          }
          wait.giveUp = undefined;
          breaker.answered();
          resolve(answer);
        },
        (error: unknown) => {
          if (!isRefusal(error)) return this.giveUp(wait);
          if (wait.giveUp === undefined) return;
          wait.giveUp = undefined;
          breaker.answered();
          reject(REFUSED);
        },
      );
    });
  }

  private add(wait: Wait): void {
    const { waits } = this;
    let at = waits.length;
    // All wait equally long, but for those that were held back.
    while (at > 0 && waits[at - 1]!.until > wait.until) at--;
    waits.splice(at, 0, wait);
    if (at === 0) this.wakeFor(wait);
  }

  private wakeFor({ until }: Wait): void {
    this.timer?.();
    this.timer = this.after(Math.max(0, until - this.clock.monotonic()));
  }

  private after(ms: number): () => void {
    // An answer that came while the process was busy is read before the turn is over.
    return this.background.after(ms, () => setImmediate(() => this.expire()));
  }

  private expire(): void {
    this.timer?.();
    this.timer = undefined;
    const now = this.clock.monotonic();
    let first = 0;
    for (; first < this.waits.length; first++) {
      const wait = this.waits[first]!;
      if (wait.giveUp !== undefined && wait.until > now) break;
      this.giveUp(wait);
    }
    this.waits = this.waits.slice(first);
    if (this.waits.length > 0) this.wakeFor(this.waits[0]!);
  }

  private giveUp(wait: Wait): void {
    const { giveUp } = wait;
    wait.giveUp = undefined;
    giveUp?.();
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
