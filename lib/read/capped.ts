import type { EntityState } from '../store/entity-state.js';
import { calls, type LoadContext, type LoadFrame } from './call-context.js';

/**
 * Runs `work` when the origin of the entity has room for it.
 *
 * A load that is made inside another one of the same origin runs in that one's place: were it to wait for one of its
 * own, as many loads as there are places could wait for each other.
 */
export function capped<T>(
  { cap }: EntityState,
  context: LoadContext,
  work: () => T | Promise<T>,
): T | Promise<T> {
  if (cap === undefined) return work();
  const frame = calls.getStore()?.load;
  for (let around = frame?.outer; around !== undefined; around = around.outer) {
    if (around.place === cap && !around.ended) return work();
  }
  return cap.run(() => {
    if (frame !== undefined) takePlace(frame, cap);
    return work();
  }, context.signal);
}

function takePlace(frame: LoadFrame, cap: LoadFrame['place']): void {
  for (const load of [frame, ...frame.peers]) load.place = cap;
}
