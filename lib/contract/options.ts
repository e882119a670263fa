import type { Bounds, Terms } from './entity.js';
import { DAY, MINUTE, SECOND, type Option, type Options } from './option.js';
import type { OriginOptions } from './origin.js';
import type {
  LocalTierOptions,
  ReadThroughOptions,
  StaleWhileRevalidateOptions,
} from './strategies.js';

/*
 * One row per option is the only origin of its default, its boot check and its line in docs/options.md.
 * A row may use the options above it. Those of write-behind are in write-behind-options.ts.
 */

export const CONTRACT_OPTIONS = {
  maxStaleness: {
    kind: 'bounds',
    required: true,
    min: 0,
    max: 365 * DAY,
    meaning:
      'No call is answered with data older than this, measured at the call. `incident` is the bound while loading fails; one duration is both.',
  },
  prefer: {
    kind: 'choice',
    choices: ['origin', 'stale', 'error'],
    standard: () => 'origin',
    standardText: "`'origin'`",
    meaning:
      "What is least harmful in trouble. `'stale'` needs a strategy that has something stale to serve. `'error'` fails closed: it takes no such strategy, refuses to start in a worker process whose siblings would not hear of its invalidations, and with a Redis that has replicas and no `min-replicas-to-write`, and forgets the whole entity when a write failed before it said which keys it changed.",
  },
  read: {
    kind: 'strategy',
    required: true,
    strategies: {
      'read-through': "readThrough({ ttl: '1m' })",
      'stale-while-revalidate': "staleWhileRevalidate({ ttl: '1m', staleFor: '5m' })",
      bypass: 'bypass()',
    },
    meaning: 'How calls are answered.',
  },
  write: {
    kind: 'strategy',
    required: true,
    strategies: {
      invalidate: 'invalidate()',
      'write-through': 'writeThrough()',
      'write-behind': "writeBehind({ merge: 'sum' })",
      external: 'external()',
    },
    meaning:
      'How the cache hears of changes: methods of this application carry `@Invalidates`, or `@WriteThrough` and bring the new value along, or `@WriteBehind` and have it written later, or nobody tells and the ttl is the admitted uncertainty.',
  },
  origin: {
    kind: 'origin',
    meaning:
      'What the loads of this entity have to share with others, and how much of it there is.',
  },
  store: {
    kind: 'name',
    meaning:
      "Where its entries are kept: `'process'`, or the name of one of the stores of the module. Left out, it is the module's `store`; without one, the process.",
  },
  onUnacknowledged: {
    kind: 'choice',
    choices: ['pending', 'fail'],
    standard: () => 'pending',
    standardText: "`'pending'`",
    meaning:
      "What a call gets that has invalidated an entry, or written it through, while its store does not acknowledge that. `'fail'`: `CACHE_INVALIDATION_UNACKNOWLEDGED`, though what was written is written; all else is as with `'pending'`. Of no effect where entries are kept in each process: there is nobody to acknowledge it.",
  },
  schema: {
    kind: 'count',
    min: 0,
    max: 65_535,
    standard: () => 0,
    standardText: '`0`',
    meaning:
      'Number of the shape of its values. Change it with the shape: what is in the store with another number is loaded again.',
  },
  version: {
    kind: 'function',
    meaning:
      'The version of a value, by which an older one never replaces a newer one: a second guard, for loaders that may read from a lagging replica.',
  },
  tags: {
    kind: 'function',
    meaning:
      'Tags of a value, by which `invalidateTag` and `@Invalidates(entity, { tags })` find it.',
  },
  absentWhen: {
    kind: 'function',
    meaning:
      'Whether an error of the loader means "there is nothing under this key". It is then remembered for `negativeTtl` and thrown to those who ask.',
  },
  revive: {
    kind: 'function',
    meaning:
      'Makes an instance again from the plain data of one. Required for values with methods; each caller gets an instance of its own.',
  },
} as const satisfies { readonly [option in keyof Required<Terms<never>>]: Option };

const LOADED_READ_OPTIONS = {
  ttl: {
    kind: 'duration',
    required: true,
    min: 1,
    max: 30 * DAY,
    meaning: 'How long a loaded value is fresh, counted from the moment its load began.',
  },
  jitter: {
    kind: 'fraction',
    min: 0,
    max: 0.9,
    standard: () => 0.1,
    standardText: '`0.1`',
    meaning:
      'Largest share of the ttl taken off at random, so that entries filled together do not expire together. It only shortens: the ttl stays a bound.',
  },
  negativeTtl: {
    kind: 'duration',
    min: 1,
    max: 30 * DAY,
    standard: ({ ttl }) => Math.min(ttl as number, 10 * SECOND),
    standardText: 'the shorter of `ttl` and 10 seconds',
    meaning:
      'How long "there is nothing under this key" is believed: a `null`, or an error `absentWhen` recognises. At most `ttl`.',
  },
  loadTimeout: {
    kind: 'duration',
    min: 1,
    max: 10 * MINUTE,
    standard: ({ maxStaleness }) =>
      Math.max(1, Math.min((maxStaleness as Bounds<number> | undefined)?.normal ?? 0, 3 * SECOND)),
    standardText: 'the shorter of `maxStaleness` and 3 seconds',
    meaning:
      'How long a load may take. Then its signal is aborted, its callers get `CACHE_LOAD_TIMEOUT`, and the key is free.',
  },
  staleIfError: {
    kind: 'duration',
    min: 0,
    max: 30 * DAY,
    standard: () => 0,
    standardText: "`0` (a failed load is the caller's error)",
    meaning:
      'How long past its ttl (and past `staleFor`) a value may be served because loading failed. While it is, the key is left alone for a growing pause.',
  },
  l1: { kind: 'options', standard: () => ({}), meaning: 'Bounds of the local tier.' },
} as const satisfies Options;

export const READ_THROUGH_OPTIONS = {
  ...LOADED_READ_OPTIONS,
  earlyRefresh: {
    kind: 'fraction',
    min: 0,
    max: 10,
    standard: () => 0,
    standardText: '`0` (off)',
    meaning:
      'How eagerly a value is loaded again shortly before it expires, by chance that grows with the nearness of the expiry and with the time its load took (XFetch). 1 is the published optimum, more is earlier.',
  },
} as const satisfies { readonly [option in keyof Required<ReadThroughOptions>]: Option };

export const STALE_WHILE_REVALIDATE_OPTIONS = {
  ...LOADED_READ_OPTIONS,
  staleFor: {
    kind: 'duration',
    required: true,
    min: 1,
    max: 30 * DAY,
    meaning:
      'How long past its ttl a value is served at once while it is loaded again behind the caller.',
  },
} as const satisfies { readonly [option in keyof Required<StaleWhileRevalidateOptions>]: Option };

export const LOCAL_TIER_OPTIONS = {
  maxEntries: {
    kind: 'count',
    min: 1,
    max: 10_000_000,
    standard: () => 1_000,
    standardText: '`1000`',
    meaning: 'Most entries held at a time; the least useful one makes room.',
  },
  maxBytes: {
    kind: 'count',
    min: 1_024,
    max: 2 ** 40,
    standard: () => Infinity,
    standardText: 'unbounded (`maxEntries` is the bound)',
    meaning: 'Most bytes of values held at a time, by an estimate that errs upwards.',
  },
} as const satisfies { readonly [option in keyof Required<LocalTierOptions>]: Option };

export const ORIGIN_OPTIONS = {
  maxConcurrent: {
    kind: 'count',
    required: true,
    min: 1,
    max: 10_000,
    meaning: 'Most loads that may ask it at a time.',
  },
  maxQueued: {
    kind: 'count',
    min: 0,
    max: 100_000,
    standard: () => 100,
    standardText: '`100`',
    meaning:
      'Most loads that may wait for their turn. One more is turned away: it gets something stale where its contract allows that, else `CACHE_ORIGIN_BUSY` with the time after which to try again.',
  },
} as const satisfies { readonly [option in keyof Required<OriginOptions>]: Option };

export const MODULE_OPTIONS = {
  namespace: {
    kind: 'name',
    standard: () => 'cache',
    standardText: "`'cache'`",
    meaning:
      "Names this application's cache in every event, and its entries in every store. Required with a store; the same for all processes of the application, and for no other.",
  },
  store: {
    kind: 'store',
    standardText: 'none: entries are kept in each process',
    meaning: 'Where entries are kept that processes share: `redisStore({ url })`.',
  },
  stores: {
    kind: 'options',
    standard: () => ({}),
    standardText: 'none',
    meaning: 'Further stores by name, for entities that name one as their `store`.',
  },
  overrides: {
    kind: 'options',
    standard: () => ({}),
    standardText: 'none',
    meaning:
      "Options of entities, by entity, laid over their contracts and checked as if they stood there: `{ product: { ttl: '30s' } }`. Variables of the environment go over them: `CACHE_ENTITY__PRODUCT__TTL=30s` for one entity; `CACHE_DEFAULT__JITTER=0.2` for an option that a contract does not give.",
  },
} as const satisfies Options;
