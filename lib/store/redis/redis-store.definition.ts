import { checkSource } from '../../connection/checked-source.js';
import type { RedisSource } from '../../connection/redis-source.js';
import { CacheUsageError } from '../../errors/cache.error.js';
import { show } from '../../errors/wording.js';
import { parseDuration, type Duration } from '../../time/duration.js';
import type { StoreDefinition } from '../store-definition.js';
import { RedisStore } from './redis-store.js';

const DEFAULT_DEADLINE = '100ms';
const LONGEST_DEADLINE_MS = 60_000;

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
  const ms = parseDuration(deadline);
  return {
    deadlineMs: ms ?? 0,
    open: ({ namespace, clock, onUnreadable, onRefused }) => {
      checkSource(options, 'redisStore', ['deadline', 'startWithout']);
      if (ms === undefined || ms < 1 || ms > LONGEST_DEADLINE_MS) {
        throw new CacheUsageError(
          'CACHE_ARGUMENT_INVALID',
          `redisStore() expected as deadline a duration from 1ms to 1m, got ${show(deadline)}`,
          "write milliseconds as a number, or one number with one unit: '100ms'.",
        );
      }
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
