import type { Duration } from '../time/duration.js';

/** The local tier of one entity: a table of decoded values in this process. */
export interface LocalTierOptions {
  /**
   * Most entries held at a time; the least useful one makes room.
   *
   * @default 1000
   * @range 1 … 10,000,000
   */
  maxEntries?: number;
  /**
   * Most bytes of values held at a time, by an estimate that errs upwards.
   *
   * @unit bytes
   * @default unbounded (`maxEntries` is the bound)
   * @range 1,024 … 2^40
   */
  maxBytes?: number;
}

interface LoadedReadOptions {
  /**
   * How long a loaded value is fresh, counted from the moment its load began.
   *
   * @unit milliseconds, or '30s' style
   * @range 1 ms … 30 days
   */
  ttl: Duration;
  /**
   * Largest share of the ttl taken off at random, so that entries filled together do not expire together.
   * It only shortens: the ttl stays a bound.
   *
   * @unit fraction of the ttl
   * @default 0.1
   * @range 0 … 0.9
   */
  jitter?: number;
  /**
   * How long "there is nothing under this key" is believed: a `null`, or an error `absentWhen` recognises.
   *
   * @unit milliseconds, or '5s' style
   * @default the shorter of ttl and 10 seconds
   * @range 1 ms … ttl
   */
  negativeTtl?: Duration;
  /**
   * How long a load may take. Then its signal is aborted, its callers get CACHE_LOAD_TIMEOUT, and the key is free.
   *
   * @unit milliseconds, or '3s' style
   * @default the shorter of maxStaleness and 3 seconds
   * @range 1 ms … 10 minutes
   */
  loadTimeout?: Duration;
  /**
   * How long past its ttl (and past `staleFor`) a value may be served because loading failed. While it is, the key
   * is left alone for a growing pause, so that a source in trouble is not asked by everybody.
   *
   * @unit milliseconds, or '10m' style
   * @default 0 (a failed load is the caller's error)
   * @range 0 … 30 days
   * @source RFC 5861, section 4
   */
  staleIfError?: Duration;
  /** Bounds of the local tier. */
  l1?: LocalTierOptions;
}

export interface ReadThroughOptions extends LoadedReadOptions {
  /**
   * How eagerly a value is loaded again shortly before it expires, by chance that grows with the nearness of the
   * expiry and with the time its load took. 1 is the published optimum, more is earlier.
   *
   * @default 0 (off)
   * @range 0 … 10
   * @source Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention (VLDB 2015)
   */
  earlyRefresh?: number;
}

export interface StaleWhileRevalidateOptions extends LoadedReadOptions {
  /**
   * How long past its ttl a value is served at once while it is loaded again behind the caller.
   *
   * @unit milliseconds, or '5m' style
   * @range 1 ms … 30 days
   * @source RFC 5861, section 3
   */
  staleFor: Duration;
}

export interface ReadThrough {
  readonly kind: 'read-through';
  readonly serves: 'fresh values only' | 'stale values too';
  readonly options: Readonly<ReadThroughOptions>;
}
export interface StaleWhileRevalidate {
  readonly kind: 'stale-while-revalidate';
  readonly serves: 'stale values too';
  readonly options: Readonly<StaleWhileRevalidateOptions>;
}
export interface Bypass {
  readonly kind: 'bypass';
  readonly serves: 'fresh values only';
}
/** Never hands out a value past its ttl: what `prefer: 'error'` takes. */
export type FreshRead = (ReadThrough & { readonly serves: 'fresh values only' }) | Bypass;
export type ReadStrategy = ReadThrough | StaleWhileRevalidate | Bypass;

/** Serves a stored value within its ttl, else loads it: once for all who ask meanwhile. */
export function readThrough(
  options: ReadThroughOptions & { staleIfError: Duration },
): ReadThrough & { readonly serves: 'stale values too' };
export function readThrough(
  options: ReadThroughOptions,
): ReadThrough & { readonly serves: 'fresh values only' };
export function readThrough(options: ReadThroughOptions): ReadThrough {
  const serves = options?.staleIfError === undefined ? 'fresh values only' : 'stale values too';
  return { kind: 'read-through', serves, options };
}

/** Serves a stored value within its ttl; for `staleFor` after it, serves it at once and loads behind the caller. */
export function staleWhileRevalidate(options: StaleWhileRevalidateOptions): StaleWhileRevalidate {
  return { kind: 'stale-while-revalidate', serves: 'stale values too', options };
}

/** Never cached, never coalesced: each call asks the source. */
export function bypass(): Bypass {
  return { kind: 'bypass', serves: 'fresh values only' };
}

export interface Invalidate {
  readonly kind: 'invalidate';
}
export interface WriteThrough {
  readonly kind: 'write-through';
}
export interface External {
  readonly kind: 'external';
}

export interface RetryOptions {
  /**
   * After so many failed attempts in a row the entries of a batch are tried one by one, and those that fail alone
   * become dead letters, unless the database itself is out of reach.
   *
   * @default 5
   * @range 1 … 100
   */
  attempts?: number;
  /**
   * The pause after the first failed attempt; it doubles with each further one, and half of it is chance.
   *
   * @unit milliseconds, or '250ms' style
   * @default '250ms'
   * @range 1 ms … 10 minutes
   */
  delay?: Duration;
  /**
   * The longest pause.
   *
   * @unit milliseconds, or '30s' style
   * @default '30s'
   * @range delay … 1 hour
   */
  maxDelay?: Duration;
}

export interface WriteBehindOptions {
  /**
   * How mutations of one key become one: `'lastWrite'` takes `set` and `remove`, the last one wins; `'sum'` takes `add`
   * as well, for whole numbers.
   *
   * @default 'lastWrite'
   */
  merge?: 'lastWrite' | 'sum';
  /**
   * How long an accepted mutation waits for others before it is written.
   *
   * @unit milliseconds, or '1s' style
   * @default '1s'
   * @range 1 ms … 1 hour
   */
  flushEvery?: Duration;
  /**
   * Most keys written by one call of the flushing method. When one more comes, the full batch is written at once.
   *
   * @default 500
   * @range 1 … 10,000
   */
  maxBatch?: number;
  /**
   * Most keys that may be waiting to be written. When as many wait, mutations are refused with CACHE_JOURNAL_FULL,
   * except of keys of which some wait for the same batch. A key that waits in two batches counts twice.
   *
   * @default 10000
   * @range 1 … 10,000,000
   */
  maxPending?: number;
  /**
   * How many batches may be written at the same time. The keys are divided among so many sequences; what is accepted
   * for one key is written in its order.
   *
   * @default 1
   * @range 1 … 64
   */
  shards?: number;
  /**
   * How long one attempt to write a batch may take. Then its signal is aborted, and it counts as failed.
   *
   * @unit milliseconds, or '5s' style
   * @default '5s'
   * @range 1 ms … 10 minutes
   */
  flushTimeout?: Duration;
  /** What happens after a failed attempt. */
  retry?: RetryOptions;
}

export interface WriteBehind<Value = any> {
  readonly kind: 'write-behind';
  readonly options: Readonly<WriteBehindOptions>;
  /** Which values it can merge; only the compiler looks at it. */
  readonly merges?: (value: Value) => void;
}
export type WriteStrategy<Value = any> = Invalidate | WriteThrough | WriteBehind<Value> | External;

/** Methods of this application change the source and say so with `@Invalidates`. */
export function invalidate(): Invalidate {
  return { kind: 'invalidate' };
}

/**
 * Methods of this application change the source and resolve to the new value with `@WriteThrough`, which is then stored:
 * overwritten, never missing. Some may invalidate instead, with `@Invalidates`.
 */
export function writeThrough(): WriteThrough {
  return { kind: 'write-through' };
}

/**
 * Methods of this application say with `@WriteBehind` what changes. It is journalled, visible to readers of the cache at
 * once, and written in batches by the method with `@Flushes`. Not for critical data: what is accepted and not yet
 * written is in the memory of this process only, and lost if it crashes.
 */
export function writeBehind(
  options: WriteBehindOptions & { merge: 'sum' },
): WriteBehind<number | bigint | null>;
export function writeBehind(
  options?: WriteBehindOptions & { merge?: 'lastWrite' },
): WriteBehind<any>;
export function writeBehind(options: WriteBehindOptions = {}): WriteBehind<any> {
  return { kind: 'write-behind', options };
}

/** Nobody tells the cache when the source changes: the ttl, if there is one, is the admitted uncertainty. */
export function external(): External {
  return { kind: 'external' };
}
