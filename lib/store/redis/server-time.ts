import type { Clock } from '../../time/clock.js';

/** A sample may be used for so long, and for as long again if there is no better one. */
const WINDOW_MS = 30_000;
/** What the clocks of two machines may run apart meanwhile. */
const DRIFT_MS = 50;

interface Sample {
  /** Time of the server less monotonic time of this process. */
  readonly offset: number;
  readonly roundTripMs: number;
  readonly at: number;
}

/**
 * What time it is at the server, in milliseconds: read off its answers, of which the quickest within a minute is believed.
 * It is wrong by half of what that took at most, and by what the clocks have run apart since.
 *
 * Before the first answer it is what this process takes for the time.
 */
export class ServerTime {
  private best: Sample | undefined;
  /** Of the window that is not over yet. */
  private next: Sample | undefined;
  private readonly guess: number;

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {
    this.guess = Date.now() - clock.monotonic();
  }

  now(): number {
    return this.clock.monotonic() + (this.best?.offset ?? this.guess);
  }

  /** Whether an answer is wanted although nobody has asked for anything else. */
  get isOld(): boolean {
    return this.best === undefined || this.clock.monotonic() - this.best.at > 2 * WINDOW_MS;
  }

  /** The server may be another one from now on. */
  forget(): void {
    this.next = undefined;
    if (this.best !== undefined) this.best = { ...this.best, roundTripMs: Infinity };
  }

  /** The server said that it was `micros`, between `sentAt` of this process's monotonic time and now. */
  learn(micros: number, sentAt: number): void {
    const at = this.clock.monotonic();
    const roundTripMs = at - sentAt;
    const sample = { offset: micros / 1_000 - (sentAt + at) / 2, roundTripMs, at };
    if (this.best === undefined || this.contradicts(sample, this.best)) {
      // A clock was set, or this machine has slept.
      [this.best, this.next] = [sample, undefined];
      return;
    }
    const { next } = this;
    const isBetter =
      next === undefined || roundTripMs <= next.roundTripMs || at - next.at > WINDOW_MS;
    if (isBetter) this.next = sample;
    if (roundTripMs <= this.best.roundTripMs || at - this.best.at > WINDOW_MS) {
      [this.best, this.next] = [this.next, undefined];
    }
  }

  private contradicts(one: Sample, other: Sample): boolean {
    const apart = Math.abs(one.offset - other.offset);
    return apart > (one.roundTripMs + other.roundTripMs) / 2 + DRIFT_MS;
  }
}
