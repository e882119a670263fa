import type { Singleflight } from '../coordination/singleflight.js';
import type { EntityKey } from '../contract/entity.js';
import type { ReadThroughPolicy } from '../contract/policy.js';
import { copy } from '../entry/copy.js';
import { idOf, isOwnId } from '../entry/key.js';
import type { CacheRecord } from '../entry/record.js';
import type { EventSource } from '../events/event-source.js';
import { channels, type CacheEvents } from '../events/events.js';
import type { EntityState } from '../store/entity-state.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import { calls, currentLoad, isOwnLoad, type CallContext } from './call-context.js';
import type { Load, Loader } from './loader.js';

/** The way of a read: local tier, else the one load under way, else a load of its own. */
export class Reader {
  constructor(
    private readonly clock: Clock,
    private readonly flights: Singleflight,
    private readonly loader: Loader,
    private readonly background: Background,
    private readonly events: EventSource,
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
    const record = this.fresh(state, id, context);
    if (record === undefined) return this.miss(state, idOf(key, entity), load, context);
    record.visited = true;
    if (channels.hit.hasSubscribers) this.announceHit(state, id, record, context);
    return record.handOut === 'shared'
      ? Promise.resolve(record.value)
      : this.handOut(state, id, record, load, context);
  }

  /** The value a call would be answered with at once; nothing if it would load, or throw a remembered error. */
  async peek(state: EntityState, key: EntityKey): Promise<unknown> {
    const id = idOf(key, state.policy.entity);
    const context = calls.getStore();
    const record = this.fresh(state, id, context);
    if (record === undefined || record.handOut === 'thrown') return undefined;
    return this.handOut(state, id, record, () => undefined, context);
  }

  private fresh(
    state: EntityState,
    id: string,
    context: CallContext | undefined,
  ): CacheRecord | undefined {
    const record = state.table.get(id);
    if (record === undefined) return undefined;
    const now = this.clock.monotonic();
    return now < record.softExpiry &&
      now < state.usableUntil &&
      context?.bypass?.has(state) !== true
      ? record
      : undefined;
  }

  private miss(
    state: EntityState,
    id: string,
    load: Load,
    context: CallContext | undefined,
  ): Promise<unknown> {
    const detour = state.detour ?? detourOf(state, id, context);
    if (detour !== undefined) return this.pass(state, detour, load, context);
    const { entity } = state.policy;
    if (channels.miss.hasSubscribers) {
      const reason = state.table.get(id) === undefined ? 'absent' : 'expired';
      this.events.publish('miss', { ...this.events.ofEntry(entity, id, context), reason });
    }
    this.leaveBehind(state, id);
    let joined = true;
    const flight = this.flights.fly(entity, id, (flight) => {
      joined = false;
      const loading = this.loader.load(state, id, flight, load, context);
      this.background.track(loading);
      return loading;
    });
    if (joined && channels.join.hasSubscribers) {
      this.events.publish('join', this.events.ofEntry(entity, id, context));
    }
    return flight.then((record) =>
      // What cannot be copied cannot be given to two.
      record.handOut === 'raw' && joined
        ? this.pass(state, 'unstorable', load, context)
        : this.handOut(state, id, record, load, context),
    );
  }

  /** A load past its time, which a stalled process could not end in time, is too old to be joined. */
  private leaveBehind(state: EntityState, id: string): void {
    const startedAt = state.loading.get(id);
    if (startedAt === undefined) return;
    const { loadTimeoutMs } = state.policy.read as ReadThroughPolicy;
    if (this.clock.monotonic() - startedAt < loadTimeoutMs) return;
    this.flights.poison(state.policy.entity, id);
  }

  /** Asks the source itself: joins no load, stores nothing. */
  private async pass(
    state: EntityState,
    reason: CacheEvents['bypass']['reason'],
    load: Load,
    context: CallContext | undefined,
  ): Promise<unknown> {
    if (channels.bypass.hasSubscribers) {
      this.events.publish('bypass', {
        ...this.events.ofEntity(state.policy.entity, context),
        reason,
      });
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
      const { entity } = state.policy;
      const message = `\`revive\` of '${entity}' threw for a value it had made before; the entry was dropped.`;
      this.events.fault('CACHE_CALLBACK_FAILED', entity, message, context);
      state.table.delete(id);
      return this.pass(state, 'unstorable', load, context);
    }
  }

  private announceHit(
    state: EntityState,
    id: string,
    record: CacheRecord,
    context: CallContext | undefined,
  ): void {
    this.events.publish('hit', {
      ...this.events.ofEntry(state.policy.entity, id, context),
      ageMs: this.clock.monotonic() - record.loadedAt,
      savedMs: record.loadMs,
      absent: record.absent,
    });
  }
}

function detourOf(state: EntityState, id: string, context: CallContext | undefined) {
  if (context?.bypass?.has(state)) return 'context';
  return isOwnLoad(context, state, id) ? 'own load' : undefined;
}
