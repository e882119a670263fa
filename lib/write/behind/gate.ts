import type { Entry } from './journal.js';

interface Flush {
  readonly ids: ReadonlySet<string>;
  /** Once it has begun, the source may have any of its changes, or none. */
  begun: boolean;
}

/**
 * Keeps loads and flushes of the same key apart. A load that ran beside a flush could bring back a value with or
 * without what the flush writes, and nobody could tell which: pending changes would be counted twice, or not at all.
 *
 * One flush at a time per shard; it may take several attempts, and what they did is unknown until one succeeds.
 */
export class Gate {
  private readonly loads = new Map<string, number>();
  private waiting = new Map<() => void, string>();
  private flush: Flush | undefined;
  private nobodyLoads: (() => void) | undefined;

  /**
   * Lets a load in, at once if it returns true; else it is in when `go` is called.
   *
   * A load inside another load does not wait for a flush that has not begun: that flush may wait for the outer one.
   */
  enter(id: string, inner: boolean, go: () => void): boolean {
    const { flush } = this;
    if (flush !== undefined && flush.ids.has(id) && (flush.begun || !inner)) {
      this.waiting.set(go, id);
      return false;
    }
    this.loads.set(id, (this.loads.get(id) ?? 0) + 1);
    return true;
  }

  /** It waits no more: nothing of it is kept for as long as the flush may take. */
  turnBack(go: () => void): void {
    this.waiting.delete(go);
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
      this.flush = { ids: new Set(entries.map(({ id }) => id)), begun: false };
    }
    while (this.isLoading()) await new Promise<void>((go) => (this.nobodyLoads = go));
    this.flush.begun = true;
  }

  /** The flush is over: what it wrote is in the source, and not pending any more. */
  open(): void {
    this.flush = undefined;
    const { waiting } = this;
    this.waiting = new Map();
    for (const [go, id] of waiting) if (this.enter(id, false, go)) go();
  }

  private isLoading(): boolean {
    const { flush, loads } = this;
    if (flush === undefined || loads.size === 0) return false;
    const [few, many] = loads.size < flush.ids.size ? [loads, flush.ids] : [flush.ids, loads];
    for (const id of few.keys()) if (many.has(id)) return true;
    return false;
  }
}
