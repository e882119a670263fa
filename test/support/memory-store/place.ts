import type { Comparable } from '../../../lib/entry/version.js';
import type { StoredEntry } from '../../../lib/store/cache-store.js';

/** Something that is there until a moment, and not at that moment any more. */
interface Passing {
  readonly until: number;
}

/** Who has the right to store the entry, or that nobody has it because loading has failed. */
export interface Hold extends Passing {
  /** Nothing in a cool-down. */
  readonly token: string | undefined;
  /** Called once, when a command ends the hold. */
  readonly waiters: Set<() => void>;
}

/** What is known of one entry at one moment; nothing in it outlasts its time. */
export class Place {
  private kept: (Passing & { readonly entry: StoredEntry }) | undefined;
  private floor: (Passing & { readonly atLeast: Comparable }) | undefined;
  private held: Hold | undefined;

  /** Forgets what is over, and says whether there is anything left. */
  settle(now: number): boolean {
    if (this.kept !== undefined && now >= this.kept.until) this.kept = undefined;
    if (this.floor !== undefined && now >= this.floor.until) this.floor = undefined;
    if (this.held !== undefined && now >= this.held.until) this.hold(undefined);
    return this.kept !== undefined || this.floor !== undefined || this.held !== undefined;
  }

  get stored(): StoredEntry | undefined {
    return this.kept?.entry;
  }

  get holder(): Hold | undefined {
    return this.held;
  }

  /** Whoever had it until now has it no more, and nobody waits for that any longer. */
  hold(next: { readonly token?: string; readonly until: number } | undefined): void {
    const waiters = this.held?.waiters ?? [];
    this.held = next && { token: next.token, until: next.until, waiters: new Set() };
    for (const wake of waiters) wake();
  }

  /** Where either has no version, there is nothing to compare: what is gone at the source could not replace it else. */
  isOlder(version: Comparable | undefined): boolean {
    if (version === undefined) return false;
    const [stored, floor] = [this.kept?.entry.version, this.floor?.atLeast];
    return (stored !== undefined && version < stored) || (floor !== undefined && version < floor);
  }

  store(entry: StoredEntry, until: number): void {
    this.kept = { entry, until };
  }

  /** What is there may have been invalidated, and a lease been voided. */
  failOver(): void {
    if (this.kept !== undefined)
      this.kept = { ...this.kept, entry: { ...this.kept.entry, isDoubtful: true } };
    this.hold(undefined);
  }

  remove(): void {
    this.kept = undefined;
  }

  removeBelow(atLeast: Comparable, until: number): void {
    const { floor } = this;
    const version = this.kept?.entry.version;
    if (version === undefined || version < atLeast) this.remove();
    this.floor = {
      atLeast: floor !== undefined && floor.atLeast > atLeast ? floor.atLeast : atLeast,
      until: Math.max(until, floor?.until ?? until),
    };
  }
}
