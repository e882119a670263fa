import { idOf } from '../../entry/key.js';
import { CacheUsageError } from '../../errors/cache.error.js';

/**
 * The id of the entry under a key of cache-manager, which is text. Other entities take an array for a tuple; here somebody
 * has given several keys where one is meant.
 *
 * @throws {CacheUsageError} CACHE_KEY_INVALID
 */
export function idOfKey(key: string, entity: string): string {
  if (!Array.isArray(key)) return idOf(key, entity);
  throw new CacheUsageError(
    'CACHE_KEY_INVALID',
    `a key of '${entity}' in CACHE_MANAGER must be a string, got an array`,
    'give one key, or write mget(), mset() or mdel() for several.',
  );
}
