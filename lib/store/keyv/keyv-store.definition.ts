import { CacheUsageError } from '../../errors/cache.error.js';
import { checkNames } from '../../errors/known-options.js';
import { show } from '../../errors/wording.js';
import type { Duration } from '../../time/duration.js';
import { checkDeadline, deadlineMsOf, DEFAULT_DEADLINE } from '../store-deadline.js';
import type { StoreDefinition } from '../store-definition.js';
import type { SharedKeyv } from './attentive-keyv.js';
import { KeyvStore } from './keyv-store.js';

export interface KeyvStoreOptions {
  /**
   * How long a call waits for an answer of the Keyv. Then it goes on without.
   *
   * @default '100ms'
   * @range 1 ms … 1 minute
   */
  readonly deadline?: Duration;
}

/**
 * Entries in a Keyv, version 5.6 or later, shared by all processes with the same namespace:
 * `CacheModule.forRoot({ namespace: 'shop', store: keyvStore(new Keyv({ store })) })`.
 *
 * One process loads an entry at a time where the `DistributedLock` of the application is one for all processes. A Keyv
 * cannot refuse what another process has loaded before an invalidation: it may be served for its ttl, and contracts are
 * checked with that.
 *
 * The Keyv stays yours: its options are not changed, only its `error` events are listened to, and it is disconnected by
 * who has made it.
 */
export function keyvStore(keyv: SharedKeyv, options: KeyvStoreOptions = {}): StoreDefinition {
  const { deadline = DEFAULT_DEADLINE } = options ?? {};
  return {
    deadlineMs: deadlineMsOf(deadline),
    leases: 'lock',
    open: (parts) => {
      checkKeyv(keyv);
      checkObject(options);
      checkNames(options ?? {}, ['deadline'], 'keyvStore');
      checkDeadline(deadline, 'keyvStore');
      return new KeyvStore(keyv, parts);
    },
  };
}

function checkObject(options: unknown): void {
  if (typeof options === 'object' || options === undefined) return;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `keyvStore() expected an object of options after the Keyv, got ${show(options)}`,
    "write keyvStore(keyv, { deadline: '100ms' }).",
  );
}

const METHODS = ['getRaw', 'getMany', 'set', 'delete', 'on', 'off'] as const;

function checkKeyv(keyv: Partial<SharedKeyv> | null | undefined): void {
  const missing = METHODS.filter((name) => typeof keyv?.[name] !== 'function');
  if (missing.length > 0) {
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `keyvStore() expected a Keyv of version 5.6 or later, got ${show(keyv)}, which has no ${missing.join(', ')}`,
      'write keyvStore(new Keyv({ store })); what connects to the database is the `store` of a Keyv.',
    );
  }
  if (keyv?.opts?.emitErrors === false) {
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      'keyvStore() got a Keyv with `emitErrors: false`, and learns only by its errors that something was not read, stored or removed',
      'leave `emitErrors` out of the options of the Keyv.',
    );
  }
}
