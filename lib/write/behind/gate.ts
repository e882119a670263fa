import type { Entry } from './journal.js';

interface Flush {
  readonly ids: ReadonlySet<string>;
  /** Once it has begun, the source may have any of its changes, or none. */
  begun: boolean;
  readonly over: Promise<void>;
  readonly end: () => void;
}

/**
 * Keeps loads and flushes of the same key apart. A load that ran beside a flush could bring back a value with or
 * without what the flush writes, and nobody could tell which: pending changes would be counted twice, or not at all.
 *
 * One flush at a time per shard; it may take several attempts, and what they did is unknown until one succeeds.
 */
export class Gate {
  private readonly loads = new Map<string, number>();
  private flush: Flush | undefined;
  private nobodyLoads: (() => void) | undefined;

  /**
   * Lets a load in, at once if it returns nothing.
   *
   * A load inside another load does not wait for a flush that has not begun: that flush may wait for the outer one.
   */
  enter(id: string, inner: boolean): Promise<void> | undefined {
    const { flush } = this;
    if (flush !== undefined && flush.ids.has(id) && (flush.begun || !inner)) {
      return flush.over.then(() => this.enter(id, inner));
    }
    this.add(id);
    return undefined;
  }

  /** Counts a load that does not ask the source. It lets the flush under way go on, and only the next one waits for it. */
  add(id: string): void {
    this.loads.set(id, (this.loads.get(id) ?? 0) + 1);
  }

  /** Whether a flush waits for the loads of the key to end, and new ones wait for the flush. */
  closes(id: string): boolean {
    return this.flush !== undefined && !this.flush.begun && this.flush.ids.has(id);
  }

  leave(id: string): void {
    const left = (this.loads.get(id) ?? 1) - 1;
    if (left > 0) this.loads.set(id, left);
    else this.loads.delete(id);
    if (this.nobodyLoads !== undefined && !this.isLoading()) {
      const go = this.nobodyLoads;
      this.nobodyLoads = undefined;
      go();
    }
  }

  /** Resolves when nobody loads any of the keys; nobody will until {@link open}. */
  async close(entries: readonly Entry[]): Promise<void> {
    if (this.flush?.begun) return;
    if (this.flush === undefined) {
      let end!: () => void;
      const over = new Promise<void>((resolve) => (end = resolve));
      this.flush = { ids: new Set(entries.map(({ id }) => id)), begun: false, over, end };
    }
    while (this.isLoading()) await new Promise<void>((go) => (this.nobodyLoads = go));
    this.flush.begun = true;
  }

  /** The flush is over: what it wrote is in the source, and not pending any more. */
  open(): void {
    const { flush } = this;
    this.flush = undefined;
    flush?.end();
  }

  private isLoading(): boolean {
    const { flush, loads } = this;
    if (flush === undefined || loads.size === 0) return false;
    const [few, many] = loads.size < flush.ids.size ? [loads, flush.ids] : [flush.ids, loads];
    for (const id of few.keys()) if (many.has(id)) return true;
    return false;
  }
}
