import { CacheError, CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';
import { formatDuration, parseDuration, type Duration } from '../time/duration.js';

const DEFAULT_TTL = '10s';
const SHORTEST_TTL_MS = 100;
const LONGEST_TTL_MS = 3_600_000;
/** Timers reach no further than 24 days; who means longer than a day means without a bound. */
const LONGEST_PATIENCE_MS = 86_400_000;

/** How a lock is asked for. */
export interface LockOptions {
  /**
   * How long the lock stays taken after its holder died or stalled; a living holder renews it every third of it.
   * From 100ms to 1h.
   *
   * @default '10s'
   */
  readonly ttl?: Duration;
  /** How long to wait for it: from 0, which means now or not at all, to 24h. Left out, there is no bound. */
  readonly patience?: Duration;
  /** Ends the waiting when it aborts. Changes nothing once the lock is held. */
  readonly signal?: AbortSignal;
}

/** A lock that is held, until `release` or until `signal` aborts. */
export interface Lock {
  readonly name: string;
  /**
   * Greater than that of every holder of this name before. Let what you write to refuse a smaller one than it has
   * seen (`UPDATE … SET …, fence = ? WHERE id = ? AND fence < ?`): it knows, where a holder that stalled does not.
   */
  readonly fence: bigint;
  /** Aborts when the lock is lost, with a {@link CacheLockLostError} as its reason; not after `release`. */
  readonly signal: AbortSignal;
  /** Lets the next one have it. Never rejects, may be called again, and does nothing to a successor. */
  release(): Promise<void>;
}

/** What has become of asking for a lock. */
export interface LockAttempt {
  readonly lock?: Lock | undefined;
  /** What was wrong, and what to do about it. */
  readonly trouble?: { readonly problem: string; readonly fix: string } | undefined;
}

/**
 * One holder per name at a time. Replace it by your own provider to lock elsewhere; the conditions below, and those at
 * {@link Lock}, are what the rest of the package relies on.
 *
 * Whoever waits is served in the order of the calls, at least within a process; a release wakes one of them. A lock is
 * not re-entrant: its holder waits like anybody else. It is lost if it was not renewed within its ttl, as by a process
 * that stalled, and that process learns of it only when it runs again. So a lock alone saves double work; what must
 * never happen twice needs the fence as well.
 */
export abstract class DistributedLock {
  /**
   * Waits for the lock of `name`; nothing if it was not to be had within `patience`.
   *
   * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID; or the reason of `signal`, if that aborts first
   */
  abstract acquire(name: string, options?: LockOptions): Promise<Lock | undefined>;

  /**
   * Runs `fn` with the lock of `name` held, and releases it. What `fn` returns or throws is the outcome, also when the
   * lock was lost meanwhile: only `fn` knows what that means, and has `lock.signal` and `lock.fence` to deal with it.
   *
   * @throws {CacheLockBusyError} CACHE_LOCK_BUSY if it was not to be had within `patience`
   * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID; or the reason of `signal`, if that aborts first
   */
  async run<T>(
    name: string,
    fn: (lock: Lock) => T | Promise<T>,
    options: LockOptions = {},
  ): Promise<T> {
    const { patienceMs } = lockTerms(name, options);
    if (typeof fn !== 'function') {
      throw new CacheUsageError(
        'CACHE_ARGUMENT_INVALID',
        `run('${name}') expected a function, got ${show(fn)}`,
        `write run('${name}', async (lock) => …).`,
      );
    }
    const { lock, trouble } = await this.attempt(name, options);
    // Without a bound nobody gives up.
    if (lock === undefined) throw new CacheLockBusyError(name, patienceMs ?? Infinity, trouble);
    try {
      return await fn(lock);
    } finally {
      await released(lock);
    }
  }

  /** The lock; or nothing, and why, if something else than its holder was in the way. */
  protected async attempt(name: string, options: LockOptions): Promise<LockAttempt> {
    return { lock: await this.acquire(name, options) };
  }

  /** Called when the application has ended, after everything that may have needed a lock. Here it does nothing. */
  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Even by an implementation that breaks the promise never to reject: the outcome belongs to who ran under the lock. */
async function released(lock: Lock): Promise<void> {
  try {
    await lock.release();
  } catch {
    // Its ttl frees it.
  }
}

/** What a lock is asked for with, checked and in milliseconds. */
export interface LockTerms {
  readonly ttlMs: number;
  /** Nothing means without a bound. */
  readonly patienceMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * For implementations: the options of a call, checked.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID
 */
export function lockTerms(name: string, options: LockOptions): LockTerms {
  if (typeof name !== 'string' || name === '' || !name.isWellFormed()) {
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `A lock needs a name of at least one character, without lone surrogates, got ${show(name)}`,
      "name what only one at a time may do: 'nightly-report'.",
    );
  }
  const { ttl = DEFAULT_TTL, patience, signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `The lock '${name}' needs an AbortSignal as signal, got ${show(signal)}`,
      'hand over the signal of an AbortController, or leave it out.',
    );
  }
  return {
    ttlMs: within(name, 'a ttl', ttl, SHORTEST_TTL_MS, LONGEST_TTL_MS),
    patienceMs:
      patience === undefined
        ? undefined
        : within(name, 'a patience', patience, 0, LONGEST_PATIENCE_MS),
    signal,
  };
}

function within(
  name: string,
  what: string,
  given: Duration,
  leastMs: number,
  mostMs: number,
): number {
  const ms = parseDuration(given);
  if (ms !== undefined && ms >= leastMs && ms <= mostMs) return ms;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `The lock '${name}' needs ${what} from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}, got ${show(given)}`,
    "write milliseconds as a number, or one number with one unit: '10s'.",
  );
}

/** A lock could not be renewed within its ttl; somebody else may hold it by now. The reason of its `signal`. */
export class CacheLockLostError extends CacheError {
  readonly code = 'CACHE_LOCK_LOST';

  constructor(
    /** Its name. */
    readonly lock: string,
    readonly ttlMs: number,
  ) {
    super(
      `The lock '${lock}' was lost: it was not renewed within its ttl of ${formatDuration(ttlMs)}, and somebody else may hold it by now. ` +
        `Fix: end what you do under the lock when its signal aborts, let what you write to check the fence, or raise the ttl.`,
    );
  }
}

/** A lock was not to be had within the patience of the caller; nothing was run. */
export class CacheLockBusyError extends CacheError {
  readonly code = 'CACHE_LOCK_BUSY';

  constructor(
    /** Its name. */
    readonly lock: string,
    readonly patienceMs: number,
    trouble?: LockAttempt['trouble'],
  ) {
    const { problem, fix = 'try again later, or raise the patience.' } = trouble ?? {};
    super(
      `The lock '${lock}' was not to be had within ${formatDuration(patienceMs)}${problem === undefined ? '' : `: ${problem}`}; nothing was run. Fix: ${fix}`,
    );
  }
}
