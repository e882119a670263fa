import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';
import { parseDuration, type Duration } from '../time/duration.js';

export const DEFAULT_DEADLINE = '100ms';
const LONGEST_MS = 60_000;

/** What a definition says until it is opened, when it is told what is wrong with it. Milliseconds. */
export function deadlineMsOf(deadline: Duration): number {
  return parseDuration(deadline) ?? 0;
}

/** @throws {CacheUsageError} CACHE_ARGUMENT_INVALID */
export function checkDeadline(deadline: Duration, owner: string): void {
  const ms = deadlineMsOf(deadline);
  if (ms >= 1 && ms <= LONGEST_MS) return;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `${owner}() expected as deadline a duration from 1ms to 1m, got ${show(deadline)}`,
    "write milliseconds as a number, or one number with one unit: '100ms'.",
  );
}
