import type { ReadThroughPolicy } from '../contract/policy.js';
import type { Flight } from '../coordination/singleflight.js';
import { CacheRecord, type HandOut } from '../entry/record.js';
import { copy } from '../entry/copy.js';
import { seal, Unstorable, type Sealed } from '../entry/seal.js';
import { weightOf } from '../entry/weight.js';
import { CacheLoadTimeoutError } from '../errors/cache.error.js';
import type { EventSource } from '../events/event-source.js';
import { channels, type CacheEvents } from '../events/events.js';
import type { EntityState } from '../store/entity-state.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import {
  calls,
  loadAround,
  type CallContext,
  type LoadContext,
  type LoadFrame,
} from './call-context.js';

/** An error can hold on to sockets and bodies; one that says that there is nothing should not. */
const MOST_BYTES_OF_ABSENCE = 16_384;

/** What asks the source of truth: the decorated method, or the function given to `EntityCache.get`. */
export type Load = (context: LoadContext) => unknown;

/** One attempt to load one entry. */
interface Attempt {
  readonly state: EntityState;
  readonly id: string;
  readonly flight: Flight;
  readonly startedAt: number;
  readonly context: CallContext | undefined;
  /** Set when its time is up: an error like that can also come from a load inside the loader. */
  timedOut: boolean;
}

/** Runs loaders within their time, and keeps what they say. */
export class Loader {
  constructor(
    private readonly clock: Clock,
    private readonly background: Background,
    private readonly events: EventSource,
  ) {}

  /** Rejects with the loader's own error, unchanged, unless that error means that there is nothing. */
  async load(
    state: EntityState,
    id: string,
    flight: Flight,
    run: Load,
    context: CallContext | undefined,
  ): Promise<CacheRecord> {
    const startedAt = this.clock.monotonic();
    const attempt: Attempt = { state, id, flight, context, startedAt, timedOut: false };
    let value: unknown;
    state.loading.set(id, startedAt);
    try {
      value = await this.inTime(attempt, run);
    } catch (error) {
      if (!this.meansAbsent(attempt, error)) {
        this.announceLoad(attempt, attempt.timedOut ? 'timed out' : 'failed');
        throw error;
      }
      this.announceLoad(attempt, 'absent');
      return this.keepAbsence(attempt, error);
    } finally {
      if (state.loading.get(id) === startedAt) state.loading.delete(id);
    }
    if (value === undefined) {
      this.announceLoad(attempt, 'undefined');
      return this.record(attempt, undefined, 'shared', 0);
    }
    this.announceLoad(attempt, value === null ? 'absent' : 'loaded');
    const sealed = this.sealed(attempt, value);
    if (sealed === undefined) return this.record(attempt, value, 'raw', 0);
    return this.keep(attempt, sealed.value, sealed.handOut, sealed.bytes);
  }

  private inTime(attempt: Attempt, run: Load): Promise<unknown> {
    const { state, id, context } = attempt;
    const { loadTimeoutMs } = state.policy.read as ReadThroughPolicy;
    const { entity } = state.policy;
    const abort = new AbortController();
    const frame: LoadFrame = {
      state,
      id,
      context: { signal: abort.signal },
      outer: loadAround(context),
      ended: false,
    };
    return new Promise((resolve, reject) => {
      const cancel = this.background.after(loadTimeoutMs, () => {
        const error = new CacheLoadTimeoutError(entity, loadTimeoutMs);
        frame.ended = attempt.timedOut = true;
        reject(error);
        abort.abort(error);
      });
      const settled = () => {
        frame.ended = true;
        cancel();
      };
      calls
        .run({ ...context, load: frame }, async () => await run(frame.context))
        .then(
          (value) => {
            settled();
            resolve(value);
          },
          (error: unknown) => {
            settled();
            if (attempt.timedOut) this.lateFailure(entity, error, context);
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

  /** Nothing if the value cannot be kept. Its callers get it as it is, and somebody hears of it. */
  private sealed(attempt: Attempt, value: unknown): Sealed | undefined {
    const { entity, revive } = attempt.state.policy;
    try {
      const sealed = seal(value, revive !== undefined);
      // Tried once before it is stored, so that a hit does not find out.
      if (sealed.handOut === 'revived' && (revive!(copy(sealed.value)) ?? null) === null) {
        throw new TypeError('revive returned nothing');
      }
      return sealed;
    } catch (error) {
      const why =
        error instanceof Unstorable
          ? told(error, entity, revive !== undefined)
          : failed(error, entity);
      this.events.fault(
        'CACHE_VALUE_UNSTORABLE',
        entity,
        `A value of '${entity}' was returned but not stored: ${why}`,
        attempt.context,
      );
      this.announceFill(attempt, 'unstorable', 0);
      return undefined;
    }
  }

  private keepAbsence(attempt: Attempt, error: unknown): CacheRecord {
    const bytes = weightOf(error);
    if (bytes <= MOST_BYTES_OF_ABSENCE) return this.keep(attempt, error, 'thrown', bytes);
    const { entity } = attempt.state.policy;
    this.events.fault(
      'CACHE_VALUE_UNSTORABLE',
      entity,
      `An error that means absence in '${entity}' was thrown but not remembered: it holds on to more than ${MOST_BYTES_OF_ABSENCE} bytes, such as a request and its response. ` +
        `Fix: throw a small error of your own.`,
      attempt.context,
    );
    this.announceFill(attempt, 'unstorable', 0);
    return this.record(attempt, error, 'thrown', 0);
  }

  private keep(attempt: Attempt, value: unknown, handOut: HandOut, bytes: number): CacheRecord {
    const { state, id, flight } = attempt;
    const record = this.record(attempt, value, handOut, bytes);
    if (flight.poisoned) this.announceFill(attempt, 'invalidated meanwhile', bytes);
    else this.announceFill(attempt, state.table.set(id, record) ? 'stored' : 'too large', bytes);
    return record;
  }

  private record(
    { state, startedAt }: Attempt,
    value: unknown,
    handOut: HandOut,
    bytes: number,
  ): CacheRecord {
    const { ttlMs, negativeTtlMs, jitter } = state.policy.read as ReadThroughPolicy;
    const ttl = value === null || handOut === 'thrown' ? negativeTtlMs : ttlMs;
    const expiry = startedAt + ttl * (1 - jitter * this.clock.random());
    const loadMs = this.clock.monotonic() - startedAt;
    return new CacheRecord(
      value,
      handOut,
      Math.floor(startedAt),
      Math.floor(expiry),
      Math.round(loadMs),
      bytes,
    );
  }

  private announceLoad(
    { state, id, startedAt, context }: Attempt,
    outcome: CacheEvents['load']['outcome'],
  ): void {
    if (!channels.load.hasSubscribers) return;
    const loadMs = this.clock.monotonic() - startedAt;
    this.events.publish('load', {
      ...this.events.ofEntry(state.policy.entity, id, context),
      outcome,
      loadMs,
    });
  }

  private announceFill(
    { state, id, context }: Attempt,
    outcome: CacheEvents['fill']['outcome'],
    bytes: number,
  ): void {
    if (!channels.fill.hasSubscribers) return;
    this.events.publish('fill', {
      ...this.events.ofEntry(state.policy.entity, id, context),
      outcome,
      bytes,
    });
  }
}

function told({ path, found, revivable }: Unstorable, entity: string, revives: boolean): string {
  const what = path === '' ? `it is ${found}` : `it holds ${found} at ${path}`;
  const or =
    revivable && !revives ? `, or give '${entity}' a \`revive\` that makes instances again` : '';
  return `${what}. Fix: return plain data (and Date, Map, Set, bigint, Uint8Array)${or}.`;
}

function failed(error: unknown, entity: string): string {
  const name = error instanceof Error ? error.name : typeof error;
  return `copying it, or making it again with \`revive\`, threw ${name}. Fix: look at its getters and at \`revive\` of '${entity}'.`;
}
