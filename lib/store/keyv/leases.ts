import type { Clock } from '../../time/clock.js';
import type { EntryName, Lease, LeaseAnswer, LeaseTerms, StoredEntry } from '../cache-store.js';
import type { EntryNames } from './entry-names.js';
import type { FleetLocks } from './fleet-locks.js';
import { Hold } from './hold.js';
import type { Place } from './place.js';
import type { Places } from './places.js';

/** Who may store an entry: one hold in this process, and one lock among all of them. */
export class Leases {
  private closed = false;

  constructor(
    private readonly places: Places,
    private readonly locks: FleetLocks,
    private readonly names: EntryNames,
    private readonly clock: Clock,
    private readonly read: (entry: EntryName) => Promise<StoredEntry | undefined>,
  ) {}

  async ask(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    let place = this.places.of(entry);
    while (place.hold !== undefined || this.coolsFor(place) > 0) {
      const { fresh, stale, fallback } = this.judge(await this.read(entry), terms);
      if (fresh !== undefined) return { outcome: 'fresh', stored: fresh };
      // It may have been forgotten meanwhile.
      place = this.places.of(entry);
      const { hold } = place;
      if (hold !== undefined) {
        return { outcome: 'held', forMs: hold.remainingMs, stale, ...hold.wait() };
      }
      const forMs = this.coolsFor(place);
      if (forMs > 0 && fallback !== undefined) {
        return { outcome: 'cooling', forMs, stale: fallback };
      }
      if (forMs > 0) break;
      // What was in force has ended, perhaps by something that was stored after it was read.
    }
    return this.take(entry, place, terms);
  }

  async claim(entry: EntryName, leaseMs: number): Promise<Lease> {
    const hold = this.begin(this.places.of(entry), leaseMs);
    if (!hold.isLocked) {
      // So that nobody begins a load meanwhile. Who has begun one elsewhere cannot be stopped, and is not waited for.
      const lock = await this.locks.take(this.names.lock(entry), leaseMs);
      if (lock !== 'held elsewhere') hold.keepWith(lock);
    }
    return { entry, token: hold.token, grantedAt: hold.grantedAt };
  }

  close(): void {
    this.closed = true;
    this.places.void();
  }

  private async take(entry: EntryName, place: Place, terms: LeaseTerms): Promise<LeaseAnswer> {
    const { leaseMs } = terms;
    const name = this.names.lock(entry);
    // At once, so that nobody else of this process asks for the lock.
    const hold = this.begin(place, leaseMs);
    try {
      const lock = await this.locks.take(name, leaseMs);
      if (lock === 'held elsewhere') hold.end();
      else hold.keepWith(lock);
      // Only now: it may have been stored by who had the lock until then.
      const { fresh, stale } = this.judge(await this.read(entry), terms);
      if (fresh !== undefined) {
        hold.end();
        return { outcome: 'fresh', stored: fresh };
      }
      if (lock === 'held elsewhere') {
        return { outcome: 'held', forMs: leaseMs, stale, ...this.locks.wait(name, leaseMs) };
      }
      // Perhaps voided by now, as any lease may be.
      const { token, grantedAt } = hold;
      return { outcome: 'granted', lease: { entry, token, grantedAt }, stale };
    } catch (error) {
      hold.end();
      throw error;
    }
  }

  private begin(place: Place, leaseMs: number): Hold {
    if (this.closed) throw new Error('the store is closed');
    const hold = new Hold(this.clock, leaseMs, (lock) => void this.locks.release(lock));
    place.begin(hold);
    return hold;
  }

  private coolsFor(place: Place): number {
    return place.coolsFor(this.clock.monotonic());
  }

  /** What is good enough for whom. */
  private judge(stored: StoredEntry | undefined, terms: LeaseTerms) {
    const goodFor = (ms: number) =>
      stored !== undefined &&
      stored.loadedAt > terms.newerThan &&
      Date.now() < stored.softExpiry + ms
        ? stored
        : undefined;
    return {
      fresh: goodFor(0),
      stale: goodFor(terms.staleForMs),
      fallback: goodFor(terms.staleOnErrorMs),
    };
  }
}
