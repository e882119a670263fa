import type { EntryName } from '../store/entry-name.js';
import type { GuardedLog } from '../store/guarded-log.js';
import type { Background } from '../time/background.js';

/** More of them in one message would keep its reader from everything else. */
const MOST_ENTRIES = 100;
const RETRY_MS = 500;
/** More than these are not remembered: who has copies of them learns of it at their ttl. */
const MOST_UNTOLD = 10_000;

/** The store has done it; those who have copies have not heard of it yet, and are told as soon as they can be. */
export class UntoldError extends Error {}

interface Announced {
  readonly entries: EntryName[];
  readonly done: Promise<void>;
}

/** Tells other processes of changes; those of one turn of the event loop travel together. */
export class Announcements {
  private turn: Announced | undefined;
  private readonly untold = new Map<string, EntryName>();
  private timer: (() => void) | undefined;

  constructor(
    private readonly log: GuardedLog,
    private readonly writer: string,
    private readonly background: Background,
  ) {}

  /**
   * Resolves when all who ask for the end of the log learn of it.
   *
   * @throws {UntoldError}
   */
  announce(entry: EntryName): Promise<void> {
    if (this.turn === undefined || this.turn.entries.length >= MOST_ENTRIES) {
      const entries: EntryName[] = [];
      const turn: Announced = {
        entries,
        done: new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
          if (this.turn === turn) this.turn = undefined;
          return this.append(entries);
        }),
      };
      this.turn = turn;
    }
    this.turn.entries.push(entry);
    return this.turn.done;
  }

  /** The last attempt. */
  async end(): Promise<void> {
    this.timer?.();
    await this.appendUntold().catch(() => undefined);
  }

  private async append(entries: readonly EntryName[]): Promise<void> {
    try {
      await this.log.append(entries, this.writer);
    } catch {
      for (const entry of entries) this.remember(entry);
      this.timer ??= this.background.after(RETRY_MS, () => this.tellAgain());
      throw new UntoldError('others could not be told');
    }
  }

  private remember(entry: EntryName): void {
    if (this.untold.size < MOST_UNTOLD) this.untold.set(`${entry.entity}/${entry.id}`, entry);
  }

  private tellAgain(): void {
    this.timer = undefined;
    this.background.track(this.appendUntold().catch(() => undefined));
  }

  private async appendUntold(): Promise<void> {
    while (this.untold.size > 0) {
      const some = [...this.untold].slice(0, MOST_ENTRIES);
      for (const [name] of some) this.untold.delete(name);
      await this.append(some.map(([, entry]) => entry));
    }
  }
}
