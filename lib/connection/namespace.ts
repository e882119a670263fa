import { NAME } from '../contract/option.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';

/**
 * What all keys and channels of one owner in Redis begin with.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID
 */
export function checkedNamespace(namespace: unknown, owner: string): string {
  if (typeof namespace === 'string' && NAME.test(namespace)) return namespace;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `${owner} expected as namespace 1 to 64 letters, digits, '-', '_' and '.', got ${show(namespace)}`,
    "write namespace: 'shop'.",
  );
}
