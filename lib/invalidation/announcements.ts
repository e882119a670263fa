import type { EntryName } from '../store/entry-name.js';
import type { GuardedLog } from '../store/guarded-log.js';

/** More of them in one message would keep its reader from everything else. */
const MOST_ENTRIES = 100;

interface Announced {
  readonly entries: EntryName[];
  readonly done: Promise<void>;
}

/** Tells other processes of changes; those of one turn of the event loop travel together. */
export class Announcements {
  private turn: Announced | undefined;

  constructor(private readonly log: GuardedLog) {}

  /** Resolves when all who ask for the end of the log learn of it. */
  announce(entry: EntryName): Promise<void> {
    if (this.turn === undefined || this.turn.entries.length >= MOST_ENTRIES) {
      const entries: EntryName[] = [];
      const turn: Announced = {
        entries,
        done: new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
          if (this.turn === turn) this.turn = undefined;
          return this.log.append(entries);
        }),
      };
      this.turn = turn;
    }
    this.turn.entries.push(entry);
    return this.turn.done;
  }
}
