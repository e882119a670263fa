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

export interface ReadThroughOptions {
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
  /** Bounds of the local tier. */
  l1?: LocalTierOptions;
}

export interface ReadThrough {
  readonly kind: 'read-through';
  readonly options: Readonly<ReadThroughOptions>;
}
export interface Bypass {
  readonly kind: 'bypass';
}
export type ReadStrategy = ReadThrough | Bypass;

/** Serves a stored value within its ttl, else loads it: once for all who ask meanwhile. */
export function readThrough(options: ReadThroughOptions): ReadThrough {
  return { kind: 'read-through', options };
}

/** Never cached, never coalesced: each call asks the source. */
export function bypass(): Bypass {
  return { kind: 'bypass' };
}

export interface Invalidate {
  readonly kind: 'invalidate';
}
export interface External {
  readonly kind: 'external';
}
export type WriteStrategy = Invalidate | External;

/** Methods of this application change the source and say so with `@Invalidates`. */
export function invalidate(): Invalidate {
  return { kind: 'invalidate' };
}

/** Nobody tells the cache when the source changes: the ttl, if there is one, is the admitted uncertainty. */
export function external(): External {
  return { kind: 'external' };
}
