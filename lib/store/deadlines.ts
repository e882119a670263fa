import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';

/** Somebody waits for an answer, until a time. */
export class Wait {
  constructor(
    readonly until: number,
    /** Nothing when it is over: it would hold on to the answer until its time is up. */
    private whenGivenUp: (() => void) | undefined,
  ) {}

  get isOver(): boolean {
    return this.whenGivenUp === undefined;
  }

  /** What was waited for has come. False if nobody waits any more. */
  end(): boolean {
    const wasOver = this.isOver;
    this.whenGivenUp = undefined;
    return !wasOver;
  }

  giveUp(): void {
    const { whenGivenUp } = this;
    this.whenGivenUp = undefined;
    whenGivenUp?.();
  }
}

/** Waits that are given up when their time is over: one timer serves them all. */
export class Deadlines {
  /** In the order of their times. */
  private waits: Wait[] = [];
  private timer: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly background: Background,
  ) {}

  wait(until: number, whenGivenUp: () => void): Wait {
    const { waits } = this;
    const wait = new Wait(until, whenGivenUp);
    let at = waits.length;
    // Most wait equally long.
    while (at > 0 && waits[at - 1]!.until > until) at--;
    waits.splice(at, 0, wait);
    if (at === 0) this.wakeAt(until);
    return wait;
  }

  /** All are given up. */
  end(): void {
    this.timer?.();
    for (const wait of this.waits) wait.giveUp();
  }

  private wakeAt(until: number): void {
    this.timer?.();
    const ms = Math.max(0, until - this.clock.monotonic());
    // An answer that came while the process was busy is read before the turn is over.
    this.timer = this.background.after(ms, () => setImmediate(() => this.expire()));
  }

  private expire(): void {
    this.timer?.();
    this.timer = undefined;
    const now = this.clock.monotonic();
    let first = 0;
    for (; first < this.waits.length; first++) {
      const wait = this.waits[first]!;
      if (!wait.isOver && wait.until > now) break;
      wait.giveUp();
    }
    this.waits = this.waits.slice(first);
    if (this.waits.length > 0) this.wakeAt(this.waits[0]!.until);
  }
}
