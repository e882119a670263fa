import type { Comparable } from '../entry/version.js';

const MOST_FLOORS = 10_000;

/** For some keys, the version a value must at least have. */
export class VersionFloors {
  private readonly floors = new Map<string, Comparable>();

  raise(id: string, atLeast: Comparable): void {
    const floor = this.floors.get(id);
    this.floors.delete(id);
    if (this.floors.size >= MOST_FLOORS) this.forgetOldest();
    this.floors.set(id, floor !== undefined && floor > atLeast ? floor : atLeast);
  }

  /** Without a version nothing is known to be new enough. */
  admits(id: string, version: Comparable | undefined): boolean {
    const floor = this.floors.get(id);
    return floor === undefined || (version !== undefined && version >= floor);
  }

  /** What is forgotten falls back to the first guard: a load that began before the invalidation is not stored. */
  private forgetOldest(): void {
    for (const id of this.floors.keys()) {
      this.floors.delete(id);
      return;
    }
  }
}
