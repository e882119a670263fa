import type { Singleflight } from '../coordination/singleflight.js';
import type { WriteTicket } from '../coordination/write-tickets.js';
import type { Trace } from '../events/event-source.js';
import { Outcomes } from '../invalidation/acknowledged.js';
import type { InvalidationOutcome, Invalidator } from '../invalidation/invalidator.js';
import type { Begun, Keeper, SharedCopy } from '../read/keeper.js';
import {
  currentLoad,
  isFlushing,
  loadAround,
  type CallContext,
  type LoadFrame,
} from '../read/call-context.js';
import type { Load, Loader } from '../read/loader.js';
import type { EntityState } from '../store/entity-state.js';
import type { Right } from '../store/leased.js';
import type { RemoteTier } from '../store/remote-tier.js';

/** A write-through under way. */
export interface Write {
  readonly state: EntityState;
  readonly ticket: WriteTicket;
  /** When it began: what changed after that may be missing from what it brings back. */
  readonly begun: Begun;
  /** Where processes share the entry: the right to store it, if the store gave it. The write begins after that. */
  readonly claimed?: Promise<Right | undefined>;
}

/** What was said of a value by who brings it. */
type Said = Pick<LoadFrame, 'ttlMs' | 'tags'>;

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
    const write = { state, ticket: state.tickets.begin(id), begun: this.keeper.begin(trace) };
    if (state.remote === undefined || id === undefined) return write;
    return { ...write, claimed: state.remote.claim(id).catch(() => undefined) };
  }

  /**
   * The write resolved to the value the source now holds. Where processes share it, when it resolves nobody gets another,
   * unless that is pending.
   */
  stored(
    write: Write,
    id: string,
    value: unknown,
    said?: Said,
  ): Promise<InvalidationOutcome> | undefined {
    const { state, ticket, begun } = write;
    const { trace } = begun;
    const alone = state.tickets.end(ticket, id);
    if (!alone || state.detour !== undefined || value === undefined) {
      return this.invalidate(state, id, trace);
    }
    if (state.remote !== undefined) {
      return this.share(write, id, value, said).then((stored) => {
        if (stored === 'yes') return 'acknowledged';
        return stored === 'untold'
          ? this.invalidator.untold(state, trace)
          : this.invalidator.invalidate(state, id, trace);
      });
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
    return undefined;
  }

  /**
   * Stores a value that somebody brings along. Of several for one entry that overlap, in whatever processes, the last one
   * stays: each of them is the truth of its moment, and none of them has a source to be asked again.
   */
  put(
    state: EntityState,
    id: string,
    value: unknown,
    ttlMs: number,
    trace: Trace | undefined,
  ): Promise<InvalidationOutcome> | undefined {
    const said = { ttlMs, tags: [] };
    const begun = this.keeper.begin(trace);
    if (state.remote !== undefined)
      return this.replace(state.remote, state, begun, id, value, said);
    return this.stored({ state, ticket: state.tickets.begin(id), begun }, id, value, said);
  }

  /** What is there goes first. Then nothing old is left where another one overtakes, and that one may stay. */
  private async replace(
    remote: RemoteTier,
    state: EntityState,
    begun: Begun,
    id: string,
    value: unknown,
    said: Said,
  ): Promise<InvalidationOutcome> {
    const outcome = await this.invalidator.invalidate(state, id, begun.trace);
    if (outcome === 'pending' || state.detour !== undefined || value === undefined) return outcome;
    const right = await remote.claim(id).catch(() => undefined);
    if (right === undefined) return outcome;
    const write = { state, begun, claimed: Promise.resolve(right) };
    const stored = await this.share(write, id, value, said);
    // It may be there, and nobody has told those who have copies.
    if (stored === 'unknown') return this.invalidator.invalidate(state, id, begun.trace);
    if (stored === 'untold') return this.invalidator.untold(state, begun.trace);
    // Others who ask for the entry need not wait for what does not come.
    if (stored === 'no') await remote.fail(right, 0).catch(() => undefined);
    return outcome;
  }

  /**
   * Stores the value where others see it, unless another write came between. Unknown where nobody answered; untold where
   * those who have copies could not be told.
   */
  private async share(
    { state, begun, claimed }: Omit<Write, 'ticket'>,
    id: string,
    value: unknown,
    said: Said | undefined,
  ): Promise<'yes' | 'no' | 'unknown' | 'untold'> {
    const remote = state.remote!;
    const right = await claimed;
    let isTold = true;
    let stored: ReturnType<SharedCopy['store']>;
    if (right !== undefined) {
      const nothing = () => undefined;
      const shared: SharedCopy = {
        store: (record, keep) =>
          (stored = remote.fillWritten(right, record, keep, () => void (isTold = false))),
        leave: nothing,
        remove: nothing,
      };
      const refused = () => undefined;
      const [ttlMs, tags] = [said?.ttlMs, said?.tags];
      const origin = { ...begun, state, id, ttlMs, tags, shared, refused };
      this.flights.poison(state.policy.entity, id);
      state.table.delete(id);
      this.keeper.keep(origin, value);
    }
    const outcome = await stored?.catch(() => 'unknown' as const);
    if (outcome === 'stored') return isTold ? 'yes' : 'untold';
    return outcome === 'unknown' ? outcome : 'no';
  }

  private async invalidate(
    state: EntityState,
    id: string,
    trace?: Trace,
  ): Promise<InvalidationOutcome> {
    return this.invalidator.invalidate(state, id, trace);
  }

  /**
   * Loads an entry and stores it as if it had been written. A load that fails has changed nothing.
   *
   * @throws {CacheInvalidationUnacknowledgedError}
   */
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
      void this.stored(this.begin(state, id, context), id, null);
      return state.pending.over(id, null)?.value;
    }
    const visit = state.pending?.visit(id, loadAround(context) !== undefined);
    const asked: Load = visit ? (said) => visit.load(() => load(said)) : load;
    const write = this.begin(state, id, context);
    if (write.claimed !== undefined) await write.claimed;
    const outcomes = new Outcomes();
    let result: unknown;
    try {
      const { value, said } = await this.loader.loadAlone(state, id, asked, context);
      if (said.skipped) await this.abandon(write);
      else outcomes.add(state.policy, this.stored(write, id, value, said));
      await outcomes.settled();
      const seen = state.pending?.over(id, value);
      result = seen === undefined ? value : seen.value;
    } catch (error) {
      await this.abandon(write);
      throw error;
    } finally {
      visit?.end();
    }
    outcomes.check(result);
    return result;
  }

  /** The write failed, and may have written all the same. */
  failed({ state, ticket, begun }: Write): Promise<InvalidationOutcome> | undefined {
    state.tickets.abandon(ticket);
    return ticket.id === undefined ? undefined : this.invalidate(state, ticket.id, begun.trace);
  }

  /** Nothing was written: what is there may stay. */
  private async abandon({ state, ticket, claimed }: Write): Promise<void> {
    state.tickets.abandon(ticket);
    const right = await claimed;
    if (right !== undefined) await state.remote!.fail(right, 0).catch(() => undefined);
  }
}
