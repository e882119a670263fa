const MOST_TAGS = 10_000;

/**
 * Which tags were invalidated, and when, on a clock of its own that counts invalidations. A record is current if none
 * of its tags was invalidated since its load began. Invalidating a tag costs the same however many entries carry it.
 */
export class TagTable {
  private readonly invalidated = new Map<string, number>();
  /** What is older than this is not current, whatever its tags: stands in for tags that are no longer remembered. */
  private floor = 0;
  now = 0;

  invalidate(tag: string): void {
    this.now++;
    this.invalidated.delete(tag);
    if (this.invalidated.size >= MOST_TAGS) {
      this.invalidated.clear();
      this.floor = this.now;
    }
    this.invalidated.set(tag, this.now);
  }

  isCurrent(tags: readonly string[], since: number): boolean {
    if (tags.length === 0) return true;
    if (since < this.floor) return false;
    return tags.every((tag) => (this.invalidated.get(tag) ?? 0) <= since);
  }
}
