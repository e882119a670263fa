import { CacheUsageError } from '../../errors/cache.error.js';
import { show } from '../../errors/wording.js';

/** Milliseconds, or a function that tells them of the value. */
export type OfValue<T> = number | ((value: T) => number);

export interface WrapOptions<T> {
  /** How long the value is kept; the contract's ttl is a bound. */
  ttl?: OfValue<T>;
  /** If what is found is fresh for less than this, it is loaded again behind the caller. */
  refreshThreshold?: OfValue<T>;
}

/** The calls of `wrap`. With `raw` the answer has the moment in epoch milliseconds up to which the value is fresh. */
export interface Wrap {
  <T>(
    key: string,
    load: () => T | Promise<T>,
    ttl?: OfValue<T>,
    refreshThreshold?: OfValue<T>,
  ): Promise<T>;
  <T>(
    key: string,
    load: () => T | Promise<T>,
    options: WrapOptions<T> & { raw: true },
  ): Promise<{ value: T; expires?: number | undefined }>;
  <T>(key: string, load: () => T | Promise<T>, options: WrapOptions<T>): Promise<T>;
}

/**
 * What the two forms of the call say.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID, so that nothing is loaded for a call that cannot be meant
 */
export function wrapOptions<T>(
  third: OfValue<T> | (WrapOptions<T> & { raw?: true }) | undefined,
  fourth: OfValue<T> | undefined,
): WrapOptions<T> & { raw?: true } {
  const isObject = typeof third === 'object' && third !== null;
  const options = isObject ? third : { ttl: third, refreshThreshold: fourth };
  const { ttl, refreshThreshold } = options;
  if (typeof ttl !== 'function') given(ttl, 'a ttl');
  if (typeof refreshThreshold !== 'function') given(refreshThreshold, 'a refreshThreshold');
  return options;
}

/**
 * How long a value is to be kept: `Infinity` for as long as the contract says, below 0 not at all.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID
 */
export function keptFor<T>(
  asked: OfValue<T> | undefined,
  value: T,
  standard: number | undefined,
): number {
  const ms = given(told(asked, value), 'a ttl') ?? standard;
  // cache-manager keeps for ever what has no ttl, or one of 0. Here the contract is the bound of both.
  return ms === undefined || ms === 0 ? Infinity : ms;
}

/**
 * `undefined`: it is not loaded again before it expires.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID
 */
export function thresholdOf<T>(
  asked: OfValue<T> | undefined,
  value: T,
  standard: number | undefined,
): number | undefined {
  return given(told(asked, value), 'a refreshThreshold') ?? standard;
}

function told<T>(asked: OfValue<T> | undefined, value: T): unknown {
  return typeof asked === 'function' ? asked(value) : asked;
}

function given(ms: unknown, what: string): number | undefined {
  if (ms === undefined || ms === null) return undefined;
  if (typeof ms === 'number' && !Number.isNaN(ms)) return ms;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `a call of CACHE_MANAGER expected ${what} in milliseconds, got ${show(ms)}`,
    "write a number, such as 60_000 for a minute; '1m' can be written in contracts and in CacheManagerModule.register().",
  );
}
