import { randomUUID } from 'node:crypto';
import type { Comparable } from '../../../lib/entry/version.js';
import type { Clock } from '../../../lib/time/clock.js';
import {
  CacheStore,
  type EntryName,
  type FillOutcome,
  type Lease,
  type LeaseAnswer,
  type LeaseTerms,
  type StoredEntry,
} from '../../../lib/store/cache-store.js';
import { Place, type Hold } from './place.js';

/**
 * Entries in the memory of this process: links several engines within it, and shows what a store has to do.
 *
 * It runs by its commands alone, without timers: what is over is forgotten when somebody asks for it, or when its turn
 * comes while others are added.
 */
export class MemoryStore extends CacheStore {
  private readonly places = new Map<string, Place>();

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {
    super();
  }

  /** Others have taken its place: they have its entries, and may lack the end of what was said of them. */
  failOver(): void {
    for (const place of this.places.values()) place.failOver();
  }

  override now(): number {
    return this.clock.monotonic();
  }

  override read(entry: EntryName): Promise<StoredEntry | undefined> {
    const stored = this.at(entry)?.stored;
    return Promise.resolve(stored && copied(stored));
  }

  override lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    const now = this.now();
    const { stored, holder } = this.at(entry) ?? {};
    const goodFor = (ms: number) =>
      stored !== undefined && stored.loadedAt > terms.newerThan && now < stored.softExpiry + ms
        ? copied(stored)
        : undefined;
    const isDoubtful = stored?.isDoubtful === true;
    const fresh = isDoubtful ? undefined : goodFor(0);
    if (fresh !== undefined) return Promise.resolve({ outcome: 'fresh', stored: fresh });
    const stale = isDoubtful ? undefined : goodFor(terms.staleForMs);
    if (holder?.token !== undefined) {
      return Promise.resolve({ outcome: 'held', stale, ...waitingFor(holder, now) });
    }
    const bears = !isDoubtful || terms.staleOnErrorMs > 0;
    const fallback = holder && bears ? goodFor(terms.staleOnErrorMs) : undefined;
    if (fallback !== undefined) {
      return Promise.resolve({ outcome: 'cooling', forMs: holder!.until - now, stale: fallback });
    }
    return Promise.resolve({ outcome: 'granted', lease: this.grant(entry, terms.leaseMs), stale });
  }

  override fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    const place = this.heldBy(lease);
    if (place === undefined) return Promise.resolve('voided');
    const older = place.isOlder(stored.version);
    if (!older) place.store(copied(stored), this.now() + keepMs);
    place.hold(undefined);
    return Promise.resolve(older ? 'older version' : 'stored');
  }

  override fail(lease: Lease, coolDownMs: number): Promise<void> {
    this.heldBy(lease)?.hold({ until: this.now() + coolDownMs });
    return Promise.resolve();
  }

  override claim(entry: EntryName, leaseMs: number): Promise<Lease> {
    return Promise.resolve(this.grant(entry, leaseMs));
  }

  override invalidate(
    entry: EntryName,
    below?: { readonly atLeast: Comparable; readonly keepMs: number },
  ): Promise<void> {
    const place = below === undefined ? this.at(entry) : this.added(entry);
    if (below === undefined) place?.remove();
    else place!.removeBelow(below.atLeast, this.now() + below.keepMs);
    place?.hold(undefined);
    return Promise.resolve();
  }

  /** Others may go on with it: an engine that closes takes nothing away from the next. */
  override close(): Promise<void> {
    return Promise.resolve();
  }

  private grant(entry: EntryName, leaseMs: number): Lease {
    const grantedAt = this.now();
    const token = randomUUID();
    this.added(entry).hold({ token, until: grantedAt + leaseMs });
    return { entry, token, grantedAt };
  }

  private heldBy({ entry, token }: Lease): Place | undefined {
    const place = this.at(entry);
    return place?.holder?.token === token ? place : undefined;
  }

  /** Nothing if nothing is known of it. */
  private at(entry: EntryName): Place | undefined {
    const name = nameOf(entry);
    const place = this.places.get(name);
    if (place?.settle(this.now()) === true) return place;
    this.places.delete(name);
    return undefined;
  }

  private added(entry: EntryName): Place {
    const known = this.at(entry);
    if (known !== undefined) return known;
    this.tidy();
    const place = new Place();
    this.places.set(nameOf(entry), place);
    return place;
  }

  /** Two for each that is added: they go faster than they come, so at most about half of all that are kept are over. */
  private tidy(): void {
    const now = this.now();
    let looks = 2;
    for (const [name, place] of this.places) {
      if (looks-- === 0) break;
      this.places.delete(name);
      // To the end of the line.
      if (place.settle(now)) this.places.set(name, place);
    }
  }
}

/** The length keeps `('a', 'bc')` and `('ab', 'c')` apart. */
function nameOf({ entity, id }: EntryName): string {
  return `${entity.length} ${entity}${id}`;
}

function waitingFor({ until, waiters }: Hold, now: number) {
  let wake!: () => void;
  const woken = new Promise<void>((resolve) => (wake = resolve));
  waiters.add(wake);
  return { forMs: until - now, woken, leave: () => void waiters.delete(wake) };
}

/** Nobody has the bytes of anybody else. `slice` would not do: a Buffer's shares them. */
function copied(stored: StoredEntry): StoredEntry {
  return { ...stored, payload: stored.payload && Uint8Array.from(stored.payload) };
}
