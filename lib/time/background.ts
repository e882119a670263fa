import type { Clock } from './clock.js';

/** Owns every timer and every promise nobody awaits, so that closing can end the ones and wait for the others. */
export class Background {
  private readonly timers = new Set<() => void>();
  private readonly running = new Set<Promise<unknown>>();

  constructor(private readonly clock: Clock) {}

  /** As {@link Clock.after}; cancelled by {@link close}. */
  after(ms: number, task: () => void): () => void {
    const cancel = () => {
      this.timers.delete(cancel);
      stop();
    };
    const stop = this.clock.after(ms, () => {
      this.timers.delete(cancel);
      task();
    });
    this.timers.add(cancel);
    return cancel;
  }

  /** Keeps `work` in view until it settles. Its failure is its caller's affair and is not reported here. */
  track(work: Promise<unknown>): void {
    const done = () => this.running.delete(work);
    this.running.add(work);
    work.then(done, done);
  }

  /** How many timers and promises are under way. */
  get size(): number {
    return this.timers.size + this.running.size;
  }

  /** Resolves when the work that is under way now has settled. */
  async drain(): Promise<void> {
    await Promise.allSettled(this.running);
  }

  /** Resolves when all tracked work, including what it starts meanwhile, has settled and no timer is left. */
  async close(): Promise<void> {
    while (this.running.size > 0) await this.drain();
    for (const cancel of [...this.timers]) cancel();
  }
}
