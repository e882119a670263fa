import {
  CacheStore,
  type CheckOutcome,
  type EntryName,
  type FillOutcome,
  type Lease,
  type LeaseAnswer,
  type LeaseTerms,
  type StoredEntry,
} from '../../lib/store/cache-store.js';
import type { InvalidationLog } from '../../lib/store/invalidation-log.js';

export type Command = 'read' | 'lease' | 'fill' | 'fail' | 'claim' | 'invalidate';

/** The way to another store, on which something may happen to commands and their answers. */
export abstract class RelayedStore extends CacheStore {
  override log: InvalidationLog | undefined;

  constructor(protected readonly store: CacheStore) {
    super();
    this.log = store.log;
  }

  /** `run` asks the other store. Several entries that are read at once are one command. */
  protected abstract send<T>(command: Command, run: () => Promise<T>): Promise<T>;

  override check(): Promise<CheckOutcome> {
    return this.store.check();
  }

  override now(entry: EntryName): number {
    return this.store.now(entry);
  }

  override placeOf(entry: EntryName): string {
    return this.store.placeOf?.(entry) ?? '';
  }

  override read(entry: EntryName): Promise<StoredEntry | undefined> {
    return this.send('read', () => this.store.read(entry));
  }

  override readAll(entries: readonly EntryName[]): ReturnType<CacheStore['readAll']> {
    return this.send('read', () => this.store.readAll(entries));
  }

  override lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    return this.send('lease', () => this.store.lease(entry, terms));
  }

  override fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    return this.send('fill', () => this.store.fill(lease, stored, keepMs));
  }

  override fail(lease: Lease, coolDownMs: number): Promise<void> {
    return this.send('fail', () => this.store.fail(lease, coolDownMs));
  }

  override claim(entry: EntryName, leaseMs: number): Promise<Lease> {
    return this.send('claim', () => this.store.claim(entry, leaseMs));
  }

  override invalidate(...args: Parameters<CacheStore['invalidate']>): Promise<void> {
    return this.send('invalidate', () => this.store.invalidate(...args));
  }

  override close(): Promise<void> {
    return this.store.close();
  }
}
