import type { Terms } from './entity.js';
import type { LocalTierOptions, ReadThroughOptions } from './strategies.js';

/** The options known so far: those of the levels above, then those of the rows above. Durations in milliseconds. */
export interface Known {
  readonly [option: string]: unknown;
}

interface Row {
  readonly meaning: string;
  readonly required?: true;
  /** What stands in for an option that is not given. */
  readonly standard?: (known: Known) => unknown;
  /** The same, in words. */
  readonly standardText?: string;
}
export type Option = Row &
  (
    | {
        readonly kind: 'duration' | 'count' | 'fraction';
        readonly min: number;
        readonly max: number;
      }
    | { readonly kind: 'choice'; readonly choices: readonly string[] }
    | { readonly kind: 'strategy'; readonly strategies: { readonly [kind: string]: string } }
    | { readonly kind: 'function' | 'options' }
    | { readonly kind: 'name'; readonly pattern: RegExp }
  );
export type Options = { readonly [option: string]: Option };

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

/*
 * One row per option is the only origin of its default, its boot check and its line in docs/options.md.
 * A row may use the options above it.
 */

export const CONTRACT_OPTIONS = {
  maxStaleness: {
    kind: 'duration',
    required: true,
    min: 0,
    max: 365 * DAY,
    meaning: 'No call is answered with data older than this, measured at the call.',
  },
  prefer: {
    kind: 'choice',
    choices: ['origin', 'error'],
    standard: () => 'origin',
    standardText: "`'origin'`",
    meaning:
      "What is least harmful when the cache cannot tell. `'error'` fails closed: it refuses to start in a worker process whose siblings would not hear of its invalidations, and forgets the whole entity when a write failed before it said which keys it changed.",
  },
  read: {
    kind: 'strategy',
    required: true,
    strategies: { 'read-through': "readThrough({ ttl: '1m' })", bypass: 'bypass()' },
    meaning: 'How calls are answered.',
  },
  write: {
    kind: 'strategy',
    required: true,
    strategies: { invalidate: 'invalidate()', external: 'external()' },
    meaning:
      'How the cache hears of changes: methods of this application carry `@Invalidates`, or nobody tells and the ttl is the admitted uncertainty.',
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

export const READ_THROUGH_OPTIONS = {
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
    standard: ({ maxStaleness }) => Math.max(1, Math.min(maxStaleness as number, 3 * SECOND)),
    standardText: 'the shorter of `maxStaleness` and 3 seconds',
    meaning:
      'How long a load may take. Then its signal is aborted, its callers get `CACHE_LOAD_TIMEOUT`, and the key is free.',
  },
  l1: { kind: 'options', standard: () => ({}), meaning: 'Bounds of the local tier.' },
} as const satisfies { readonly [option in keyof Required<ReadThroughOptions>]: Option };

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

/** Names that can stand in events and in the keys of any store. */
export const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

export const MODULE_OPTIONS = {
  namespace: {
    kind: 'name',
    pattern: NAME,
    standard: () => 'cache',
    standardText: "`'cache'`",
    meaning: "Names this application's cache in every event.",
  },
} as const satisfies Options;
