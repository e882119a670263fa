import type { Flight } from '../coordination/singleflight.js';
import type { CacheRecord } from '../entry/record.js';
import type { EventSource } from '../events/event-source.js';
import type { Invalidator } from '../invalidation/invalidator.js';
import type { EntityState } from '../store/entity-state.js';
import { REFUSED } from '../store/guarded-store.js';
import type { Right } from '../store/leased.js';
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
export class LeftAlone extends Error {
  constructor(
    /** Whether that was waited for. */
    readonly waited: boolean,
  ) {
    super();
  }
}

/** What a load is about. */
interface Wanted {
  readonly state: EntityState;
  readonly remote: RemoteTier;
  readonly id: string;
  readonly flight: Flight;
  readonly run: Load;
  readonly context: CallContext | undefined;
  /** What the store has, and is not good enough; `null` if it gave no answer. */
  readonly held: CacheRecord | null | undefined;
  readonly urgency: Urgency;
}

/**
 * How much a load is wanted. `behind`: nobody waits for it, because its caller was served with what is there. `insisting`:
 * by somebody for whom nothing will do that is there, though loading may have failed a moment ago. `impatient`: the same,
 * by somebody who has waited for another process, and does not once more.
 */
export type Urgency = 'behind' | 'waited for' | 'insisting' | 'impatient';

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
    const { state, id, flight } = wanted;
    // Who is answered meanwhile starts no other one behind him.
    const waiting = { startedAt: this.clock.monotonic(), flight };
    state.loading.set(id, waiting);
    try {
      return await this.inTurn(wanted, waiting);
    } finally {
      if (state.loading.get(id) === waiting) state.loading.delete(id);
    }
  }

  private async inTurn(wanted: Wanted, waiting: { startedAt: number }): Promise<CacheRecord> {
    const { remote, id, held, state, flight, context, urgency } = wanted;
    const patientUntil = this.clock.monotonic() + (urgency === 'impatient' ? 0 : MOST_WAIT_MS);
    let waited = false;
    const keep = (record: CacheRecord) => {
      if (!flight.poisoned) state.table.set(id, record);
    };
    for (;;) {
      if (held === null || remote.avoids(id)) return this.loadAlone(wanted);
      let answer;
      // Something fresh that the store answers may be as old as the question: who joins later is told of no more.
      waiting.startedAt = this.clock.monotonic();
      try {
        // Something old may still be good enough where loading fails; something fresh is to be replaced early. What is
        // doubtful the store tells apart by itself, and from another server's clock.
        const isFresh =
          held !== undefined && !held.isDoubtful && this.clock.monotonic() < held.softExpiry;
        const bears = urgency === 'behind' || urgency === 'waited for';
        answer = await remote.lease(id, isFresh ? held : undefined, bears, keep);
      } catch (error) {
        this.unanswered(state, context, error);
        return this.loadAlone(wanted);
      }
      switch (answer.outcome) {
        case 'granted':
          return this.loadUnder(answer.right, wanted);
        case 'fresh':
          return answer.record;
        case 'overtaken':
          continue;
        case 'cooling':
          throw new LeftAlone(waited);
        case 'refused':
          this.takesNothing(state, context);
          return this.loadAlone(wanted);
        case 'held': {
          // A write of this process that reads what it writes would wait for itself.
          const own = state.tickets.writes(id);
          const left = own ? 0 : patientUntil - this.clock.monotonic();
          if (left <= 0) {
            answer.leave();
            if (urgency === 'behind') throw new LeftAlone(waited);
            return this.loadAlone(wanted);
          }
          waited = true;
          // It is joined however long it has to wait: it asks once more then.
          waiting.startedAt = Infinity;
          await this.wait(
            answer.woken,
            Math.min(left, answer.forMs + this.clock.random() * SPREAD_MS),
          );
          answer.leave();
        }
      }
    }
  }

  /** An entry that is worth nothing, wherever it is kept. */
  drop(state: EntityState, id: string, context: CallContext | undefined): void {
    this.background.track(Promise.resolve(this.invalidator.invalidate(state, id, context)));
  }

  /** Told, and absorbed: `error` is all that the store said. */
  unanswered({ policy }: EntityState, context: CallContext | undefined, error: unknown): void {
    const told =
      error === REFUSED
        ? 'refuses what it is asked: it is full, a replica or short of replicas, or has something else under a key, or its user lacks rights'
        : 'is out of reach, or gave no answer in time';
    this.events.fault(
      'CACHE_STORE_OUT_OF_REACH',
      policy.entity,
      `The store '${policy.store}' ${told}. Calls of '${policy.entity}' ask the source ${error === REFUSED ? 'meanwhile' : 'until it does'}.`,
      context,
    );
  }

  private takesNothing({ policy }: EntityState, context: CallContext | undefined): void {
    this.events.fault(
      'CACHE_STORE_OUT_OF_REACH',
      policy.entity,
      `The store '${policy.store}' takes nothing: it is full, a replica, or short of replicas (min-replicas-to-write). Each process loads '${policy.entity}' for itself until it does.`,
      context,
    );
  }

  private async loadUnder(right: Right, wanted: Wanted): Promise<CacheRecord> {
    const { state, remote, id, flight, run, context, held } = wanted;
    const shared = this.copyUnder(right, wanted);
    try {
      return await this.loader.load(state, id, flight, run, context, {
        held: held ?? undefined,
        shared,
      });
    } catch (error) {
      const pause = state.coolDown.pauseOf(id, this.clock.monotonic());
      this.unawaited(remote.fail(right, pause), wanted);
      throw error;
    }
  }

  /** Nobody else learns of it; this process may, where its contract bears that. */
  private loadAlone({ state, id, flight, run, context, held }: Wanted): Promise<CacheRecord> {
    const nothing = () => undefined;
    const shared = {
      store: (_: CacheRecord, keep: () => void) => void keep(),
      leave: nothing,
      remove: nothing,
    };
    return this.loader.load(state, id, flight, run, context, { held: held ?? undefined, shared });
  }

  private copyUnder(right: Right, wanted: Wanted): SharedCopy {
    const { state, remote, id, context } = wanted;
    return {
      // Hardly anybody waits for it: who asks meanwhile is told to wait for the lease.
      store: (record, keep) => {
        const stored = remote.fill(right, record, keep);
        const filled = stored.then((outcome) => {
          // The source lags: it is not asked again at once for what is there in a newer version.
          if (outcome === 'older version') state.coolDown.failed(id, this.clock.monotonic());
          // What was there until now is not true any more, and the lease is still in force.
          if (outcome === 'too large') this.drop(state, id, context);
        });
        // Others would wait for its end.
        filled.catch(() => this.background.track(remote.fail(right, 0).catch(() => undefined)));
        this.unawaited(filled, wanted);
        const settled = filled
          .catch(() => undefined)
          .finally(() => {
            if (state.storing.get(id) === settled) state.storing.delete(id);
          });
        state.storing.set(id, settled);
        return stored;
      },
      leave: () => this.unawaited(remote.fail(right, 0), wanted),
      remove: () => this.drop(state, id, context),
    };
  }

  private wait(woken: Promise<void>, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.background.after(ms, resolve);
      const wake = () => {
        stop();
        resolve();
      };
      woken.then(wake, wake);
    });
  }

  private unawaited(work: Promise<unknown>, { state, context }: Wanted): void {
    this.background.track(work.catch((error) => this.unanswered(state, context, error)));
  }
}
