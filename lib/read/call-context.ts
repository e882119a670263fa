import { AsyncLocalStorage } from 'node:async_hooks';
import { setMaxListeners } from 'node:events';
import { NOTHING_CACHED } from '../contract/acceptance.js';
import type { OriginCap } from '../coordination/origin-cap.js';
import { noTagsIn } from '../entry/tag.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';
import type { Trace } from '../events/event-source.js';
import type { EntityState } from '../store/entity-state.js';
import { parseDuration, type Duration } from '../time/duration.js';

/** What a loader may look at and say while it runs. */
export interface LoadContext {
  /** Aborted when the load has taken longer than the entity's `loadTimeout`. Hand it to what the loader waits for. */
  readonly signal: AbortSignal;
  /** The value held until now, fresh or not, as callers get it; `undefined` if there is none. For conditional requests. */
  readonly stale: unknown;
  /** The value is for those who wait, and not stored. */
  readonly skip: () => void;
  /**
   * This value is fresh for a shorter time than the contract allows.
   *
   * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID if it is no duration
   */
  readonly ttl: (ttl: Duration) => void;
  /**
   * This value carries these tags, besides those the contract gives it.
   *
   * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID if one is no text, or empty
   */
  readonly tags: (...tags: string[]) => void;
}

/** A load under way, the loads it is part of, and what it has said so far. */
export class LoadFrame {
  ended = false;
  skipped = false;
  ttlMs = Infinity;
  readonly tags: string[] = [];
  /** What the loader sees of it. */
  readonly context: LoadContext;
  /** The origin in which this load has a place. */
  place: OriginCap | undefined;
  /** Other loads that the same call of a loader is for. */
  readonly peers: readonly LoadFrame[] = [];
  /** Made for who asks for its signal, since few loaders do. */
  private controller: AbortController | undefined;
  private aborted: { readonly reason: unknown } | undefined;

  constructor(
    readonly state: EntityState,
    readonly id: string,
    readonly outer: LoadFrame | undefined,
    held: () => unknown,
  ) {
    const signal = () => this.signal();
    this.context = {
      get signal() {
        return signal();
      },
      // Only for who asks: it may have to be copied.
      get stale() {
        return held();
      },
      skip: () => void (this.skipped = true),
      ttl: (ttl) => void (this.ttlMs = Math.min(this.ttlMs, checkedTtl(ttl))),
      tags: (...tags) => void this.tags.push(...checkedTags(tags)),
    };
  }

  abort(reason: unknown): void {
    this.aborted = { reason };
    this.controller?.abort(reason);
  }

  private signal(): AbortSignal {
    this.controller ??= new AbortController();
    if (this.aborted !== undefined) this.controller.abort(this.aborted.reason);
    return this.controller.signal;
  }
}

function checkedTtl(ttl: Duration): number {
  const ms = parseDuration(ttl);
  if (ms !== undefined) return ms;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `currentLoad().ttl() expected a duration, got ${show(ttl)}`,
    "write milliseconds as a number, or one number with one unit: '30s'.",
  );
}

function checkedTags(tags: readonly string[]): readonly string[] {
  const came = noTagsIn(tags);
  if (came === undefined) return tags;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `currentLoad().tags() expected texts that are not empty, got ${came}`,
    "write each tag as an argument of its own: currentLoad().tags('category:tea', 'brand:twig').",
  );
}

/** What surrounds a call: the request it belongs to, what was asked for on its behalf, the load it is made in. */
export interface CallContext extends Trace, Accepted {
  readonly load?: LoadFrame;
  /** The batch that is being written by this call. */
  readonly flushing?: { readonly ended: boolean };
}

/** How long past its soft expiry a value may be: 0 is nothing stale, `-Infinity` nothing cached. */
export interface Accepted {
  readonly accepts?: ReadonlyMap<EntityState, number>;
  /** The same for entities that are not named. */
  readonly acceptsAll?: number;
  /** Entities whose mutations are to be written before their calls resolve. */
  readonly writesThrough?: ReadonlySet<EntityState>;
}

/** Whether the call is made by what writes a batch. */
export function isFlushing(context: CallContext | undefined): boolean {
  return context?.flushing?.ended === false;
}

/** Whether an entry of the entity is being loaded by this call. */
export function isLoading(context: CallContext | undefined, state: EntityState): boolean {
  for (let frame = loadAround(context); frame !== undefined; frame = frame.outer) {
    if (frame.state === state && !frame.ended) return true;
  }
  return false;
}

/** What a call accepts of an entity, within its contract; `undefined` leaves it to the contract. */
export function accepted(context: CallContext | undefined, state: EntityState): number | undefined {
  if (context === undefined) return undefined;
  // What is cached has what is just being written, and what the source says has not.
  if (state.pending !== undefined && isFlushing(context)) return NOTHING_CACHED;
  const asked = context.accepts?.get(state) ?? context.acceptsAll;
  return asked === undefined ? undefined : Math.min(asked, state.mostPatientMs);
}

/** One storage for everything, because each further one costs every promise of the process. */
export const calls = new AsyncLocalStorage<CallContext>();

const never = new AbortController().signal;
// Everybody who loads past the cache listens to this one: that is no leak to be warned of.
setMaxListeners(0, never);

const NO_LOAD: LoadContext = {
  signal: never,
  stale: undefined,
  skip: () => undefined,
  ttl: (ttl) => void checkedTtl(ttl),
  tags: (...tags) => void checkedTags(tags),
};

/**
 * Inside a loader: the load it is running for.
 *
 * Elsewhere, where the method was called past the cache, the same with a signal that is never aborted and nothing to
 * say anything to, so that a loader works however it is called.
 */
export function currentLoad(): LoadContext {
  return calls.getStore()?.load?.context ?? NO_LOAD;
}

/** The load a call is made in, if that still runs: what a loader leaves running behind it is on its own. */
export function loadAround(context: CallContext | undefined): LoadFrame | undefined {
  let frame = context?.load;
  while (frame?.ended) frame = frame.outer;
  return frame;
}

/** Whether this call is part of a load of the same entry: it would wait for itself. */
export function isOwnLoad(
  context: CallContext | undefined,
  state: EntityState,
  id: string,
): boolean {
  for (let frame = loadAround(context); frame !== undefined; frame = frame.outer) {
    for (const load of [frame, ...frame.peers]) {
      if (load.state === state && load.id === id && !load.ended) return true;
    }
  }
  return false;
}

/** Why a call goes past the cache, for what surrounds it; nothing if it does not. */
export function detourOf(state: EntityState, id: string, context: CallContext | undefined) {
  // A load may wait until a batch is written, itself or one it joins; and that batch would wait for it.
  if (isFlushing(context)) return 'own flush';
  if (accepted(context, state) === NOTHING_CACHED) return 'context';
  return isOwnLoad(context, state, id) ? 'own load' : undefined;
}
