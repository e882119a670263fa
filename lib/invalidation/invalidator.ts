import type { Comparable } from '../entry/version.js';
import type { Singleflight } from '../coordination/singleflight.js';
import type { EventSource, Trace } from '../events/event-source.js';
import { channels } from '../events/events.js';
import type { EntityState } from '../store/entity-state.js';
import type { TagTable } from '../store/tag-table.js';

/** Where an invalidation stands: `'acknowledged'` once no reader can get the old value any more. */
export type InvalidationOutcome = 'acknowledged';

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
  ) {}

  /** `id`: as `idOf` makes it of a key. */
  invalidate(state: EntityState, id: string, trace?: Trace): InvalidationOutcome {
    const { entity } = state.policy;
    this.flights.poison(entity, id);
    state.tickets.touch(id);
    const held = state.table.delete(id) ? 1 : 0;
    if (channels.invalidate.hasSubscribers) {
      this.events.publish('invalidate', { ...this.events.ofEntry(entity, id, trace), held });
    }
    return 'acknowledged';
  }

  invalidateFamily(state: EntityState, trace?: Trace): InvalidationOutcome {
    const { entity } = state.policy;
    this.flights.poison(entity);
    state.tickets.touch();
    const held = state.table.size;
    state.table.clear();
    if (channels.invalidate.hasSubscribers) {
      this.events.publish('invalidate', { ...this.events.ofEntity(entity, trace), held });
    }
    return 'acknowledged';
  }

  /** What carries the tag is not current any more, wherever it is: in a table, or in a load that somebody joins. */
  invalidateTag(tag: string): InvalidationOutcome {
    this.tags.invalidate(tag);
    return 'acknowledged';
  }

  /** A value older than `atLeast` is refused from now on; one that is there already, and is as new, stays. */
  invalidateBelow(
    state: EntityState,
    id: string,
    atLeast: Comparable,
    trace?: Trace,
  ): InvalidationOutcome {
    if (state.policy.version === undefined) return this.invalidate(state, id, trace);
    state.floors.raise(id, atLeast);
    this.flights.poison(state.policy.entity, id);
    const held = state.table.get(id)?.extras?.version;
    return held !== undefined && held >= atLeast
      ? 'acknowledged'
      : this.invalidate(state, id, trace);
  }
}
