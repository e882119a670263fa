import { Clock } from '../../lib/time/clock.js';

/** Time that moves only when a test says so. */
export class ManualClock extends Clock {
  private time = 1_000;
  private readonly timers = new Set<{ at: number; task: () => void }>();
  /** What `random` returns next; 0 unless set. */
  chance = 0;

  override monotonic(): number {
    return this.time;
  }

  override after(ms: number, task: () => void): () => void {
    const timer = { at: this.time + ms, task };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  override random(): number {
    return this.chance;
  }

  /** Moves time, running what is due in order. */
  advance(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers.delete(due);
      this.time = Math.max(this.time, due.at);
      due.task();
    }
    this.time = end;
  }

  /** Time goes by without a timer running, as when the process is busy or asleep. */
  stall(ms: number): void {
    this.time += ms;
  }

  get pending(): number {
    return this.timers.size;
  }
}
