import type { EntityKey } from '../contract/entity.js';
import { copy } from '../entry/copy.js';
import { idOf, isOwnId } from '../entry/key.js';
import type { CacheRecord } from '../entry/record.js';
import type { CacheEvents } from '../events/events.js';
import type { EntityState } from '../store/entity-state.js';
import type { RemoteTier } from '../store/remote-tier.js';
import type { Clock } from '../time/clock.js';
import { calls, currentLoad, detourOf, type CallContext } from './call-context.js';
import type { EntryLoads } from './entry-loads.js';
import type { Freshness } from './freshness.js';
import { LeftAlone, type FleetLoader, type Urgency } from './fleet-loader.js';
import type { Load, Loader } from './loader.js';
import type { ReadEvents } from './read-events.js';

/** What is there for a call, at the moment it was looked for. */
export interface Held {
  readonly value: unknown;
  /** For how much longer it is fresh; below 0 where the contract serves what is stale. */
  readonly freshForMs: number;
  readonly record: CacheRecord;
}

/**
 * The way of a read: local tier, else what others have stored, else the one load under way, else a load of its own.
 */
export class Reader {
  constructor(
    private readonly clock: Clock,
    private readonly freshness: Freshness,
    private readonly loads: EntryLoads,
    private readonly loader: Loader,
    private readonly fleet: FleetLoader,
    private readonly told: ReadEvents,
  ) {}

  /**
   * Not `async`, and nothing is allocated before the promise: this is the path of every hit.
   *
   * @throws {CacheUsageError} CACHE_KEY_INVALID, at once: who calls knows the place to add to it
   */
  read(state: EntityState, key: EntityKey, load: Load): Promise<unknown> {
    const { entity } = state.policy;
    // Such a text is its own id. Were it no valid key, the table would not hold it, and the miss says so.
    const id = isOwnId(key) ? key : idOf(key, entity);
    const context = calls.getStore();
    const now = this.clock.monotonic();
    const record = this.freshness.usable(state, id, context, now);
    if (record === undefined) return this.miss(state, idOf(key, entity), load, context);
    if (this.freshness.isToBeRefreshed(state, record, now)) {
      void this.loads.refresh(state, id, load, context, now, record);
    }
    return this.hit(state, id, record, load, context, now);
  }

  /** The value a call would be answered with at once, were nothing in trouble; nothing if it would load, or throw. */
  async peek(state: EntityState, key: EntityKey): Promise<unknown> {
    return (await this.held(state, key))?.value;
  }

  /** The same, and for how long it is fresh. `told`: as a hit or a miss, because somebody asked for the value. */
  async held(state: EntityState, key: EntityKey, told = false): Promise<Held | undefined> {
    const id = idOf(key, state.policy.entity);
    const context = calls.getStore();
    const record =
      this.freshness.usable(state, id, context, this.clock.monotonic()) ??
      (await this.usableCopy(state, id, context));
    if (record === undefined || record.handOut === 'thrown') {
      if (told) this.told.miss(state, id, record, context);
      return undefined;
    }
    const value = await this.handOut(state, id, record, () => undefined, context);
    const now = this.clock.monotonic();
    if (told) this.seen(state, id, record, context, now);
    return { value, freshForMs: record.softExpiry - now, record };
  }

  /**
   * Loads an entry again behind the caller. Nothing if it is being loaded, or rests after a failure; else what settles
   * when that has ended.
   */
  loadBehind(
    state: EntityState,
    key: EntityKey,
    load: Load,
    { record }: Held,
  ): Promise<unknown> | undefined {
    const id = idOf(key, state.policy.entity);
    const now = this.clock.monotonic();
    return this.loads.refresh(state, id, load, calls.getStore(), now, record);
  }

  /** What others have stored, if that answers the call. */
  private async usableCopy(
    state: EntityState,
    id: string,
    context: CallContext | undefined,
  ): Promise<CacheRecord | undefined> {
    if (state.remote === undefined || detourOf(state, id, context) !== undefined) return undefined;
    const record = await this.found(state, state.remote, id, context);
    if (!record) return undefined;
    return this.freshness.serves(state, record, context, this.clock.monotonic())
      ? record
      : undefined;
  }

  private hit(
    state: EntityState,
    id: string,
    record: CacheRecord,
    load: Load,
    context: CallContext | undefined,
    now: number,
  ): Promise<unknown> {
    this.seen(state, id, record, context, now);
    return record.handOut === 'shared'
      ? Promise.resolve(record.value)
      : this.handOut(state, id, record, load, context);
  }

  private seen(
    state: EntityState,
    id: string,
    record: CacheRecord,
    context: CallContext | undefined,
    now: number,
  ): void {
    record.visited = true;
    this.told.hit(state, id, record, context, now);
  }

  private miss(
    state: EntityState,
    id: string,
    load: Load,
    context: CallContext | undefined,
  ): Promise<unknown> {
    const detour = state.detour ?? detourOf(state, id, context);
    if (detour !== undefined) return this.pass(state, id, detour, load, context);
    return state.remote === undefined
      ? this.load(state, id, load, context, undefined)
      : this.readShared(state, state.remote, id, load, context);
  }

  /** An entry that several processes share. */
  private readShared(
    state: EntityState,
    remote: RemoteTier,
    id: string,
    load: Load,
    context: CallContext | undefined,
  ): Promise<unknown> {
    return this.found(state, remote, id, context).then((held) =>
      this.answer(state, id, load, context, held),
    );
  }

  private answer(
    state: EntityState,
    id: string,
    load: Load,
    context: CallContext | undefined,
    held: CacheRecord | null | undefined,
  ): unknown {
    // The application may have ended meanwhile.
    if (state.detour !== undefined) return this.pass(state, id, state.detour, load, context);
    const now = this.clock.monotonic();
    if (!held || !this.freshness.serves(state, held, context, now)) {
      return this.load(state, id, load, context, held);
    }
    if (this.freshness.isToBeRefreshed(state, held, now)) {
      void this.loads.refresh(state, id, load, context, now, held);
    }
    this.seen(state, id, held, context, now);
    return held.handOut === 'shared' ? held.value : this.handOut(state, id, held, load, context);
  }

  /** What the store has, however old; `null` if it gives no answer: nobody waits for another one then. */
  private found(
    state: EntityState,
    remote: RemoteTier,
    id: string,
    context: CallContext | undefined,
  ): Promise<CacheRecord | null | undefined> {
    if (remote.avoids(id)) return Promise.resolve(undefined);
    const keep = (record: CacheRecord) => void state.table.set(id, record);
    return remote.find(id, keep).catch((error) => {
      this.fleet.unanswered(state, context, error);
      return null;
    });
  }

  /** `held`: what is there, and does not answer the call as things are. */
  private load(
    state: EntityState,
    id: string,
    load: Load,
    context: CallContext | undefined,
    held: CacheRecord | null | undefined,
    urgency: Urgency = 'waited for',
  ): Promise<unknown> {
    const now = this.clock.monotonic();
    if (state.coolDown.rests(id, now)) {
      const record = this.freshness.usableAfterFailure(state, id, context, now, held);
      if (record !== undefined) return this.hit(state, id, record, load, context, now);
    }
    this.told.miss(state, id, held, context);
    const { flight, joined } = this.loads.fly(state, id, load, context, now, held, urgency);
    return flight.then(
      (record) => {
        // What cannot be copied cannot be given to two.
        if (joined && record.handOut === 'raw')
          return this.pass(state, id, 'unstorable', load, context);
        // A tag of it may have been invalidated before this call joined.
        if (joined && !this.freshness.isCurrent(record))
          return this.load(state, id, load, context, held);
        return this.handOut(state, id, record, load, context);
      },
      (error) => this.insteadOf(error, state, id, load, context, held, urgency),
    );
  }

  /** What is served because loading failed; without it, the failure. */
  private insteadOf(
    error: unknown,
    state: EntityState,
    id: string,
    load: Load,
    context: CallContext | undefined,
    held: CacheRecord | null | undefined,
    urgency: Urgency,
  ): Promise<unknown> {
    const now = this.clock.monotonic();
    const record = this.freshness.usableAfterFailure(state, id, context, now, held);
    if (record !== undefined) return this.hit(state, id, record, load, context, now);
    if (!(error instanceof LeftAlone)) return Promise.reject(error);
    // The source was left alone for those who can bear it. Who cannot loads together with the others who cannot.
    if (urgency !== 'waited for') return this.pass(state, id, 'cooling down', load, context);
    return this.load(state, id, load, context, held, error.waited ? 'impatient' : 'insisting');
  }

  /** Asks the source itself: joins no load, stores nothing. */
  private async pass(
    state: EntityState,
    id: string,
    reason: CacheEvents['bypass']['reason'],
    load: Load,
    context: CallContext | undefined,
  ): Promise<unknown> {
    this.told.bypass(state, reason, context);
    // Where the contract gives a load its time, one for a single caller has no more.
    if (state.detour === undefined && reason !== 'own load' && reason !== 'own flush') {
      return (await this.loader.loadAlone(state, id, load, context)).value;
    }
    return await load(currentLoad());
  }

  private handOut(
    state: EntityState,
    id: string,
    { value, handOut }: CacheRecord,
    load: Load,
    context: CallContext | undefined,
  ): Promise<unknown> {
    switch (handOut) {
      case 'shared':
      case 'raw':
        return Promise.resolve(value);
      case 'copied':
        return Promise.resolve(copy(value));
      case 'revived':
        return this.revived(state, id, value, load, context);
      case 'thrown':
        return Promise.reject(value);
    }
  }

  /** `revive` was tried when the value was stored; should it fail later, the entry is worth nothing. */
  private revived(
    state: EntityState,
    id: string,
    value: unknown,
    load: Load,
    context: CallContext | undefined,
  ): Promise<unknown> {
    try {
      return Promise.resolve(state.policy.revive!(copy(value)));
    } catch {
      this.told.unrevivable(state, context);
      this.fleet.drop(state, id, context);
      return this.pass(state, id, 'unstorable', load, context);
    }
  }
}
