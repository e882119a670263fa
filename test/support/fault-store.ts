import { setTimeout } from 'node:timers/promises';
import type {
  CacheStore,
  EntryName,
  FillOutcome,
  Lease,
  LeaseAnswer,
  LeaseTerms,
  StoredEntry,
} from '../../lib/store/cache-store.js';
import { RelayedStore, type Command } from './relayed-store.js';

/** Up to so long, or not at all. */
export async function pause(mostMs: number): Promise<void> {
  if (mostMs > 0) await setTimeout(Math.random() * mostMs);
}

/** A store on the way to which, and on the way back, everything may take its time. */
export class WatchedStore extends RelayedStore {
  /** Entries that were asked for and answered. */
  reads = 0;
  /** How often somebody had to wait for a load elsewhere, and how often he was woken. */
  readonly waits = { begun: 0, woken: 0 };

  constructor(
    store: CacheStore,
    private readonly mostMs: number,
    private readonly onSend: () => void,
  ) {
    super(store);
  }

  override async readAll(entries: readonly EntryName[]): ReturnType<CacheStore['readAll']> {
    const stored = await super.readAll(entries);
    this.reads += entries.length;
    return stored;
  }

  override async lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    const answer = await super.lease(entry, terms);
    if (answer.outcome === 'held') {
      this.waits.begun++;
      void answer.woken.then(() => this.waits.woken++);
    }
    return answer;
  }

  protected override async send<T>(_: Command, run: () => Promise<T>): Promise<T> {
    await pause(this.mostMs);
    const answer = run();
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
