import type { Clock } from '../time/clock.js';

/** Entries for which a store is not asked, because it does not know yet that they were invalidated. */
export class Quarantine {
  private readonly ids = new Set<string>();
  private allUntil = -Infinity;

  constructor(private readonly clock: Clock) {}

  has(id: string): boolean {
    if (this.ids.has(id)) return true;
    return this.allUntil > -Infinity && this.clock.monotonic() < this.allUntil;
  }

  add(id: string): void {
    this.ids.add(id);
  }

  delete(id: string): void {
    this.ids.delete(id);
  }

  /** It is not asked at all until what it has now has gone by itself. */
  addAll(keepMs: number): void {
    this.allUntil = this.clock.monotonic() + keepMs;
  }

  /** How many are in it one by one. */
  get size(): number {
    return this.ids.size;
  }
}
