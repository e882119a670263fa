import { channel, type ChannelListener } from 'node:diagnostics_channel';
import { CacheUsageError } from '../errors/cache.error.js';
import { closest, show } from '../errors/wording.js';

/** What every event tells. Never a value, never a key: those may name a person. */
export interface CacheEvent {
  /** `namespace` of the application's `CacheModule`. */
  readonly namespace: string;
  readonly entity: string;
  /** Number of the request, equal for all that one request causes; absent outside a request. */
  readonly request?: number;
  /**
   * Controller, resolver or message handler, as `ClassName.method`; absent in guards, outside a
   * request, and in GraphQL field resolvers without `fieldResolverEnhancers: ['interceptors']`.
   */
  readonly handler?: string;
}

/** Why an event about one entry can be tied to others about the same entry, without naming it. */
interface OfEntry extends CacheEvent {
  /** Hash of the key within its entity. */
  readonly entry: string;
}

/** All events, by name. Each is published on the diagnostics channel `nestjs-cache-contract:<name>`. */
export interface CacheEvents {
  /** Answered with what is kept, in this process or in the store. */
  hit: OfEntry & {
    readonly ageMs: number;
    /** How long past its soft expiry it was; 0 if it was fresh. */
    readonly staleMs: number;
    readonly savedMs: number;
    readonly absent: boolean;
  };
  /** Not answered with what is kept: the entry was absent or past its ttl. */
  miss: OfEntry & { readonly reason: 'absent' | 'expired' };
  /** A miss that joined a load under way. */
  join: OfEntry;
  /**
   * The method ran as if there were no cache: by its strategy, by `context({ bypass })`, because it is part of the
   * load or the flush it would wait for, because loading has just failed elsewhere and it accepts nothing stale, because
   * the application is closed, or because a value cannot be shared with those who waited.
   */
  bypass: CacheEvent & {
    readonly reason:
      'strategy' | 'context' | 'own load' | 'own flush' | 'cooling down' | 'closed' | 'unstorable';
  };
  /** A loader ended. `absent`: it said that there is nothing. `failed`: it threw anything else. */
  load: OfEntry & {
    readonly outcome: 'loaded' | 'absent' | 'undefined' | 'failed' | 'timed out';
    readonly loadMs: number;
  };
  /** A loaded value was stored, or not: its key was invalidated meanwhile, or it cannot be stored. */
  fill: OfEntry & {
    readonly outcome:
      'stored' | 'invalidated meanwhile' | 'older version' | 'skipped' | 'unstorable' | 'too large';
    readonly bytes: number;
  };
  /** Entries were invalidated: one, or all of the entity. */
  invalidate: CacheEvent & { readonly entry?: string; readonly held: number };
  /**
   * No invalidation of the entity is pending any more: its store has acknowledged that of `entries`, and what was there of
   * `lapsed` further ones has gone by itself.
   */
  acknowledge: CacheEvent & {
    readonly entries: number;
    readonly lapsed: number;
    /** Since the first of them was pending. */
    readonly pendingMs: number;
  };
  /** A mutation of a write-behind entity was accepted. */
  accept: OfEntry;
  /**
   * An attempt to write a batch ended. `duplicate`: it had been written before, and was not written again. `failed`: it
   * will be tried again, unchanged.
   */
  flush: CacheEvent & {
    /** The same on every attempt. */
    readonly batch: string;
    readonly outcome: 'applied' | 'duplicate' | 'failed';
    readonly entries: number;
    readonly flushMs: number;
  };
  /** An entry made room for another. */
  evict: OfEntry;
  /** A fault that no caller sees, because the cache dealt with it. */
  fault: CacheEvent & { readonly code: AbsorbedFault; readonly message: string };
}

export type AbsorbedFault =
  /** A loaded value cannot be kept; it was returned and not stored. */
  | 'CACHE_VALUE_UNSTORABLE'
  /** A function of the contract or of a decorator threw. */
  | 'CACHE_CALLBACK_FAILED'
  /** The keys to invalidate could not be told. */
  | 'CACHE_KEYS_UNKNOWN'
  /** The store that processes share gave no answer in time, or takes nothing; the call went on without it. */
  | 'CACHE_STORE_OUT_OF_REACH'
  /** The store could not be told of an invalidation; it is told again until it has heard, while the application runs. */
  | 'CACHE_INVALIDATION_PENDING'
  /** This process has missed what others have changed: it dropped its copies of what is in the store. */
  | 'CACHE_COPIES_DROPPED'
  /** What is in the store cannot be read; it was loaded again. */
  | 'CACHE_STORED_UNREADABLE'
  /** A loader failed after its load had timed out. */
  | 'CACHE_LATE_FAILURE'
  /** An attempt to write a batch failed; it is tried again. */
  | 'CACHE_FLUSH_FAILED'
  /** Mutations could not be written, and are dead letters now. */
  | 'CACHE_MUTATION_BURIED'
  /** The ledger has lost its memory, as after a restore from a backup. */
  | 'CACHE_LEDGER_REGRESSED'
  /** Accepted mutations could not be written before the application ended. */
  | 'CACHE_MUTATIONS_LOST';

export type CacheEventName = keyof CacheEvents;

const CHANNEL = 'nestjs-cache-contract:';

/** The channels, by event. Ask `hasSubscribers` before building an event. */
export const channels = {
  hit: channel(`${CHANNEL}hit`),
  miss: channel(`${CHANNEL}miss`),
  join: channel(`${CHANNEL}join`),
  bypass: channel(`${CHANNEL}bypass`),
  load: channel(`${CHANNEL}load`),
  fill: channel(`${CHANNEL}fill`),
  invalidate: channel(`${CHANNEL}invalidate`),
  acknowledge: channel(`${CHANNEL}acknowledge`),
  accept: channel(`${CHANNEL}accept`),
  flush: channel(`${CHANNEL}flush`),
  evict: channel(`${CHANNEL}evict`),
  fault: channel(`${CHANNEL}fault`),
} satisfies { [Name in CacheEventName]: ReturnType<typeof channel> };

/**
 * Calls `listener` for each event of this name in this process; returns what ends it.
 *
 * The same as `subscribe('nestjs-cache-contract:<name>', …)` of `node:diagnostics_channel`, with types. Listeners run
 * synchronously inside the call they tell of: be short, and catch, for one that throws ends the process. An event
 * nobody listens to is not even built.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID
 */
export function onCacheEvent<Name extends CacheEventName>(
  name: Name,
  listener: (event: CacheEvents[Name]) => void,
): () => void {
  if (!Object.hasOwn(channels, name)) {
    const names = Object.keys(channels);
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `onCacheEvent() expected one of ${names.join(', ')}, got ${show(name)}`,
      `write onCacheEvent('${closest(name, names) ?? 'hit'}', (event) => …).`,
    );
  }
  if (typeof listener !== 'function') {
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `onCacheEvent('${name}') expected a listener, got ${show(listener)}`,
      `write onCacheEvent('${name}', (event) => …).`,
    );
  }
  const heard: ChannelListener = (event) => listener(event as CacheEvents[Name]);
  channels[name].subscribe(heard);
  return () => void channels[name].unsubscribe(heard);
}
