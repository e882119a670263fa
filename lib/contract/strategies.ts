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
export type WriteStrategy = Invalidate | WriteThrough | External;

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

/** Nobody tells the cache when the source changes: the ttl, if there is one, is the admitted uncertainty. */
export function external(): External {
  return { kind: 'external' };
}
