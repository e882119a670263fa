/** A look at an entry of a store, which takes its time. */
export interface Look {
  /** Whether no change of the entry was being told from here at any time since it began. */
  isCurrent: boolean;
  /** Whether one has been told since it began: who made it may have gone on. */
  isOvertaken: boolean;
}

/** Tells looks at entries from the changes that are told to the store meanwhile: what is seen may be older than those. */
export class Looks {
  /** Under way, by entry. */
  private readonly underWay = new Map<string, Set<Look>>();
  /** How many changes of an entry are being told. */
  private readonly changing = new Map<string, number>();

  begin(id: string): Look {
    const look = { isCurrent: !this.changing.has(id), isOvertaken: false };
    const looks = this.underWay.get(id);
    if (looks === undefined) this.underWay.set(id, new Set([look]));
    else looks.add(look);
    return look;
  }

  /** Whether what came of it is newer than everything that was told meanwhile. */
  end(id: string, look: Look | undefined): boolean {
    if (look === undefined) return false;
    const looks = this.underWay.get(id);
    looks?.delete(look);
    if (looks?.size === 0) this.underWay.delete(id);
    return look.isCurrent;
  }

  /** Nothing that is seen now is known to be current. */
  overtakeAll(): void {
    for (const id of this.underWay.keys()) this.overtake(id);
  }

  /** Tells the store of something by which what it had until then is old; `own` is the look of who tells it. */
  async change<T>(id: string, tell: () => Promise<T>, own?: Look): Promise<T> {
    this.overtake(id, own);
    this.changing.set(id, (this.changing.get(id) ?? 0) + 1);
    try {
      return await tell();
    } finally {
      const left = this.changing.get(id)! - 1;
      if (left > 0) this.changing.set(id, left);
      else this.changing.delete(id);
      for (const look of this.underWay.get(id) ?? []) look.isOvertaken = true;
    }
  }

  /** What is seen of the entry now is not known to be current, but for one look. */
  overtake(id: string, but?: Look): void {
    for (const look of this.underWay.get(id) ?? []) if (look !== but) look.isCurrent = false;
  }
}
