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

/** What the two forms of the call say. */
export function wrapOptions<T>(
  third: OfValue<T> | (WrapOptions<T> & { raw?: true }) | undefined,
  fourth: OfValue<T> | undefined,
): WrapOptions<T> & { raw?: true } {
  if (typeof third === 'object' && third !== null) return third;
  return { ttl: third, refreshThreshold: fourth };
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
  const ms: unknown = (typeof asked === 'function' ? asked(value) : asked) ?? standard;
  // cache-manager keeps for ever what has no ttl, or one of 0. Here the contract is the bound of both.
  if (ms === undefined || ms === 0) return Infinity;
  return milliseconds(ms, 'a ttl');
}

/** `undefined`: it is not loaded again before it expires. */
export function thresholdOf<T>(
  asked: OfValue<T> | undefined,
  value: T,
  standard: number | undefined,
): number | undefined {
  const ms: unknown = (typeof asked === 'function' ? asked(value) : asked) ?? standard;
  return ms === undefined ? undefined : milliseconds(ms, 'a refreshThreshold');
}

function milliseconds(given: unknown, what: string): number {
  if (typeof given === 'number' && !Number.isNaN(given)) return given;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `a call of CACHE_MANAGER expected ${what} in milliseconds, got ${show(given)}`,
    "write a number, such as 60_000 for a minute; '1m' can be written in contracts and in CacheManagerModule.register().",
  );
}
