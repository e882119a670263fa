import type { CacheRecord } from '../entry/record.js';

/**
 * One bounded table of records in this process.
 *
 * Evicts by SIEVE (Zhang et al., NSDI 2024): a hit only marks its record; a hand goes through the table from the
 * oldest record to the newest, clears the marks it meets and evicts the first record without one. A JavaScript Map
 * iterates in order of insertion and its iterators stay valid while it changes, so an iterator is the hand.
 */
export class LocalTier {
  private readonly records = new Map<string, CacheRecord>();
  /** Absent until something must go: an iterator at rest would keep the tables alive that the Map has outgrown. */
  private hand: MapIterator<[string, CacheRecord]> | undefined;
  private held = 0;

  constructor(
    private readonly maxEntries: number,
    private readonly maxBytes: number,
    private readonly onEvict: (id: string) => void,
  ) {}

  get size(): number {
    return this.records.size;
  }

  /** Estimated bytes of the values held. */
  get bytes(): number {
    return this.held;
  }

  get(id: string): CacheRecord | undefined {
    return this.records.get(id);
  }

  /** False if the record alone is larger than the table. */
  set(id: string, record: CacheRecord): boolean {
    this.delete(id);
    if (record.bytes > this.maxBytes) return false;
    while (this.records.size >= this.maxEntries || this.held + record.bytes > this.maxBytes) {
      this.evict();
    }
    this.records.set(id, record);
    this.held += record.bytes;
    return true;
  }

  /** Another record of the same size in the place of one that is there. */
  replace(id: string, record: CacheRecord): void {
    this.records.set(id, record);
  }

  delete(id: string): boolean {
    const record = this.records.get(id);
    if (record === undefined) return false;
    this.held -= record.bytes;
    return this.records.delete(id);
  }

  clear(): void {
    this.records.clear();
    this.hand = undefined;
    this.held = 0;
  }

  private evict(): void {
    for (;;) {
      this.hand ??= this.records.entries();
      const next = this.hand.next();
      if (next.done) {
        this.hand = undefined;
        continue;
      }
      const [id, record] = next.value;
      if (record.visited) {
        record.visited = false;
      } else {
        this.delete(id);
        this.onEvict(id);
        return;
      }
    }
  }
}
