import type { AnyEntity, EntityKey } from '../contract/entity.js';
import { CacheUsageError } from '../errors/cache.error.js';
import type { Ledger } from '../write/behind/ledger.js';

/** The class of a ledger, as it is provided: `ShopLedger`, whose `Tx` the flushing method gets. */
export type LedgerToken<Tx> = abstract new (...args: any[]) => Ledger<Tx>;

export type AnyFunction = (...args: any[]) => unknown;

/** Which entries a write changes, as the engine asks for it. */
export interface WriteTarget {
  /** Told from the arguments alone, so known before the method runs. */
  readonly before?: (...args: unknown[]) => readonly EntityKey[];
  /** Told from the result. */
  readonly after?: (result: unknown, ...args: unknown[]) => readonly EntityKey[];
  /** Tags of entries of any entity, told from the arguments. */
  readonly tags?: (...args: unknown[]) => readonly string[];
  readonly when?: (result: unknown, ...args: unknown[]) => boolean;
}

/** Where the value is stored that a write brings back: told from its arguments, or from the value. */
export type StoreTarget =
  { readonly key: (...args: any[]) => EntityKey } | { readonly keyOf: (value: any) => EntityKey };

/** One decorator on one method. */
export interface Binding {
  readonly entity: AnyEntity;
  /** As a report names it: `ProfileService.find`. */
  readonly method: string;
  readonly property: string | symbol;
  /** As it was written, for reports: `@Cached(profile)`. */
  readonly decorator: string;
  /** `@Cached`: the key of a call; the only argument where no key function was given. */
  readonly keyOf?: (...args: any[]) => EntityKey;
  /** `@CachedMany`: the keys of a call are its only argument. */
  readonly many?: true;
  /** `@Invalidates`: nothing here means the whole entity. */
  readonly writes?: WriteTarget;
  /** `@WriteThrough`: where its result is stored. */
  readonly stores?: StoreTarget;
  /** `@WriteBehind`: its result is a mutation of the entry with this key. */
  readonly mutates?: { readonly key: (...args: any[]) => EntityKey };
  /** `@Flushes`: it writes batches. */
  readonly flushes?: {
    readonly ledger: LedgerToken<unknown> | undefined;
    readonly atLeastOnce: boolean;
  };
}

/** As a report names it: `ProfileService.find → @Cached(profile)`. */
export function placeOf({ method, decorator }: Pick<Binding, 'method' | 'decorator'>): string {
  return `${method} → ${decorator}`;
}

/** A key that cannot be meant was made by a decorated method: say which. */
export function located(error: unknown, binding: Binding): unknown {
  return error instanceof CacheUsageError ? error.at(placeOf(binding)) : error;
}
