import type { EntryName } from '../cache-store.js';
import { Place } from './place.js';

/** What is known of entries beside what is stored; forgets what is over as others are added, so it needs no timer. */
export class Places {
  private readonly places = new Map<string, Place>();

  constructor(private readonly now: () => number) {}

  of(entry: EntryName): Place {
    const name = nameOf(entry);
    const known = this.places.get(name);
    if (known !== undefined) return known;
    this.tidy();
    const place = new Place();
    this.places.set(name, place);
    return place;
  }

  /** Whether there may be something that was removed. */
  isInDoubt(entry: EntryName): boolean {
    return this.places.get(nameOf(entry))?.writes.areInDoubt(this.now()) ?? false;
  }

  /** Nobody has any entry. */
  void(): void {
    for (const place of this.places.values()) place.void();
  }

  /** Two for each that is added: they go faster than they come, so at most about half of all that are kept are over. */
  private tidy(): void {
    const now = this.now();
    let looks = 2;
    for (const [name, place] of this.places) {
      if (looks-- === 0) break;
      this.places.delete(name);
      // To the end of the line.
      if (place.isOfUse(now)) this.places.set(name, place);
    }
  }
}

function nameOf({ entity, id }: EntryName): string {
  return `${entity.length} ${entity}${id}`;
}
