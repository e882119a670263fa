import { checkSource } from '../../connection/checked-source.js';
import type { RedisSource } from '../../connection/redis-source.js';
import { CacheUsageError } from '../../errors/cache.error.js';
import { show } from '../../errors/wording.js';
import type { Duration } from '../../time/duration.js';
import { checkDeadline, deadlineMsOf, DEFAULT_DEADLINE } from '../store-deadline.js';
import type { StoreDefinition } from '../store-definition.js';
import { RedisStore } from './redis-store.js';

export type RedisStoreDefinition = RedisSource & {
  /**
   * How long a call waits for an answer of Redis. Then it goes on without.
   *
   * @default '100ms'
   * @range 1 ms … 1 minute
   */
  readonly deadline?: Duration;
  /**
   * Whether the application starts where Redis is out of reach, and uses it as soon as it is there.
   *
   * @default true
   */
  readonly startWithout?: boolean;
};

/**
 * Entries in one Redis, version 7.0 or later, shared by all processes with the same namespace:
 * `CacheModule.forRoot({ namespace: 'shop', store: redisStore({ url }) })`.
 */
export function redisStore(options: RedisStoreDefinition): StoreDefinition {
  const { deadline = DEFAULT_DEADLINE, startWithout = true, ...source } = options ?? {};
  return {
    deadlineMs: deadlineMsOf(deadline),
    open: ({ namespace, clock, onUnreadable, onRefused }) => {
      checkSource(options, 'redisStore', ['deadline', 'startWithout']);
      checkDeadline(deadline, 'redisStore');
      if (typeof startWithout !== 'boolean') {
        throw new CacheUsageError(
          'CACHE_ARGUMENT_INVALID',
          `redisStore() expected as startWithout true or false, got ${show(startWithout)}`,
          'write startWithout: false, without quotes; or leave it out for true.',
        );
      }
      return new RedisStore({ ...source, namespace, startWithout, onUnreadable, onRefused }, clock);
    },
  };
}
