import type { Singleflight } from '../coordination/singleflight.js';
import type { WriteTicket } from '../coordination/write-tickets.js';
import type { Trace } from '../events/event-source.js';
import type { Invalidator } from '../invalidation/invalidator.js';
import type { Begun, Keeper } from '../read/keeper.js';
import {
  currentLoad,
  isFlushing,
  loadAround,
  type CallContext,
  type LoadFrame,
} from '../read/call-context.js';
import type { Load, Loader } from '../read/loader.js';
import type { EntityState } from '../store/entity-state.js';

/** A write-through under way. */
export interface Write {
  readonly state: EntityState;
  readonly ticket: WriteTicket;
  /** When it began: what changed after that may be missing from what it brings back. */
  readonly begun: Begun;
}

/**
 * Stores what a write brings back. The source is written first; the cache learns of it when the write has settled:
 * the value if the write was alone with its entry all the while, else nothing is left that could be old.
 */
export class Writer {
  constructor(
    private readonly flights: Singleflight,
    private readonly keeper: Keeper,
    private readonly loader: Loader,
    private readonly invalidator: Invalidator,
  ) {}

  /** `id` is unknown where the write makes the entry. */
  begin(state: EntityState, id: string | undefined, trace: Trace | undefined): Write {
    return { state, ticket: state.tickets.begin(id), begun: this.keeper.begin(trace) };
  }

  /** The write resolved to the value the source now holds. */
  stored({ state, ticket, begun }: Write, id: string, value: unknown, said?: LoadFrame): void {
    const { trace } = begun;
    const alone = state.tickets.end(ticket, id);
    if (!alone || state.detour !== undefined || value === undefined) {
      this.invalidator.invalidate(state, id, trace);
      return;
    }
    // Loads under way may have read before the write: they are not stored, and nobody joins them.
    this.flights.poison(state.policy.entity, id);
    const held = state.table.get(id);
    this.keeper.keep(
      {
        ...begun,
        state,
        id,
        ttlMs: said?.ttlMs,
        tags: said?.tags,
        refused: () => undefined,
      },
      value,
    );
    // What could not be stored must not leave the old value in its place.
    if (state.table.get(id) === held) state.table.delete(id);
  }

  /** Loads an entry and stores it as if it had been written. A load that fails has changed nothing. */
  async prime(
    state: EntityState,
    id: string,
    load: Load,
    context: CallContext | undefined,
  ): Promise<unknown> {
    // A batch that is being written would wait for itself.
    if (state.detour !== undefined || isFlushing(context)) return load(currentLoad());
    if (state.pending?.holds(id, 'a value')) {
      // That is the truth, whatever the source says.
      this.stored(this.begin(state, id, context), id, null);
      return state.pending.over(id, null)?.value;
    }
    const visit = state.pending?.visit(id, loadAround(context) !== undefined);
    const asked: Load = visit ? (said) => visit.load(() => load(said)) : load;
    const write = this.begin(state, id, context);
    try {
      const { value, said } = await this.loader.loadAlone(state, id, asked, context);
      if (said.skipped) state.tickets.abandon(write.ticket);
      else this.stored(write, id, value, said);
      const seen = state.pending?.over(id, value);
      return seen === undefined ? value : seen.value;
    } catch (error) {
      state.tickets.abandon(write.ticket);
      throw error;
    } finally {
      visit?.end();
    }
  }

  /** The write failed, and may have written all the same. */
  failed({ state, ticket, begun }: Write): void {
    state.tickets.abandon(ticket);
    if (ticket.id !== undefined) this.invalidator.invalidate(state, ticket.id, begun.trace);
  }
}
