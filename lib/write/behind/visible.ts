import { CacheRecord } from '../../entry/record.js';
import type { Trace } from '../../events/event-source.js';
import type { Keeper } from '../../read/keeper.js';
import type { EntityState } from '../../store/entity-state.js';
import { shown, type Pending } from './pending.js';

/** Makes readers of the cache see a mutation, in the step in which it is accepted. */
export function makeVisible(
  keeper: Keeper,
  state: EntityState,
  id: string,
  change: Pending,
  trace: Trace | undefined,
): void {
  if (state.detour !== undefined) return;
  state.tickets.touch(id);
  const held = state.table.get(id);
  if (change.op !== 'add') {
    // Whatever is said here: the journal has the last word, and it has this mutation already.
    keeper.keep({ ...keeper.begin(trace), state, id, refused: () => undefined }, null);
    // What could not be stored must not leave the old value in its place.
    if (state.table.get(id) === held) state.table.delete(id);
  } else if (held !== undefined) {
    const record = added(held, change);
    if (record === undefined) state.table.delete(id);
    else state.table.replace(id, record);
  }
}

/** The same record with the sum; nothing where there is no number to add to, or where more hangs on the value. */
function added(held: CacheRecord, change: Pending): CacheRecord | undefined {
  const { value, extras } = held;
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined;
  if (extras?.version !== undefined || (extras?.tags.length ?? 0) > 0) return undefined;
  const { handOut, loadedAt, softExpiry, loadMs, visited } = held;
  const sum = shown(change, value);
  const record = new CacheRecord(sum, handOut, loadedAt, softExpiry, loadMs, extras);
  record.visited = visited;
  return record;
}
