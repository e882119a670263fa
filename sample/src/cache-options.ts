import { randomUUID } from 'node:crypto';
import type { CacheModuleOptions } from 'nestjs-cache-contract';
import { redisStore } from 'nestjs-cache-contract/redis';

/** `REDIS_URL`: entries are shared by all processes on that Redis; else each process has its own. */
export function cacheOptions({ REDIS_URL, DATABASE_FILE }: NodeJS.ProcessEnv): CacheModuleOptions {
  if (!REDIS_URL) return { namespace: 'storefront' };
  // What is cached of a database in the memory of one process is nobody else's, and worth nothing after it has ended.
  const namespace = DATABASE_FILE ? 'storefront' : `storefront-${randomUUID()}`;
  return { namespace, store: redisStore({ url: REDIS_URL }) };
}
