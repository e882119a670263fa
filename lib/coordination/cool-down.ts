const FIRST_MS = 250;
const LONGEST_MS = 10_000;
const MOST_KEYS = 10_000;

/** After a failed load a key is left alone for a pause that doubles with each failure in a row. */
export class CoolDown {
  private readonly pauses = new Map<string, { failures: number; until: number }>();

  /** Whether the key is to be left alone, as long as there is something else to answer with. */
  rests(id: string, now: number): boolean {
    const pause = this.pauses.get(id);
    return pause !== undefined && now < pause.until;
  }

  /** How much longer. */
  pauseOf(id: string, now: number): number {
    return Math.max(0, (this.pauses.get(id)?.until ?? now) - now);
  }

  failed(id: string, now: number): void {
    const failures = (this.pauses.get(id)?.failures ?? 0) + 1;
    this.pauses.delete(id);
    if (this.pauses.size >= MOST_KEYS) this.forgetOldest();
    const pause = Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS);
    this.pauses.set(id, { failures, until: now + pause });
  }

  succeeded(id: string): void {
    this.pauses.delete(id);
  }

  /** The map is in the order of failures. What is forgotten is asked a little too early, no more. */
  private forgetOldest(): void {
    for (const id of this.pauses.keys()) {
      this.pauses.delete(id);
      return;
    }
  }
}
