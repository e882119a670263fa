import { CacheUsageError } from '../../errors/cache.error.js';
import { show } from '../../errors/wording.js';

/** What a caller gets back has its receipt, unless it is written already. */
interface Accepted {
  readonly receipt?: Receipt;
}

/** Replaces the value. */
export interface SetMutation<Value> extends Accepted {
  readonly op: 'set';
  readonly value: Value;
}
/** There is nothing under the key from now on: readers get `null`. */
export interface RemoveMutation extends Accepted {
  readonly op: 'remove';
}
/** Adds to a whole number; to nothing, as if it were 0. */
export interface AddMutation<Amount extends number | bigint> extends Accepted {
  readonly op: 'add';
  readonly by: Amount;
}

type Amount<Value> = Value extends number ? number : Value extends bigint ? bigint : never;

/** What can be done to an entry of a write-behind entity; `remove` only where its value may be `null`. */
export type Mutation<Value> =
  | SetMutation<Value>
  | (null extends Value ? RemoveMutation : never)
  | ([Amount<Value>] extends [never] ? never : AddMutation<Amount<Value>>);

/** Where an accepted mutation stands in its journal. */
export interface Receipt {
  /** Number within its shard and this life of the journal; later ones of one key are greater. */
  readonly seq: number;
  readonly shard: number;
  /** What keeps it until it is written: the memory of this process. */
  readonly durable: 'memory';
}

/** `@WriteBehind`: replaces the value. */
export function set<Value>(value: Value): SetMutation<Value> {
  return { op: 'set', value };
}

/** `@WriteBehind`: there is nothing under the key from now on. */
export function remove(): RemoveMutation {
  return { op: 'remove' };
}

/**
 * `@WriteBehind` with `merge: 'sum'`: adds a whole number, which may be negative. Sums are exact, whatever their size.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID for a fraction, or a number past `Number.MAX_SAFE_INTEGER`
 */
export function add<By extends number | bigint>(
  by: By,
): AddMutation<By extends number ? number : bigint> {
  if (!isWhole(by)) {
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `add() expected a whole number, got ${show(by)}`,
      'count in the smallest unit (cents, not euros), and use a bigint beyond Number.MAX_SAFE_INTEGER.',
    );
  }
  return { op: 'add', by: by as never };
}

export function isWhole(value: unknown): value is number | bigint {
  return typeof value === 'bigint' || Number.isSafeInteger(value);
}
