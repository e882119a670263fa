/** More than this are remembered as "all": open writes then invalidate instead of storing. */
const MOST_TOUCHED = 10_000;

/** A write under way. `id` is unknown until the write says what it made. */
export interface WriteTicket {
  readonly number: number;
  readonly id: string | undefined;
}

/**
 * Tells a write whether it was alone with its entry from its begin to its end: only then is the value it brings back
 * known to be the last one. Two writes that overlap can commit in one order and return in the other.
 */
export class WriteTickets {
  private readonly open = new Set<WriteTicket>();
  /** How many of them there are for an entry. */
  private readonly writing = new Map<string, number>();
  private readonly touched = new Map<string, number>();
  private familyTouched = 0;
  private last = 0;

  begin(id?: string): WriteTicket {
    const ticket = { number: ++this.last, id };
    this.open.add(ticket);
    if (id !== undefined) this.writing.set(id, (this.writing.get(id) ?? 0) + 1);
    return ticket;
  }

  /** Whether a write of the entry is under way here. */
  writes(id: string): boolean {
    return this.writing.has(id);
  }

  /** Whether nobody else wrote or invalidated the entry meanwhile, nor is still writing it. */
  end(ticket: WriteTicket, id: string): boolean {
    this.close(ticket);
    const alone =
      (this.touched.get(id) ?? 0) < ticket.number &&
      this.familyTouched < ticket.number &&
      !this.writing.has(id);
    this.touch(id);
    return alone;
  }

  /** The write ended without saying what it made. */
  abandon(ticket: WriteTicket): void {
    this.close(ticket);
    if (this.open.size === 0) this.touched.clear();
  }

  /** Somebody changed the entry, or all of them. Remembered as long as a write is open that has to know. */
  touch(id?: string): void {
    if (this.open.size === 0) this.touched.clear();
    else if (id === undefined || this.touched.size >= MOST_TOUCHED) this.touchAll();
    else this.touched.set(id, ++this.last);
  }

  private touchAll(): void {
    this.familyTouched = ++this.last;
    this.touched.clear();
  }

  private close(ticket: WriteTicket): void {
    this.open.delete(ticket);
    if (ticket.id === undefined) return;
    const left = (this.writing.get(ticket.id) ?? 1) - 1;
    if (left > 0) this.writing.set(ticket.id, left);
    else this.writing.delete(ticket.id);
  }
}
