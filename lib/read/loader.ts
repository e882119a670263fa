import type { ReadThroughPolicy } from '../contract/policy.js';
import type { Flight } from '../coordination/singleflight.js';
import type { CacheRecord } from '../entry/record.js';
import { copy } from '../entry/copy.js';
import { CacheLoadTimeoutError } from '../errors/cache.error.js';
import type { EventSource } from '../events/event-source.js';
import { channels, type CacheEvents } from '../events/events.js';
import type { EntityState, Visit } from '../store/entity-state.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import {
  calls,
  loadAround,
  LoadFrame,
  type CallContext,
  type LoadContext,
} from './call-context.js';
import type { Keeper, SharedCopy } from './keeper.js';

/** What asks the source of truth: the decorated method, or the function given to `EntityCache.get`. */
export type Load = (context: LoadContext) => unknown;

/** One attempt to load one entry. */
interface Attempt {
  readonly state: EntityState;
  readonly id: string;
  readonly startedAt: number;
  readonly context: CallContext | undefined;
  readonly frame: LoadFrame;
  /** Set when its time is up: an error like that can also come from a load inside the loader. */
  timedOut: boolean;
}

/** The failure of a load of several keys: it cannot mean that there is nothing under each of them. */
export class SharedFailure {
  constructor(readonly error: unknown) {}
}

/** Runs loaders within their time, and tells what came of it. */
export class Loader {
  constructor(
    private readonly clock: Clock,
    private readonly background: Background,
    private readonly keeper: Keeper,
    private readonly events: EventSource,
  ) {}

  /** Rejects with the loader's own error, unchanged, unless that error means that there is nothing. */
  async load(
    state: EntityState,
    id: string,
    flight: Flight,
    run: Load,
    context: CallContext | undefined,
    /** Where others share the entry: what is there, and what is done with what comes. */
    { held, shared }: { held?: CacheRecord; shared?: SharedCopy } = {},
  ): Promise<CacheRecord> {
    const visit = state.pending?.visit(id, loadAround(context) !== undefined);
    try {
      const attempt = this.attempt(state, id, context, held);
      return await this.visiting(visit, attempt, flight, run, shared);
    } finally {
      visit?.end();
    }
  }

  private async visiting(
    visit: Visit | undefined,
    attempt: Attempt,
    flight: Flight,
    run: Load,
    shared: SharedCopy | undefined,
  ): Promise<CacheRecord> {
    const { state, id, context, frame } = attempt;
    const begun = this.keeper.begin(context);
    const origin = {
      ...begun,
      state,
      id,
      get ttlMs() {
        return frame.ttlMs;
      },
      tags: frame.tags,
      shared,
      refused: () =>
        flight.poisoned
          ? ('invalidated meanwhile' as const)
          : frame.skipped
            ? ('skipped' as const)
            : undefined,
    };
    // What was set or removed does not depend on the source, nor on what becomes of the flush.
    if (state.pending?.holds(id, 'a value')) return this.keeper.keep(origin, null);
    let value: unknown;
    const loading = { startedAt: begun.startedAt, flight, visit };
    state.loading.set(id, loading);
    try {
      // What one caller accepts must not get into a value that others share.
      const neutral = { ...context, accepts: undefined, acceptsAll: undefined };
      const load: Load = visit ? (said) => visit.load(() => run(said)) : run;
      value = await this.inTime(attempt, load, neutral);
    } catch (thrown) {
      const error = own(thrown);
      if (thrown === error && this.meansAbsent(attempt, error)) {
        state.coolDown.succeeded(id);
        this.announce(attempt, 'absent');
        return state.pending?.holds(id, 'anything')
          ? this.keeper.keep(origin, null)
          : this.keeper.keepAbsence(origin, error);
      }
      // What was accepted meanwhile is the answer, whatever the source would have said.
      if (state.pending?.holds(id, 'a value')) return this.keeper.keep(origin, null);
      state.coolDown.failed(id, this.clock.monotonic());
      this.announce(attempt, attempt.timedOut ? 'timed out' : 'failed');
      throw error;
    } finally {
      // One that was invalidated has left its place, perhaps to another.
      if (state.loading.get(id) === loading) state.loading.delete(id);
    }
    state.coolDown.succeeded(id);
    this.announce(
      attempt,
      value === undefined ? 'undefined' : value === null ? 'absent' : 'loaded',
    );
    return this.keeper.keep(origin, value);
  }

  /** A load whose value is for its caller alone, within its time like any other; and what its loader said of it. */
  async loadAlone(
    state: EntityState,
    id: string,
    run: Load,
    context: CallContext | undefined,
  ): Promise<{ value: unknown; said: LoadFrame }> {
    const attempt = this.attempt(state, id, context);
    return { value: await this.inTime(attempt, run), said: attempt.frame };
  }

  private attempt(
    state: EntityState,
    id: string,
    context: CallContext | undefined,
    record = state.table.get(id),
  ): Attempt {
    const held = () => valueOf(record, state);
    const frame = new LoadFrame(state, id, loadAround(context), held);
    const startedAt = this.clock.monotonic();
    return { state, id, startedAt, context, frame, timedOut: false };
  }

  private inTime(attempt: Attempt, run: Load, around = attempt.context): Promise<unknown> {
    const { state, frame, context } = attempt;
    const { loadTimeoutMs } = state.policy.read as ReadThroughPolicy;
    const { entity } = state.policy;
    return new Promise((resolve, reject) => {
      const cancel = this.background.after(loadTimeoutMs, () => {
        const error = new CacheLoadTimeoutError(entity, loadTimeoutMs);
        frame.ended = attempt.timedOut = true;
        reject(error);
        frame.abort(error);
      });
      const settled = () => {
        frame.ended = true;
        cancel();
      };
      calls
        .run({ ...around, load: frame }, async () => await run(frame.context))
        .then(
          (value) => {
            settled();
            resolve(value);
          },
          (error: unknown) => {
            settled();
            if (attempt.timedOut) this.lateFailure(entity, own(error), context);
            reject(error);
          },
        );
    });
  }

  private lateFailure(entity: string, error: unknown, context: CallContext | undefined): void {
    // A loader that heeds its signal ends like this: that is no fault.
    if (error instanceof CacheLoadTimeoutError || (error as Error | null)?.name === 'AbortError')
      return;
    this.events.fault(
      'CACHE_LATE_FAILURE',
      entity,
      `A loader of '${entity}' failed after its load had timed out.`,
      context,
    );
  }

  private meansAbsent({ state, context, timedOut }: Attempt, error: unknown): boolean {
    const { absentWhen, entity } = state.policy;
    if (absentWhen === undefined || timedOut) return false;
    try {
      const says: unknown = absentWhen(error);
      if (typeof says === 'boolean') return says;
      throw new TypeError('neither true nor false');
    } catch {
      this.events.fault(
        'CACHE_CALLBACK_FAILED',
        entity,
        `absentWhen of '${entity}' threw, or returned neither true nor false; the loader's error was treated as a failure. Fix: return a boolean, at once.`,
        context,
      );
      return false;
    }
  }

  private announce(
    { state, id, startedAt, context }: Attempt,
    outcome: CacheEvents['load']['outcome'],
  ): void {
    if (!channels.load.hasSubscribers) return;
    const loadMs = this.clock.monotonic() - startedAt;
    const about = this.events.ofEntry(state.policy.entity, id, context);
    this.events.publish('load', { ...about, outcome, loadMs });
  }
}

function valueOf(record: CacheRecord | undefined, { policy }: EntityState): unknown {
  if (record === undefined || record.handOut === 'thrown') return undefined;
  if (record.handOut === 'shared') return record.value;
  const value = copy(record.value);
  return record.handOut === 'revived' ? policy.revive!(value) : value;
}

/** The loader's own error. */
function own(error: unknown): unknown {
  return error instanceof SharedFailure ? error.error : error;
}
