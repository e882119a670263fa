import { performance } from 'node:perf_hooks';

/**
 * Where this package gets time and chance from. Replace it by your own provider to move time in tests.
 *
 * Freshness is measured on the monotonic clock, so a corrected system clock neither revives nor kills an entry.
 */
export abstract class Clock {
  /** Milliseconds that only grow, from an arbitrary start. */
  abstract monotonic(): number;
  /** Runs `task` once, `ms` milliseconds from now; returns what cancels it. */
  abstract after(ms: number, task: () => void): () => void;
  /** At least 0, less than 1. */
  abstract random(): number;
}

export class SystemClock extends Clock {
  override monotonic(): number {
    return performance.now();
  }

  override after(ms: number, task: () => void): () => void {
    // Not unref'd: somebody waits for what it does, and a process must not end under a caller's feet.
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  }

  override random(): number {
    return Math.random();
  }
}
