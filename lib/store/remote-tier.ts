import type { Policy, ReadThroughPolicy } from '../contract/policy.js';
import type { CacheRecord } from '../entry/record.js';
import type { Comparable } from '../entry/version.js';
import type { Clock } from '../time/clock.js';
import type { EntryName, FillOutcome, Lease, StoredEntry } from './cache-store.js';
import type { Leased, Right } from './leased.js';
import type { GuardedStore } from './guarded-store.js';
import { Looks, type Look } from './looks.js';
import { Quarantine } from './quarantine.js';
import { StoredValues } from './stored-values.js';
import type { Verdict } from './tag-generations.js';
import type { TaggedEntries } from './tagged-entries.js';
import { UnderWay } from './under-way.js';

/** How much longer than its load a lease lasts: the way to the store and back. */
const MARGIN_MS = 500;

/**
 * The entries of one entity in a store that several processes share.
 *
 * Longer than other files, because each look at an entry has to know of every change that is told from here meanwhile.
 */
export class RemoteTier {
  /** What was invalidated here, and the store does not know it yet. */
  readonly quarantined: Quarantine;
  private patienceMs = 0;
  /** Until then what is doubtful may be what was invalidated together. */
  private distrustsUntil = -Infinity;
  private readonly looks = new Looks();
  /** What was asked for in this turn, and has not been answered. */
  private readonly asked = new Map<string, Promise<CacheRecord | undefined>>();
  private turn = -1;
  private readonly values: StoredValues;
  /** What is on its way to the store and to others. */
  private readonly telling = new UnderWay();

  constructor(
    private readonly store: GuardedStore,
    private readonly clock: Clock,
    private readonly policy: Policy,
    /** Tells other processes that an entry has changed, where they have copies. */
    private readonly announce: ((entry: EntryName) => Promise<void>) | undefined,
    /** Something in the store is not what this release or this entity writes there. */
    private readonly onUnreadable: () => void,
    /** Where its entries are invalidated together. */
    private readonly tags?: TaggedEntries,
  ) {
    this.values = new StoredValues(policy);
    this.quarantined = new Quarantine(clock);
  }

  /** Whether the store is not to be asked for an entry: it may have one that was invalidated here. */
  avoids(id: string): boolean {
    return this.quarantined.has(id);
  }

  /** Too much was invalidated to be told one by one. Whether others will hear of it as of all there is. */
  invalidateAll(): boolean {
    this.looks.overtakeAll();
    if (this.tags === undefined) this.shutOut();
    else this.tags.invalidateAll();
    return this.tags !== undefined;
  }

  /** All of them were invalidated: what is doubtful does not say whether it is older than that. */
  distrust(): void {
    this.distrustsUntil = this.clock.monotonic() + this.keepMs;
  }

  /** Others will not be told what was invalidated. */
  shutOut(): void {
    this.looks.overtakeAll();
    this.quarantined.addAll(this.keepMs);
  }

  /**
   * The entry, however old. Asked for by many in one turn, it is read and decoded once. `keep`: as for {@link lease}.
   */
  find(id: string, keep: (record: CacheRecord) => void): Promise<CacheRecord | undefined> {
    const { store, asked } = this;
    if (this.turn !== store.turns) {
      this.turn = store.turns;
      asked.clear();
    }
    const known = asked.get(id);
    if (known !== undefined) return known;
    const found = this.lookFor(id, keep);
    asked.set(id, found);
    return found;
  }

  private async lookFor(
    id: string,
    keep: (record: CacheRecord) => void,
  ): Promise<CacheRecord | undefined> {
    const look = this.look(id);
    const { turn } = this;
    try {
      const stored = await this.store.find(this.name(id));
      const taggedAt = this.tags?.now;
      const isUsable = stored !== undefined && this.isUsable(stored, look);
      const record =
        isUsable === true || (isUsable !== false && (await isUsable))
          ? this.recordOf(id, stored, taggedAt, this.onUnreadable)
          : undefined;
      if (this.looks.end(id, look) && record?.isDoubtful === false) keep(record);
      return record;
    } finally {
      this.looks.end(id, look);
      if (this.turn === turn) this.asked.delete(id);
    }
  }

  /**
   * `unlike`: it is of no use to who asks, nor is what was loaded before it. `bears`: what is stale will do where loading
   * has just failed. `keep`: puts what was stored since into the table of this process, where all that happens bears it.
   */
  async lease(
    id: string,
    unlike: CacheRecord | undefined,
    bears: boolean,
    keep: (record: CacheRecord) => void,
  ): Promise<Leased> {
    const look = this.looks.begin(id);
    try {
      const newerThan =
        unlike === undefined ? -Infinity : this.toStoreTime(unlike.loadedAt, id) + 1;
      const answer = await this.leaseAfter(id, newerThan, bears, look);
      if (answer.outcome !== 'fresh') return answer;
      // Somebody may have joined this load since who must not get what was there before.
      if (look.isOvertaken) return { outcome: 'overtaken' };
      if (look.isCurrent && this.keepsCopies) keep(answer.record);
      return answer;
    } finally {
      this.looks.end(id, look);
    }
  }

  private async leaseAfter(
    id: string,
    newerThan: number,
    bears: boolean,
    look: Look,
  ): Promise<Leased> {
    const { loadTimeoutMs, staleForMs, staleIfErrorMs } = this.read;
    const answer = await this.store.lease(this.name(id), {
      leaseMs: loadTimeoutMs + MARGIN_MS,
      // Who accepts something stale has been served with it by now.
      staleForMs: 0,
      staleOnErrorMs: bears ? staleForMs + staleIfErrorMs : 0,
      newerThan,
    });
    const taggedAt = this.tags?.now;
    switch (answer.outcome) {
      case 'fresh': {
        const { stored } = answer;
        const isUsable = await this.isUsable(stored, look);
        const record = isUsable && this.recordOf(id, stored, taggedAt);
        if (record) return { outcome: 'fresh', record };
        return this.replacing(id, stored, newerThan, bears, look);
      }
      case 'cooling': {
        const { stale } = answer;
        const isUsable = await this.isUsable(stale, look);
        const record = isUsable && this.recordOf(id, stale, taggedAt);
        if (record) return { outcome: 'cooling' };
        return this.replacing(id, stale, newerThan, bears, look);
      }
      case 'granted':
        return { outcome: 'granted', right: await this.rightBy(answer.lease) };
      default:
        return answer;
    }
  }

  /** Of another shape, or unreadable. A store that has been told so, and has nothing else, is not asked once more. */
  private replacing(
    id: string,
    { loadedAt }: StoredEntry,
    newerThan: number,
    bears: boolean,
    look: Look,
  ): Promise<Leased> | Leased {
    return loadedAt > newerThan
      ? this.leaseAfter(id, loadedAt, bears, look)
      : { outcome: 'refused' };
  }

  /** A write of the entry begins. Others need wait for it no longer than for a load. */
  async claim(id: string): Promise<Right> {
    const lease = await this.store.claim(this.name(id), this.read.loadTimeoutMs + MARGIN_MS);
    return this.rightBy(lease);
  }

  private async rightBy(lease: Lease): Promise<Right> {
    return { lease, since: await this.tags?.stand() };
  }

  /**
   * Stores what was loaded or written under the lease. `keep`: as for {@link lease}, of what was stored. Where it is too
   * large, what was there until now is not true any more: who calls has to invalidate it, which ends the lease too.
   */
  async fill(
    right: Right,
    record: CacheRecord,
    keep: () => void = () => undefined,
  ): Promise<FillOutcome | 'too large'> {
    const { id } = right.lease.entry;
    const look = this.look(id);
    try {
      const outcome = await this.looks.change(id, () => this.fillWith(right, record), look);
      if (outcome === 'stored' && this.looks.end(id, look)) keep();
      return outcome;
    } finally {
      this.looks.end(id, look);
    }
  }

  private async fillWith(
    { lease, since }: Right,
    record: CacheRecord,
  ): Promise<FillOutcome | 'too large'> {
    const known = this.tags?.of(record, since);
    const generations = known instanceof Promise ? await known : known;
    if (this.tags !== undefined && generations === undefined) {
      await this.store.fail(lease, 0);
      return 'voided';
    }
    const stored = this.values.entryOf(record, lease.grantedAt, generations);
    if (stored === 'too large') return stored;
    const gone = this.store.now(lease.entry) - lease.grantedAt;
    return this.store.fill(lease, stored, Math.max(1, this.usefulMs - gone));
  }

  /** The same with what was written, of which others have to hear. `untold`: they could not be told, and are told again. */
  async fillWritten(
    right: Right,
    record: CacheRecord,
    keep: () => void,
    untold: () => void,
  ): Promise<FillOutcome | 'too large'> {
    const outcome = await this.fill(right, record, keep);
    if (outcome === 'stored') {
      await this.telling.add(this.announce?.(right.lease.entry)).catch(untold);
    }
    return outcome;
  }

  /** What is seen of the entry now may be older than what is known of it. */
  overtake(id: string): void {
    this.looks.overtake(id);
  }

  overtakeAll(): void {
    this.looks.overtakeAll();
  }

  /** Loading failed, or is not to be stored: gives the lease back. */
  fail({ lease }: Right, coolDownMs: number): Promise<void> {
    return this.store.fail(lease, coolDownMs);
  }

  /**
   * Where it fails, the entry is quarantined: who calls has to see to it that the store hears of it. Not so where only
   * others could not be told.
   *
   * @throws what `announce` throws, and whatever the store does
   */
  invalidate(id: string, atLeast?: Comparable): Promise<void> {
    const below = atLeast === undefined ? undefined : { atLeast, keepMs: this.keepMs };
    const telling = this.looks.change(id, async () => {
      try {
        await this.store.invalidate(this.name(id), below);
      } catch (error) {
        // At once: who asks in the same turn must not get it either.
        this.quarantined.add(id);
        throw error;
      }
      // After that: who reads again because he was told must not get what was there before.
      await this.announce?.(this.name(id));
    });
    return this.telling.add(telling);
  }

  /** Resolves when all that is on its way to the store and to others now has arrived, or has failed. */
  told(): Promise<unknown> {
    return this.telling.settled();
  }

  private get keepsCopies(): boolean {
    return this.policy.keptIn === 'store and process';
  }

  /** Nothing comes of a look where nothing is kept here. */
  private look(id: string): Look | undefined {
    return this.keepsCopies ? this.looks.begin(id) : undefined;
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

  /** Whether it may answer a call; and whether `look` may end in a copy, for that it has to be known to be current. */
  private isUsable(stored: StoredEntry, look: Look | undefined): boolean | Promise<boolean> {
    if (this.tags === undefined) return true;
    // Of its tags nobody knows.
    if (stored.isDoubtful === true) return this.clock.monotonic() >= this.distrustsUntil;
    const take = (verdict: Verdict) => {
      if (verdict === 'unknown' && look !== undefined) look.isCurrent = false;
      return verdict !== 'old';
    };
    const verdict = this.tags.judge(stored);
    return typeof verdict === 'string' ? take(verdict) : verdict.then(take);
  }

  /** `taggedAt`: where the tags of this process stood before it was judged. */
  private recordOf(
    id: string,
    stored: StoredEntry,
    taggedAt = 0,
    onUnreadable?: () => void,
  ): CacheRecord | undefined {
    const ahead = this.clock.monotonic() - this.store.now(this.name(id));
    return this.values.recordOf(stored, ahead, taggedAt, onUnreadable);
  }

  private toStoreTime(monotonic: number, id: string): number {
    return monotonic - this.clock.monotonic() + this.store.now(this.name(id));
  }

  private name(id: string): EntryName {
    return { entity: this.policy.entity, id };
  }

  private get read(): ReadThroughPolicy {
    return this.policy.read as ReadThroughPolicy;
  }
}
