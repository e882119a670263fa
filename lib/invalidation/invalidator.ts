import { TO_BE_TOLD } from '../contract/kept-in.js';
import type { Comparable } from '../entry/version.js';
import type { Singleflight } from '../coordination/singleflight.js';
import { CacheUsageError } from '../errors/cache.error.js';
import type { EventSource, Trace } from '../events/event-source.js';
import { channels } from '../events/events.js';
import type { EntityState } from '../store/entity-state.js';
import { nameOfFamily, nameOfTag } from '../store/tag-names.js';
import type { TagTable } from '../store/tag-table.js';
import { UntoldError } from './announcements.js';
import type { PendingInvalidations } from './pending-invalidations.js';
import type { SharedStore } from './shared-store.js';

/**
 * Where an invalidation stands. `'acknowledged'`: in force in this process, and in the store where others share the entry.
 * `'pending'`: in force in this process, and the store could not be told. It is told again until it has heard, while the
 * application runs; where it will not be, the fault that is told of it says so.
 */
export type InvalidationOutcome = 'acknowledged' | 'pending';

/**
 * Takes entries out of use.
 *
 * The order is what keeps the promise "no call that starts after this returned gets a value whose load started
 * before": first the load under way loses the right to store its value and to be joined, then the entry goes.
 * Both happen in one turn, so nothing comes between.
 */
export class Invalidator {
  constructor(
    private readonly flights: Singleflight,
    private readonly tags: TagTable,
    private readonly events: EventSource,
    private readonly pending: PendingInvalidations,
    /** By name. */
    private readonly stores: ReadonlyMap<string, SharedStore> = new Map(),
  ) {}

  /** `id`: as `idOf` makes it of a key. */
  invalidate(
    state: EntityState,
    id: string,
    trace?: Trace,
  ): InvalidationOutcome | Promise<InvalidationOutcome> {
    this.invalidateHere(state, id, trace);
    return state.remote === undefined ? 'acknowledged' : this.tell(state, id, undefined, trace);
  }

  private invalidateHere(state: EntityState, id: string, trace?: Trace): void {
    const { entity } = state.policy;
    this.flights.poison(entity, id);
    state.tickets.touch(id);
    const held = state.table.delete(id) ? 1 : 0;
    if (channels.invalidate.hasSubscribers) {
      this.events.publish('invalidate', { ...this.events.ofEntry(entity, id, trace), held });
    }
  }

  /** Tells the store. Whatever happens there, the write that the invalidation is about has been done. */
  private async tell(
    state: EntityState,
    id: string,
    atLeast: Comparable | undefined,
    trace: Trace | undefined,
  ): Promise<InvalidationOutcome> {
    try {
      await state.remote!.invalidate(id, atLeast);
      return 'acknowledged';
    } catch (error) {
      // The store has it, and the others are told again by who tells them.
      const isToldAgain = error instanceof UntoldError || this.pending.add(state, id, atLeast);
      const { entity, store } = state.policy;
      const from = isToldAgain
        ? 'It is told again until it has heard; other processes may serve the old value until then, at most for its ttl.'
        : 'It will not be told again; other processes may serve the old value, at most for its ttl.';
      this.events.fault(
        'CACHE_INVALIDATION_PENDING',
        entity,
        `An entry of '${entity}' was invalidated, and the store '${store}' could not be told. ${from}`,
        trace,
      );
      return 'pending';
    }
  }

  /** The store has what was written, and those who have copies have not heard of it. They are told again. */
  untold({ policy }: EntityState, trace?: Trace): InvalidationOutcome {
    const { entity, store } = policy;
    this.events.fault(
      'CACHE_INVALIDATION_PENDING',
      entity,
      `An entry of '${entity}' was written to the store '${store}', and those who have copies of it could not be told. They are told again until they have heard, and may serve the old value until then, at most for as long as the contract bears that.`,
      trace,
    );
    return 'pending';
  }

  /**
   * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID where processes share the entries, and this one does not hear what
   * others invalidate
   */
  invalidateFamily(
    state: EntityState,
    trace?: Trace,
  ): InvalidationOutcome | Promise<InvalidationOutcome> {
    const { entity, store, isTold } = state.policy;
    if (state.remote !== undefined && !isTold) {
      throw new CacheUsageError(
        'CACHE_ARGUMENT_INVALID',
        `all entries of '${entity}' were to be invalidated, and those in the store '${store}' can only be invalidated one by one`,
        `invalidate by key, or ${TO_BE_TOLD}.`,
      );
    }
    this.flights.poison(entity);
    state.tickets.touch();
    const held = state.table.size;
    state.table.clear();
    if (channels.invalidate.hasSubscribers) {
      this.events.publish('invalidate', { ...this.events.ofEntity(entity, trace), held });
    }
    return isTold
      ? this.tellTag(nameOfFamily(entity), [this.stores.get(store!)!], trace)
      : 'acknowledged';
  }

  /** It is not known what changed: nothing of the entity is used any more. */
  doubt(state: EntityState, trace?: Trace): InvalidationOutcome | Promise<InvalidationOutcome> {
    const { remote, policy } = state;
    if (remote === undefined || policy.isTold) return this.invalidateFamily(state, trace);
    this.flights.poison(policy.entity);
    state.tickets.touch();
    state.table.clear();
    remote.shutOut();
    this.events.fault(
      'CACHE_INVALIDATION_PENDING',
      policy.entity,
      `Any entry of '${policy.entity}' may have changed, and the store '${policy.store}' can only be told of single ones. It will not be told; other processes may serve old values, at most for their ttl.`,
      trace,
    );
    return 'pending';
  }

  /**
   * What carries the tag is not current any more, wherever it is: in a table, or in a load that somebody joins. `by`: the
   * entity whose method says so.
   */
  invalidateTag(
    tag: string,
    trace?: Trace,
    by?: string,
  ): InvalidationOutcome | Promise<InvalidationOutcome> {
    this.tags.invalidate(tag);
    return this.stores.size === 0
      ? 'acknowledged'
      : this.tellTag(nameOfTag(tag), this.stores.values(), trace, by);
  }

  private async tellTag(
    name: string,
    stores: Iterable<SharedStore>,
    trace: Trace | undefined,
    by?: string,
  ): Promise<InvalidationOutcome> {
    const telling = [...new Set(stores)].map((store) => store.invalidateTag(name, trace, by));
    return (await Promise.all(telling)).every(Boolean) ? 'acknowledged' : 'pending';
  }

  /** A value older than `atLeast` is refused from now on; one that is there already, and is as new, stays. */
  invalidateBelow(
    state: EntityState,
    id: string,
    atLeast: Comparable,
    trace?: Trace,
  ): InvalidationOutcome | Promise<InvalidationOutcome> {
    if (state.policy.version === undefined) return this.invalidate(state, id, trace);
    state.floors.raise(id, atLeast);
    this.flights.poison(state.policy.entity, id);
    const held = state.table.get(id)?.extras?.version;
    if (held === undefined || held < atLeast) this.invalidateHere(state, id, trace);
    return state.remote === undefined ? 'acknowledged' : this.tell(state, id, atLeast, trace);
  }
}
