import type { AnyEntity, EntityKey, KeyOf, ValueOf } from '../../contract/entity.js';
import { idOf } from '../../entry/key.js';
import { CacheUsageError } from '../../errors/cache.error.js';
import { show } from '../../errors/wording.js';
import type { Entry } from './journal.js';
import { exactly, valueOf } from './pending.js';

/** What is to be written under one key. */
export type FlushEntry<E extends AnyEntity> = {
  readonly key: KeyOf<E>;
  /** Number of the last mutation in it: of one key, later ones are greater. */
  readonly seq: number;
} & (
  | { readonly op: 'set'; readonly value: NonNullable<ValueOf<E>> }
  | (null extends ValueOf<E> ? { readonly op: 'remove' } : never)
  // A bigint, because a sum may be greater than a number can hold.
  | (NonNullable<ValueOf<E>> extends number | bigint
      ? { readonly op: 'add'; readonly by: bigint }
      : never)
);

/** What the method with `@Flushes` is given to write. */
export interface FlushBatch<E extends AnyEntity> {
  /** The same on every attempt: an idempotency key for targets that have no transactions. */
  readonly id: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** One per key, in the order in which their last mutations were accepted. */
  readonly entries: readonly FlushEntry<E>[];
  /** Aborted when the attempt has taken longer than `flushTimeout`, or may not go on. */
  readonly signal: AbortSignal;
}

/** Entries of the batch that can never be written become dead letters; the others are written. */
export type Flushed = void | {
  readonly rejected: readonly { readonly key: EntityKey; readonly reason: string }[];
};

/** An entry that cannot be written, and why. */
export interface Refusal {
  readonly entry: Entry;
  readonly reason: string;
}

/** An entry as the flushing method gets it. */
export function handedOut({ key: kept, seq, change }: Entry, revive?: (plain: unknown) => unknown) {
  const key = Array.isArray(kept) ? [...kept] : kept;
  switch (change.op) {
    case 'set':
      return { key, seq, op: 'set', value: valueOf(change.value, revive) } as const;
    case 'total':
      return { key, seq, op: 'set', value: exactly(change.total, change.as) } as const;
    case 'add':
      return { key, seq, op: 'add', by: change.by } as const;
    case 'remove':
      return { key, seq, op: 'remove' } as const;
  }
}

/**
 * The entries that the flushing method rejected.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID if it said something else: nothing of the batch is written then
 */
export function refusalsOf(said: unknown, entries: readonly Entry[], entity: string): Refusal[] {
  if (said === undefined) return [];
  const { rejected } = (said ?? {}) as { rejected?: unknown };
  if (!Array.isArray(rejected)) {
    throw invalid(`must resolve to nothing or { rejected: [{ key, reason }] }, got ${show(said)}`);
  }
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const refusals = (rejected as { key: EntityKey; reason: unknown }[]).map((refused) => {
    const entry = byId.get(idOf(refused?.key, entity));
    if (entry === undefined) throw invalid('rejected a key that is not in its batch');
    const { reason } = refused;
    return { entry, reason: typeof reason === 'string' ? reason : 'no reason given' };
  });
  return [...new Map(refusals.map((refusal) => [refusal.entry.id, refusal])).values()];

  function invalid(what: string): CacheUsageError {
    return new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `the flushing method of '${entity}' ${what}`,
      'resolve to nothing when everything is written, else name the keys of the batch that never can be.',
    );
  }
}
