import { CacheUsageError } from '../errors/cache.error.js';
import { listed } from '../errors/known-options.js';
import { showNoText } from '../errors/wording.js';
import type { CacheStore } from '../store/cache-store.js';
import type { StoreDefinition, StoreParts } from '../store/store-definition.js';

export interface OpenStore {
  readonly store: CacheStore;
  readonly deadlineMs: number;
  readonly leases?: 'store' | 'lock';
}

/** What a store is asked for. */
const METHODS = [
  'check',
  'now',
  'read',
  'readAll',
  'lease',
  'fill',
  'fail',
  'claim',
  'invalidate',
  'close',
] as const satisfies readonly (keyof CacheStore)[];

/** @throws {CacheUsageError} CACHE_ARGUMENT_INVALID, or whatever its definition throws */
export function opens(definition: StoreDefinition, parts: StoreParts): OpenStore {
  const store: unknown = definition.open(parts);
  const of = (store ?? {}) as Partial<CacheStore>;
  const missing = METHODS.filter((method) => typeof of[method] !== 'function');
  if (missing.length > 0) {
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `its open() must return a CacheStore, got ${showNoText(store)}, which has no ${listed(missing)}`,
      'return an instance of a class that extends CacheStore.',
    );
  }
  const { deadlineMs, leases = 'store' } = definition;
  return { store: store as CacheStore, deadlineMs, leases };
}
