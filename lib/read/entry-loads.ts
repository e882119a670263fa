import type { ReadThroughPolicy } from '../contract/policy.js';
import type { Singleflight } from '../coordination/singleflight.js';
import type { CacheRecord } from '../entry/record.js';
import type { EventSource } from '../events/event-source.js';
import { channels } from '../events/events.js';
import type { EntityState } from '../store/entity-state.js';
import type { Background } from '../time/background.js';
import { isOwnLoad, loadAround, type CallContext } from './call-context.js';
import type { FleetLoader, Urgency } from './fleet-loader.js';
import type { Load, Loader } from './loader.js';

/** The one load of an entry in this process, which those who wait for it share. */
export class EntryLoads {
  constructor(
    private readonly flights: Singleflight,
    private readonly loader: Loader,
    private readonly fleet: FleetLoader,
    private readonly background: Background,
    private readonly events: EventSource,
  ) {}

  /** Starts it, or joins it if it is under way. `held`: what is there, and does not answer the call. */
  fly(
    state: EntityState,
    id: string,
    load: Load,
    context: CallContext | undefined,
    now: number,
    held: CacheRecord | null | undefined,
    urgency: Urgency,
  ): { flight: Promise<CacheRecord>; joined: boolean } {
    const { entity } = state.policy;
    this.leaveBehind(state, id, now);
    // It waits for a batch, which waits for the load that this call is part of.
    if (
      state.loading.get(id)?.visit?.waits === true &&
      state.pending?.closes(id) &&
      loadAround(context) !== undefined
    ) {
      this.flights.poison(entity, id);
    }
    let joined = true;
    const flight = this.flights.fly(entity, id, (flight) => {
      joined = false;
      const { remote } = state;
      const loading =
        remote === undefined
          ? this.loader.load(state, id, flight, load, context)
          : this.fleet.load({ state, remote, id, flight, run: load, context, held, urgency });
      this.background.track(loading);
      return loading;
    });
    if (joined && channels.join.hasSubscribers) {
      this.events.publish('join', this.events.ofEntry(entity, id, context));
    }
    return { flight, joined };
  }

  /** Loads again behind the caller; once per key, and not while the key rests after a failure. */
  refresh(
    state: EntityState,
    id: string,
    load: Load,
    context: CallContext | undefined,
    now: number,
    held?: CacheRecord,
  ): Promise<unknown> | undefined {
    if (state.loading.get(id)?.flight.poisoned === false || state.coolDown.rests(id, now)) return;
    if (isOwnLoad(context, state, id)) return;
    const ignore = () => undefined;
    // A failure has been told as an event, and the value it did not replace is still there.
    const { flight } = this.fly(state, id, load, context, now, held, 'behind');
    this.background.track(flight.then(ignore, ignore));
    return flight;
  }

  /** A load past its time, which a stalled process could not end in time, is too old to be joined. */
  private leaveBehind(state: EntityState, id: string, now: number): void {
    const loading = state.loading.get(id);
    if (loading === undefined) return;
    const { loadTimeoutMs } = state.policy.read as ReadThroughPolicy;
    if (now - loading.startedAt >= loadTimeoutMs) this.flights.poison(state.policy.entity, id);
  }
}
