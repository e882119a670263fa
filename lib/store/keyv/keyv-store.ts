import type { Comparable } from '../../entry/version.js';
import type { Clock } from '../../time/clock.js';
import {
  CacheStore,
  type EntryName,
  type FillOutcome,
  type Lease,
  type LeaseAnswer,
  type LeaseTerms,
  type StoredEntry,
} from '../cache-store.js';
import { refusal } from '../refusal.js';
import type { StoreParts } from '../store-definition.js';
import { AttentiveKeyv, UNREADABLE, type SharedKeyv } from './attentive-keyv.js';
import { EntryNames } from './entry-names.js';
import { FleetLocks } from './fleet-locks.js';
import { Leases } from './leases.js';
import type { Place } from './place.js';
import { Places } from './places.js';
import { decodeText, encodeText, MOST_CHARACTERS } from './stored-text.js';

/** So long the start of an application waits for it. */
const CHECK_WITHIN_MS = 1_000;

/**
 * Entries in a Keyv. One process loads an entry at a time, under a lock.
 *
 * A Keyv can only read, write and remove. So what {@link CacheStore} promises holds among those who use one object of this
 * class: they have one table of leases, and change an entry one after another. Another process may store what it has
 * loaded before an invalidation of this one, and knows nothing of its floors and cool-downs.
 *
 * Its time is the wall clock of this process: what another one's clock is ahead, its entries are fresh for longer.
 */
export class KeyvStore extends CacheStore {
  private readonly names: EntryNames;
  private readonly keyv: AttentiveKeyv;
  private readonly locks: FleetLocks;
  private readonly places: Places;
  private readonly leases: Leases;
  private readonly clock: Clock;
  private readonly monotonic: () => number;
  private readonly onUnreadable: (entry: EntryName) => void;

  constructor(keyv: SharedKeyv, { namespace, clock, lock, onUnreadable }: StoreParts) {
    super();
    this.names = new EntryNames(namespace);
    this.clock = clock;
    this.monotonic = () => clock.monotonic();
    this.keyv = new AttentiveKeyv(keyv, this.names.probe);
    this.locks = new FleetLocks(lock);
    this.places = new Places(this.monotonic);
    this.leases = new Leases(this.places, this.locks, this.names, clock, (entry) =>
      this.read(entry),
    );
    this.onUnreadable = onUnreadable;
  }

  /** An adapter that has no connection may wait for one without end: the application starts without it. */
  override check(): Promise<'ready' | 'out of reach'> {
    return new Promise((resolve) => {
      const outOfReach = () => resolve('out of reach');
      const stop = this.clock.after(CHECK_WITHIN_MS, outOfReach);
      this.keyv
        .answers()
        .then(() => resolve('ready'), outOfReach)
        .finally(stop);
    });
  }

  override now(): number {
    return Date.now();
  }

  override async read(entry: EntryName): Promise<StoredEntry | undefined> {
    return (await this.readAll([entry]))[0];
  }

  override async readAll(entries: readonly EntryName[]): Promise<(StoredEntry | undefined)[]> {
    // Also before: what was in doubt when it was read may have been removed since.
    const doubted = entries.map((entry) => this.places.isInDoubt(entry));
    const found = await this.keyv.read(entries.map((entry) => this.names.key(entry)));
    return entries.map((entry, index) =>
      doubted[index] || this.places.isInDoubt(entry)
        ? undefined
        : this.decoded(found[index], entry),
    );
  }

  override lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    return this.leases.ask(entry, terms);
  }

  override async fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    const { entry, token } = lease;
    const text = encodeText(entry, stored);
    if (text === undefined) {
      await this.fail(lease, 0);
      throw refusal(
        new Error(`An entry of '${entry.entity}' is longer than ${MOST_CHARACTERS} characters`),
      );
    }
    const place = this.places.of(entry);
    return place.inTurn(this.monotonic, async () => {
      if (place.heldUnder(token) === undefined) return 'voided';
      try {
        const isOlder = await this.isOlder(entry, place, stored.version);
        if (place.heldUnder(token) === undefined) return 'voided';
        if (isOlder) return 'older version';
        // It would be removed with what is late, or be replaced by it.
        if (this.places.isInDoubt(entry)) return 'voided';
        return (await this.put(entry, text, keepMs)) ? 'stored' : 'voided';
      } finally {
        place.heldUnder(token)?.end();
      }
    });
  }

  override fail({ entry, token }: Lease, coolDownMs: number): Promise<void> {
    const place = this.places.of(entry);
    const hold = place.heldUnder(token);
    if (hold !== undefined) {
      place.cool(this.monotonic() + coolDownMs);
      hold.end();
    }
    return Promise.resolve();
  }

  override claim(entry: EntryName, leaseMs: number): Promise<Lease> {
    return this.leases.claim(entry, leaseMs);
  }

  override invalidate(
    entry: EntryName,
    below?: { readonly atLeast: Comparable; readonly keepMs: number },
  ): Promise<void> {
    const place = this.places.of(entry);
    place.void();
    if (below !== undefined) place.raise(below.atLeast, this.monotonic(), below.keepMs);
    return place.inTurn(this.monotonic, async () => {
      if (below !== undefined) {
        const version = (await this.read(entry))?.version;
        if (version !== undefined && version >= below.atLeast) return;
      }
      await this.keyv.remove(this.names.key(entry));
    });
  }

  /** The Keyv stays connected: it belongs to who has made it. */
  override async close(): Promise<void> {
    this.leases.close();
    this.keyv.leave();
    await this.locks.close();
  }

  /** False: it took so long that others went on meanwhile. */
  private async put(entry: EntryName, text: string, keepMs: number): Promise<boolean> {
    const key = this.names.key(entry);
    const remove = () => this.keyv.remove(key);
    if (keepMs <= 0) {
      // 0 means for ever to a Keyv.
      await remove();
      return true;
    }
    const place = this.places.of(entry);
    return place.writes.run(
      () => this.keyv.write(key, text, Math.ceil(keepMs)),
      this.monotonic() + keepMs,
      () => place.inTurn(this.monotonic, remove),
    );
  }

  /** Where one of two has no version there is nothing to compare. */
  private async isOlder(
    entry: EntryName,
    place: Place,
    version: Comparable | undefined,
  ): Promise<boolean> {
    if (version === undefined) return false;
    if (place.isBelowFloor(version, this.monotonic())) return true;
    const stored = (await this.read(entry))?.version;
    return stored !== undefined && version < stored;
  }

  private decoded(found: unknown, entry: EntryName): StoredEntry | undefined {
    if (found === undefined) return undefined;
    const stored = found === UNREADABLE ? undefined : decodeText(found, entry);
    if (stored === undefined) this.onUnreadable(entry);
    return stored;
  }
}
