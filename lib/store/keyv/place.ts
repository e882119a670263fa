import type { Comparable } from '../../entry/version.js';
import type { Hold } from './hold.js';
import { WritesUnderWay } from './writes-under-way.js';

/** How long a change waits for the one before it, which may never get an answer. */
const MOST_TURN_MS = 5_000;

/** What this process knows of one entry besides what is stored. */
export class Place {
  private held: Hold | undefined;
  private coolUntil = -Infinity;
  private floor: { readonly atLeast: Comparable; readonly until: number } | undefined;
  private turn: Promise<unknown> = Promise.resolve();
  private turnBegan = -Infinity;
  readonly writes = new WritesUnderWay();

  /** Whether there is anything to be known. */
  isOfUse(now: number): boolean {
    return (
      this.hold !== undefined ||
      this.writes.areOfUse(now) ||
      now < this.coolUntil ||
      now < (this.floor?.until ?? now)
    );
  }

  get hold(): Hold | undefined {
    // A stalled process may come here before its timers have run.
    if (this.held?.remainingMs === 0) this.held.end();
    return this.held?.isOver === false ? this.held : undefined;
  }

  heldUnder(token: string): Hold | undefined {
    const { hold } = this;
    return hold?.token === token ? hold : undefined;
  }

  /** Whoever had it until now has it no more. */
  begin(hold: Hold): void {
    const before = this.hold;
    hold.keepWith(before?.giveLock());
    this.held = hold;
    this.coolUntil = -Infinity;
    before?.end();
  }

  /** Nobody has it any more. */
  void(): void {
    this.held?.end();
    this.coolUntil = -Infinity;
  }

  cool(until: number): void {
    this.coolUntil = until;
  }

  coolsFor(now: number): number {
    return Math.max(0, this.coolUntil - now);
  }

  raise(atLeast: Comparable, now: number, keepMs: number): void {
    const until = now + keepMs;
    const before = this.floor;
    this.floor =
      before === undefined || now >= before.until
        ? { atLeast, until }
        : {
            atLeast: before.atLeast > atLeast ? before.atLeast : atLeast,
            until: Math.max(before.until, until),
          };
  }

  isBelowFloor(version: Comparable, now: number): boolean {
    return this.floor !== undefined && now < this.floor.until && version < this.floor.atLeast;
  }

  /**
   * Changes what is stored, one after another: a Keyv may let what it removes overtake what it is still compressing, and
   * what was removed would be back. `now`: of the same clock each time.
   */
  inTurn<T>(now: () => number, change: () => Promise<T>): Promise<T> {
    if (now() >= this.turnBegan + MOST_TURN_MS) {
      this.writes.giveUp(now());
      this.turn = Promise.resolve();
      this.turnBegan = now();
    }
    const mine = this.turn.then(() => {
      this.turnBegan = now();
      return change();
    });
    this.turn = mine.catch(() => undefined);
    return mine;
  }
}
