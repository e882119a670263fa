import type { EntryName, ReadAnswer, StoredEntry } from './cache-store.js';

/** So many questions are under way at a time: enough to keep a store busy, and no more that one that hangs may hold. */
const MOST_UNDER_WAY = 4;

interface Asked {
  readonly entry: EntryName;
  readonly resolve: (stored: ReadAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Entries that are asked for in one turn of the event loop travel together: not at the end of the tick, since requests
 * that came on several sockets would each send a command of their own then. While enough is under way, turns become one.
 */
export class ReadTurns {
  private turn: Asked[] | undefined;
  private underWay = 0;
  private isDue = false;
  /** When the turn that is due would have gone, had there not been enough under way. */
  private dueSince = 0;

  constructor(
    /** `since`: from when on it waits for an answer. */
    private readonly read: (
      entries: readonly EntryName[],
      since: number,
    ) => Promise<readonly ReadAnswer[]>,
    /** What becomes of an entry that was sent on. */
    private readonly sentOn: (
      answer: Promise<StoredEntry | undefined>,
      since: number,
    ) => Promise<StoredEntry | undefined>,
    private readonly now: () => number,
    /** A turn is over. */
    private readonly onEnd: () => void,
  ) {}

  /** Nobody has asked for anything that was not answered. */
  get isIdle(): boolean {
    return this.turn === undefined && this.underWay === 0;
  }

  find(entry: EntryName): Promise<StoredEntry | undefined> {
    return new Promise((resolve, reject) => {
      if (this.turn === undefined) {
        this.turn = [];
        setImmediate(() => this.begin());
      }
      this.turn.push({ entry, resolve, reject });
    });
  }

  private begin(): void {
    this.dueSince = this.now();
    this.isDue = this.underWay === MOST_UNDER_WAY;
    if (!this.isDue) this.send();
  }

  private send(): void {
    this.isDue = false;
    const asked = this.end();
    this.underWay++;
    const entries = asked.map(({ entry }) => entry);
    const since = this.dueSince;
    this.read(entries, since).then(
      (all) => {
        this.underWay--;
        asked.forEach(({ resolve }, index) => {
          const answer = all[index];
          resolve(answer instanceof Promise ? this.sentOn(answer, since) : answer);
        });
        if (this.isDue) this.send();
      },
      (error: unknown) => {
        this.underWay--;
        // Who has waited for these to be answered has waited long enough.
        if (this.isDue) asked.push(...this.end());
        this.isDue = false;
        for (const { reject } of asked) reject(error);
      },
    );
  }

  private end(): Asked[] {
    const asked = this.turn!;
    this.turn = undefined;
    this.onEnd();
    return asked;
  }
}
