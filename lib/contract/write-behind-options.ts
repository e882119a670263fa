import { MINUTE, SECOND, type Option } from './option.js';
import type { RetryOptions, WriteBehindOptions } from './strategies.js';

/* Rows of the option table: see options.ts. */

export const WRITE_BEHIND_OPTIONS = {
  merge: {
    kind: 'choice',
    choices: ['lastWrite', 'sum'],
    standard: () => 'lastWrite',
    standardText: "`'lastWrite'`",
    meaning:
      "How mutations of one key become one: `'lastWrite'` takes `set` and `remove`; `'sum'` takes `add` as well, for whole numbers.",
  },
  flushEvery: {
    kind: 'duration',
    min: 1,
    max: 60 * MINUTE,
    standard: () => SECOND,
    standardText: "`'1s'`",
    meaning: 'How long an accepted mutation waits for others before it is written.',
  },
  maxBatch: {
    kind: 'count',
    min: 1,
    max: 10_000,
    standard: () => 500,
    standardText: '`500`',
    meaning:
      'Most keys written by one call of the flushing method. When one more comes, the full batch is written at once.',
  },
  maxPending: {
    kind: 'count',
    min: 1,
    max: 10_000_000,
    standard: () => 10_000,
    standardText: '`10000`',
    meaning:
      'Most keys that may be waiting to be written. When as many wait, mutations are refused with `CACHE_JOURNAL_FULL` and the time after which to try again, except of keys of which some wait for the same batch.',
  },
  shards: {
    kind: 'count',
    min: 1,
    max: 64,
    standard: () => 1,
    standardText: '`1`',
    meaning:
      'How many batches may be written at the same time: the keys are divided among so many sequences, and `maxPending` with them. What is accepted for one key is written in its order.',
  },
  flushTimeout: {
    kind: 'duration',
    min: 1,
    max: 10 * MINUTE,
    standard: () => 5 * SECOND,
    standardText: "`'5s'`",
    meaning:
      'How long one attempt to write a batch may take. Then its signal is aborted, and it counts as failed.',
  },
  retry: {
    kind: 'options',
    standard: () => ({}),
    meaning: 'What happens after a failed attempt.',
  },
} as const satisfies { readonly [option in keyof Required<WriteBehindOptions>]: Option };

export const RETRY_OPTIONS = {
  attempts: {
    kind: 'count',
    min: 1,
    max: 100,
    standard: () => 5,
    standardText: '`5`',
    meaning:
      'After so many failed attempts in a row the entries of a batch are tried one by one; those that fail alone become dead letters, unless the database is out of reach.',
  },
  delay: {
    kind: 'duration',
    min: 1,
    max: 10 * MINUTE,
    standard: () => 250,
    standardText: "`'250ms'`",
    meaning:
      'The pause after the first failed attempt; it doubles with each further one, and half of it is chance.',
  },
  maxDelay: {
    kind: 'duration',
    min: 1,
    max: 60 * MINUTE,
    standard: ({ delay }) => Math.max((delay as number | undefined) ?? 0, 30 * SECOND),
    standardText: "`'30s'`, or `delay` if that is longer",
    meaning: 'The longest pause.',
  },
} as const satisfies { readonly [option in keyof Required<RetryOptions>]: Option };
