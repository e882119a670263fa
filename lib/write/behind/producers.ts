import type { Operation } from './journal.js';

/** How many operations of a producer may be under way at a time. */
export const WINDOW = 52;

/** Recognises operations that are sent again, by producer and number. */
export class Producers {
  private readonly windows = new Map<string, { newest: number; numbers: Set<number> }>();

  /** One older than the window cannot be told from a duplicate. */
  knows({ producer, number }: Operation): 'duplicate' | 'ambiguous' | undefined {
    const window = this.windows.get(producer);
    if (window === undefined) return undefined;
    if (window.numbers.has(number)) return 'duplicate';
    return number <= window.newest - WINDOW ? 'ambiguous' : undefined;
  }

  remember({ producer, number }: Operation): void {
    let window = this.windows.get(producer);
    if (window === undefined) {
      this.windows.set(producer, (window = { newest: number, numbers: new Set() }));
    }
    window.numbers.add(number);
    if (number <= window.newest) return;
    window.newest = number;
    // In the order of their coming, which is nearly that of the numbers: what is behind a younger one goes with that.
    for (const old of window.numbers) {
      if (old > number - WINDOW) break;
      window.numbers.delete(old);
    }
  }
}
