import { setTimeout } from 'node:timers/promises';
import {
  CacheStore,
  type EntryName,
  type FillOutcome,
  type Lease,
  type LeaseAnswer,
  type LeaseTerms,
  type StoredEntry,
} from 'nestjs-cache-contract';

/** Up to so long, or not at all. */
export async function pause(mostMs: number): Promise<void> {
  if (mostMs > 0) await setTimeout(Math.random() * mostMs);
}

/** A store on the way to which, and on the way back, everything may take its time. */
export class WatchedStore extends CacheStore {
  /** Reads that were answered. */
  reads = 0;
  /** How often somebody had to wait for a load elsewhere, and how often he was woken. */
  readonly waits = { begun: 0, woken: 0 };

  constructor(
    protected readonly store: CacheStore,
    private readonly mostMs: number,
    private readonly onSend: () => void,
  ) {
    super();
  }

  override check(): Promise<void> {
    return this.store.check();
  }

  override now(entry: EntryName): number {
    return this.store.now(entry);
  }

  override async read(entry: EntryName): Promise<StoredEntry | undefined> {
    const stored = await this.send(() => this.store.read(entry));
    this.reads++;
    return stored;
  }

  override async lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    const answer = await this.send(() => this.store.lease(entry, terms));
    if (answer.outcome === 'held') {
      this.waits.begun++;
      void answer.woken.then(() => this.waits.woken++);
    }
    return answer;
  }

  override fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    return this.send(() => this.store.fill(lease, stored, keepMs));
  }

  override fail(lease: Lease, coolDownMs: number): Promise<void> {
    return this.send(() => this.store.fail(lease, coolDownMs));
  }

  override claim(entry: EntryName, leaseMs: number): Promise<Lease> {
    return this.send(() => this.store.claim(entry, leaseMs));
  }

  override invalidate(...args: Parameters<CacheStore['invalidate']>): Promise<void> {
    return this.send(() => this.store.invalidate(...args));
  }

  override close(): Promise<void> {
    return this.store.close();
  }

  private async send<T>(command: () => Promise<T>): Promise<T> {
    await pause(this.mostMs);
    const answer = command();
    this.onSend();
    const answered = await answer;
    await pause(this.mostMs);
    return answered;
  }
}

/** Whoever has loaded stores it, whatever happened meanwhile: what a cache without leases does. */
export class LeaselessStore extends WatchedStore {
  override async fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    const { token } = await this.claim(lease.entry, 60_000);
    return super.fill({ ...lease, token }, stored, keepMs);
  }
}
