import type { Policy, ReadThroughPolicy } from '../contract/policy.js';
import { decode, encode } from '../entry/codec.js';
import { CacheRecord } from '../entry/record.js';
import type { Comparable } from '../entry/version.js';
import type { Clock } from '../time/clock.js';
import type { EntryName, FillOutcome, Lease, LeaseAnswer, StoredEntry } from './cache-store.js';
import type { GuardedStore } from './guarded-store.js';

/** How much longer than its load a lease lasts: the way to the store and back. */
const MARGIN_MS = 500;
/** Of one value, encoded. */
const MOST_BYTES = 4 * 1024 * 1024;

/** What was asked of the store, in terms of this process: records, and times of the monotonic clock. */
export type Leased =
  | { readonly outcome: 'granted'; readonly lease: Lease }
  | { readonly outcome: 'fresh'; readonly record: CacheRecord }
  | Extract<LeaseAnswer, { outcome: 'held' | 'refused' }>
  | { readonly outcome: 'cooling'; readonly record: CacheRecord | undefined };

/** The entries of one entity in a store that several processes share. */
export class RemoteTier {
  /** What was invalidated here, and the store does not know it yet. */
  readonly quarantined = new Set<string>();
  private shutOutUntil = -Infinity;
  private patienceMs = 0;
  /** Changes here so far: what was read before one may be older than it. */
  changes = 0;
  /** What was asked for in this turn. */
  private readonly asked = new Map<string, Promise<CacheRecord | undefined>>();
  private turn = -1;
  private readonly schema: number;

  constructor(
    private readonly store: GuardedStore,
    private readonly clock: Clock,
    private readonly policy: Policy,
    /** Something in the store is not what this release or this entity writes there. */
    private readonly onUnreadable: () => void,
  ) {
    this.schema = policy.schema;
  }

  /** Whether the store is not to be asked for an entry: it may have one that was invalidated here. */
  avoids(id: string): boolean {
    if (this.quarantined.has(id)) return true;
    return this.shutOutUntil > -Infinity && this.clock.monotonic() < this.shutOutUntil;
  }

  /** Too much was invalidated to be told one by one: the store is not asked at all until its entries have gone by themselves. */
  shutOut(): void {
    this.changes++;
    this.shutOutUntil = this.clock.monotonic() + this.keepMs;
  }

  /** The entry, however old. Asked for by many in one turn, it is read and decoded once. */
  find(id: string): Promise<CacheRecord | undefined> {
    const { store, asked } = this;
    if (this.turn !== store.turns) {
      this.turn = store.turns;
      asked.clear();
    }
    const known = asked.get(id);
    if (known !== undefined) return known;
    const found = store
      .find(this.name(id))
      .then((stored) => (stored === undefined ? undefined : this.recordOf(stored)));
    asked.set(id, found);
    return found;
  }

  /** `unlike`: a record that is of no use to who asks, nor is anything that was loaded before it. */
  lease(id: string, unlike: CacheRecord | undefined): Promise<Leased> {
    return this.leaseAfter(
      id,
      unlike === undefined ? -Infinity : this.toStoreTime(unlike.loadedAt) + 1,
    );
  }

  private async leaseAfter(id: string, newerThan: number): Promise<Leased> {
    const { loadTimeoutMs, staleForMs, staleIfErrorMs } = this.read;
    const answer = await this.store.lease(this.name(id), {
      leaseMs: loadTimeoutMs + MARGIN_MS,
      // Who accepts something stale has been served with it by now.
      staleForMs: 0,
      staleOnErrorMs: staleForMs + staleIfErrorMs,
      newerThan,
    });
    switch (answer.outcome) {
      case 'fresh': {
        const record = this.recordOf(answer.stored);
        // Of another shape, or unreadable: to be replaced.
        if (record === undefined) return this.leaseAfter(id, answer.stored.loadedAt);
        return { outcome: 'fresh', record };
      }
      case 'cooling':
        return { outcome: 'cooling', record: this.recordOf(answer.stale) };
      default:
        return answer;
    }
  }

  /** A write of the entry begins. `withinMs`: how long it may take before others need not wait for it. */
  async claim(id: string): Promise<Lease> {
    this.changes++;
    return this.store.claim(this.name(id), this.read.loadTimeoutMs + MARGIN_MS);
  }

  /** Stores what was loaded or written under the lease. */
  async fill(lease: Lease, record: CacheRecord): Promise<FillOutcome | 'too large'> {
    const { value, loadedAt, softExpiry, loadMs, extras } = record;
    const payload = value === null ? undefined : encode(value, MOST_BYTES);
    if (payload === 'too large') {
      await this.store.invalidate(lease.entry);
      return 'too large';
    }
    // From the grant on, not from now: a value that took long to load is not fresh for longer.
    const stored: StoredEntry = {
      payload,
      loadedAt: lease.grantedAt,
      softExpiry: lease.grantedAt + (softExpiry - loadedAt),
      loadMs,
      schema: this.schema,
      version: extras?.version,
    };
    const gone = this.store.now() - lease.grantedAt;
    return this.store.fill(lease, stored, Math.max(1, this.usefulMs - gone));
  }

  /** Loading failed, or is not to be stored: gives the lease back. */
  fail(lease: Lease, coolDownMs: number): Promise<void> {
    return this.store.fail(lease, coolDownMs);
  }

  invalidate(id: string, atLeast?: Comparable): Promise<void> {
    this.changes++;
    // Who asks from now on must not get what was asked for before.
    this.asked.delete(id);
    const below = atLeast === undefined ? undefined : { atLeast, keepMs: this.keepMs };
    return this.store.invalidate(this.name(id), below);
  }

  /** Some callers accept entries so long past their soft expiry: they have to be there then. */
  keepFor(patienceMs: number): void {
    this.patienceMs = Math.max(this.patienceMs, patienceMs);
  }

  /** After so long nothing is left in the store of what is there now. */
  get keepMs(): number {
    return this.usefulMs + this.read.loadTimeoutMs + MARGIN_MS;
  }

  /** From the begin of its load on. */
  private get usefulMs(): number {
    const { ttlMs, staleForMs, staleIfErrorMs } = this.read;
    return ttlMs + Math.max(staleForMs + staleIfErrorMs, this.patienceMs);
  }

  private recordOf(stored: StoredEntry): CacheRecord | undefined {
    if (stored.schema !== this.schema) return undefined;
    const { maxBytes } = this.read;
    const sealed =
      stored.payload === undefined
        ? ({ value: null, handOut: 'shared', bytes: 0 } as const)
        : decode(stored.payload, {
            maxBytes: MOST_BYTES,
            revives: this.policy.revive !== undefined,
            weighs: maxBytes < Infinity,
          });
    if (typeof sealed === 'string') {
      this.onUnreadable();
      return undefined;
    }
    const ahead = this.clock.monotonic() - this.store.now();
    const { bytes } = sealed;
    const { version } = stored;
    return new CacheRecord(
      sealed.value,
      sealed.handOut,
      Math.floor(stored.loadedAt + ahead),
      Math.floor(stored.softExpiry + ahead),
      stored.loadMs,
      version === undefined && bytes === 0
        ? undefined
        : { bytes, tags: [], taggedAt: Infinity, version },
    );
  }

  private toStoreTime(monotonic: number): number {
    return monotonic - this.clock.monotonic() + this.store.now();
  }

  private name(id: string): EntryName {
    return { entity: this.policy.entity, id };
  }

  private get read(): ReadThroughPolicy {
    return this.policy.read as ReadThroughPolicy;
  }
}
