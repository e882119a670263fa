import { performance } from 'node:perf_hooks';
import { Clock } from 'nestjs-cache-contract';

/** The time of day, but for the stretches that nobody wants to wait for. */
export class SkippingClock extends Clock {
  private skippedMs = 0;

  skip(ms: number): void {
    this.skippedMs += ms;
  }

  override monotonic(): number {
    return performance.now() + this.skippedMs;
  }

  override after(ms: number, task: () => void): () => void {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  }

  override random(): number {
    return Math.random();
  }
}
