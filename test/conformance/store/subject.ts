import type {
  CacheStore,
  EntryName,
  FillOutcome,
  Lease,
  LeaseAnswer,
  StoredEntry,
} from '../../../lib/store/cache-store.js';
import type { Comparable } from '../../../lib/entry/version.js';

/** Stores nobody has used yet, and the time they live in. */
export interface StoresUnderTest {
  readonly store: CacheStore;
  /** A second process on the same entries; the same object where a store knows only one process. */
  readonly other: CacheStore;
  /** Moves the stores' time, or waits for it; resolves when nothing more happens by itself. */
  advance(ms: number): Promise<void>;
}

export interface StoreHarness {
  create(): StoresUnderTest | Promise<StoresUnderTest>;
  /**
   * How many milliseconds of the stores' time a second of these tests has; 1000 unless told. Time moves by an even
   * number of seconds, and whatever ends does so after an odd one: what really goes by meanwhile has one of them to spare.
   */
  readonly second?: number;
  /** How many random histories to try; 300 unless told. */
  readonly runs?: number;
}

export const USER: EntryName = { entity: 'user', id: '7' };

/** Times in seconds, of the tests' own length. */
export interface Terms {
  readonly lease?: number;
  readonly staleFor?: number;
  readonly staleOnError?: number;
  /** A time of the store, not a duration. */
  readonly newerThan?: number;
}

export interface Content {
  readonly payload?: Uint8Array | undefined;
  readonly version?: Comparable | undefined;
  readonly generations?: StoredEntry['generations'];
  /** From now on, in seconds; below 0 it is stale already. */
  readonly freshFor?: number;
}

export type Answer<Outcome extends LeaseAnswer['outcome']> = Extract<
  LeaseAnswer,
  { outcome: Outcome }
>;

/** What the tests do with the stores, in seconds, on one entry unless told. */
export class Subject {
  readonly store: CacheStore;
  readonly other: CacheStore;

  constructor(
    private readonly stores: StoresUnderTest,
    readonly second: number,
  ) {
    ({ store: this.store, other: this.other } = stores);
  }

  static async of(harness: StoreHarness): Promise<Subject> {
    return new Subject(await harness.create(), harness.second ?? 1_000);
  }

  advance(seconds: number): Promise<void> {
    return this.stores.advance(seconds * this.second);
  }

  /** Resolves when messages that are under way have come. */
  settle(): Promise<void> {
    return this.advance(0);
  }

  lease(from: CacheStore, terms: Terms = {}, entry = USER): Promise<LeaseAnswer> {
    return from.lease(entry, {
      leaseMs: (terms.lease ?? 9) * this.second,
      staleForMs: (terms.staleFor ?? 0) * this.second,
      staleOnErrorMs: (terms.staleOnError ?? 0) * this.second,
      newerThan: terms.newerThan ?? 0,
    });
  }

  async answer<Outcome extends LeaseAnswer['outcome']>(
    outcome: Outcome,
    from: CacheStore,
    terms?: Terms,
    entry?: EntryName,
  ): Promise<Answer<Outcome>> {
    const answer = await this.lease(from, terms, entry);
    expect(answer).toMatchObject({ outcome });
    return answer as Answer<Outcome>;
  }

  async granted(from = this.store, terms?: Terms, entry?: EntryName): Promise<Lease> {
    return (await this.answer('granted', from, terms, entry)).lease;
  }

  claim(from = this.store, seconds = 9, entry = USER): Promise<Lease> {
    return from.claim(entry, seconds * this.second);
  }

  content(lease: Lease, content: Content = {}, loadMs = 12): StoredEntry {
    const { version, generations, freshFor = 19 } = content;
    return {
      payload: 'payload' in content ? content.payload : bytes('value'),
      loadedAt: lease.grantedAt,
      softExpiry: Math.floor(this.store.now(lease.entry)) + freshFor * this.second,
      loadMs,
      schema: 513,
      version,
      ...(generations && { generations }),
    };
  }

  fill(lease: Lease, stored: Content | StoredEntry = {}, keep = 59, from = this.store) {
    const entry = 'loadedAt' in stored ? stored : this.content(lease, stored);
    return from.fill(lease, entry, keep * this.second);
  }

  /** Loads and stores it, and says what is stored now. */
  async put(stored: Content = {}, keep?: number, entry?: EntryName): Promise<StoredEntry> {
    const lease = await this.granted(
      this.store,
      { newerThan: this.store.now(entry ?? USER) + this.second },
      entry,
    );
    const content = this.content(lease, stored);
    expect(await this.fill(lease, content, keep)).toBe('stored' satisfies FillOutcome);
    return content;
  }

  fail(lease: Lease, coolDown = 0, from = this.store): Promise<void> {
    return from.fail(lease, coolDown * this.second);
  }

  invalidate(below?: { atLeast: Comparable; keep: number }, from = this.store, entry = USER) {
    return from.invalidate(
      entry,
      below && { atLeast: below.atLeast, keepMs: below.keep * this.second },
    );
  }
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Whether it has resolved by now. */
export function watched(promise: Promise<void>): { done: boolean } {
  const seen = { done: false };
  void promise.then(() => (seen.done = true));
  return seen;
}
