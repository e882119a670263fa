import type { EventSource } from '../events/event-source.js';
import type { Singleflight } from '../coordination/singleflight.js';
import type { EntryName } from '../store/entry-name.js';
import type { EntityState } from '../store/entity-state.js';

/** How often the log is asked at least. */
const POLL_MS = 1_000;
/** How often it is asked within the shortest lease. */
const POLLS_PER_LEASE = 3;

/** What this process has of the entries of a store, beside the store. */
export class Copies {
  private readonly states = new Map<string, EntityState>();

  constructor(
    private readonly store: string,
    private readonly flights: Singleflight,
    private readonly events: EventSource,
  ) {}

  add(state: EntityState): void {
    this.states.set(state.policy.entity, state);
  }

  get size(): number {
    return this.states.size;
  }

  get pollMs(): number {
    let shortest = Infinity;
    for (const { policy } of this.states.values()) {
      shortest = Math.min(shortest, policy.copyLeaseMs);
    }
    return Math.min(POLL_MS, shortest / POLLS_PER_LEASE);
  }

  /** Changed elsewhere: copies go, and what is on its way here does not become one. */
  forget(entries: readonly EntryName[]): void {
    for (const { entity, id } of entries) {
      const state = this.states.get(entity);
      if (state === undefined) continue;
      this.flights.poison(entity, id);
      state.remote!.overtake(id);
      state.table.delete(id);
    }
  }

  /** None of them is known to be current, nor is anything that is on its way here. */
  drop(why: 'at the start' | 'something was missed'): void {
    for (const [entity, state] of this.states) {
      this.flights.poison(entity);
      state.remote!.overtakeAll();
      state.table.clear();
    }
    if (why === 'at the start') return;
    for (const entity of this.states.keys()) {
      this.events.fault(
        'CACHE_COPIES_DROPPED',
        entity,
        `What the store '${this.store}' said of changes was not complete: this process dropped its copies of '${entity}', and reads them again.`,
        undefined,
      );
    }
  }

  /** Nobody says whether they are current: they are not used from some moment on. */
  unheard(): void {
    for (const entity of this.states.keys()) {
      this.events.fault(
        'CACHE_STORE_OUT_OF_REACH',
        entity,
        `The store '${this.store}' does not say what others change: this process uses no copies of '${entity}' until it does.`,
        undefined,
      );
    }
  }

  /** At `askedAt`, or later, nothing was missing. */
  renew(askedAt: number): void {
    for (const state of this.states.values()) state.renewCopies(askedAt);
  }
}
