import type { Flight } from '../coordination/singleflight.js';
import type { CacheRecord } from '../entry/record.js';
import type { EventSource } from '../events/event-source.js';
import { channels, type CacheEvents } from '../events/events.js';
import type { Invalidator } from '../invalidation/invalidator.js';
import type { Lease } from '../store/cache-store.js';
import type { EntityState } from '../store/entity-state.js';
import type { RemoteTier } from '../store/remote-tier.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import type { CallContext } from './call-context.js';
import type { SharedCopy } from './keeper.js';
import type { Load, Loader } from './loader.js';

/** How long a process waits for another one's load before it loads for itself, without storing what comes. */
const MOST_WAIT_MS = 2_000;
/** Those whose wait for a dead loader ends at once do not all ask at once. */
const SPREAD_MS = 50;

/** The source is left alone by those who can bear it: loading has just failed, or somebody else is at it. */
export class LeftAlone extends Error {}

/** What a load is about. */
interface Wanted {
  readonly state: EntityState;
  readonly remote: RemoteTier;
  readonly id: string;
  readonly flight: Flight;
  readonly run: Load;
  readonly context: CallContext | undefined;
  /** What the store has, and is not good enough. */
  readonly held: CacheRecord | undefined;
  /** Nobody waits for it: its caller was served with what is there. */
  readonly behind: boolean;
}

/** One load per entry among all processes that share a store; each for itself where the store is out of reach. */
export class FleetLoader {
  constructor(
    private readonly clock: Clock,
    private readonly background: Background,
    private readonly loader: Loader,
    private readonly invalidator: Invalidator,
    private readonly events: EventSource,
  ) {}

  /** @throws what the loader throws; {@link LeftAlone} */
  async load(wanted: Wanted): Promise<CacheRecord> {
    const { remote, id, held, state, context } = wanted;
    const patientUntil = this.clock.monotonic() + MOST_WAIT_MS;
    for (;;) {
      if (remote.avoids(id)) return this.loadAlone(wanted);
      let answer;
      try {
        answer = await remote.lease(id, held);
      } catch {
        this.outOfReach(state, context);
        return this.loadAlone(wanted);
      }
      switch (answer.outcome) {
        case 'granted':
          return this.loadUnder(answer.lease, wanted);
        case 'fresh':
          return answer.record;
        case 'cooling':
          throw new LeftAlone();
        case 'refused':
          return this.loadAlone(wanted);
        case 'held': {
          const left = patientUntil - this.clock.monotonic();
          if (left <= 0) {
            answer.leave();
            if (wanted.behind) throw new LeftAlone();
            return this.loadAlone(wanted);
          }
          await this.wait(
            answer.woken,
            Math.min(left, answer.forMs + this.clock.random() * SPREAD_MS),
          );
          answer.leave();
        }
      }
    }
  }

  /** Told, and absorbed. */
  outOfReach({ policy }: EntityState, context: CallContext | undefined): void {
    this.events.fault(
      'CACHE_STORE_OUT_OF_REACH',
      policy.entity,
      `The store '${policy.store}' gave no answer in time. Calls of '${policy.entity}' ask the source until it does.`,
      context,
    );
  }

  private async loadUnder(lease: Lease, wanted: Wanted): Promise<CacheRecord> {
    const { state, remote, id, flight, run, context, held } = wanted;
    const shared = this.copyUnder(lease, wanted);
    try {
      return await this.loader.load(state, id, flight, run, context, { held, shared });
    } catch (error) {
      this.ignoring(remote.fail(lease, state.coolDown.pauseOf(id, this.clock.monotonic())));
      throw error;
    }
  }

  /** Nobody else learns of it; this process may, where its contract bears that. */
  private loadAlone({ state, id, flight, run, context, held }: Wanted): Promise<CacheRecord> {
    const nothing = () => undefined;
    const shared = {
      store: (_: CacheRecord, keep: () => void) => keep(),
      leave: nothing,
      remove: nothing,
    };
    return this.loader.load(state, id, flight, run, context, { held, shared });
  }

  private copyUnder(lease: Lease, { state, remote, id, context }: Wanted): SharedCopy {
    return {
      // Nobody waits for it: what is asked of the store next is answered after it.
      store: (record, keep) => {
        const filled = remote.fill(lease, record).then((outcome) => {
          if (outcome === 'stored') keep();
          const told = outcome === 'voided' ? 'invalidated meanwhile' : outcome;
          this.announce(state, id, context, told, record.bytes);
        });
        this.ignoring(filled);
      },
      leave: () => this.ignoring(remote.fail(lease, 0)),
      remove: () => void this.invalidator.invalidate(state, id, context),
    };
  }

  private wait(woken: Promise<void>, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.background.after(ms, resolve);
      void woken.then(() => {
        stop();
        resolve();
      });
    });
  }

  private announce(
    { policy }: EntityState,
    id: string,
    context: CallContext | undefined,
    outcome: CacheEvents['fill']['outcome'],
    bytes: number,
  ): void {
    if (!channels.fill.hasSubscribers) return;
    this.events.publish('fill', {
      ...this.events.ofEntry(policy.entity, id, context),
      outcome,
      bytes,
    });
  }

  private ignoring(work: Promise<unknown>): void {
    this.background.track(work.catch(() => undefined));
  }
}
