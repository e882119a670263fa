import { AsyncLocalStorage } from 'node:async_hooks';
import type { Trace } from '../events/event-source.js';
import type { EntityState } from '../store/entity-state.js';

/** What a loader may look at while it runs. */
export interface LoadContext {
  /** Aborted when the load has taken longer than the entity's `loadTimeout`. Hand it to what the loader waits for. */
  readonly signal: AbortSignal;
}

/** A load under way, and the loads it is part of. */
export interface LoadFrame {
  /** What the loader sees of it. */
  readonly context: LoadContext;
  readonly state: EntityState;
  readonly id: string;
  readonly outer: LoadFrame | undefined;
  ended: boolean;
}

/** What surrounds a call: the request it belongs to, what was asked for on its behalf, the load it is made in. */
export interface CallContext extends Trace {
  readonly bypass?: ReadonlySet<EntityState>;
  readonly load?: LoadFrame;
}

/** One storage for everything, because each further one costs every promise of the process. */
export const calls = new AsyncLocalStorage<CallContext>();

const NEVER: LoadContext = { signal: new AbortController().signal };

/**
 * Inside a loader: the load it is running for.
 *
 * Elsewhere, where the method was called past the cache, the same with a signal that is never aborted, so that a
 * loader works however it is called.
 */
export function currentLoad(): LoadContext {
  return calls.getStore()?.load?.context ?? NEVER;
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
    if (frame.state === state && frame.id === id && !frame.ended) return true;
  }
  return false;
}
