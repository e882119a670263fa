import type { EntryName } from '../store/entry-name.js';
import type { GuardedLog } from '../store/guarded-log.js';
import type { LogPosition } from '../store/invalidation-log.js';
import { UnderWay } from '../store/under-way.js';
import type { Background } from '../time/background.js';

/** More of them in one message would keep its reader from everything else. */
const MOST_CHANGES = 100;
const RETRY_MS = 500;
/** More than these are not remembered: who has copies of them learns of it at their ttl. */
const MOST_UNTOLD = 10_000;

/** The store has done it; those who have copies have not heard of it yet, and are told as soon as they can be. */
export class UntoldError extends Error {}

/** An entry, or the name of a tag. */
export type Change = EntryName | string;

interface Announced {
  readonly changes: Change[];
  readonly done: Promise<void>;
}

/** What has become of tags that were announced. */
export interface TagListener {
  /** The log ended there with them, or with other changes where there are none. */
  told(tags: readonly string[], end: LogPosition): void;
  /** They are announced again, until they are told. */
  notTold(tag: string): void;
  /** There are too many to be remembered: it is not announced again, but all that could carry it. */
  lost(tag: string): void;
  /** The tags that all entries carry which this process knows of. */
  readonly families: readonly string[];
}

/** Tells other processes of changes; those of one turn of the event loop travel together. */
export class Announcements {
  private turn: Announced | undefined;
  private readonly untold = new Map<string, Change>();
  private timer: (() => void) | undefined;
  private ended = false;
  /** What is being told, for the first time or again. */
  private readonly telling = new UnderWay();

  constructor(
    private readonly log: GuardedLog,
    private readonly writer: string,
    private readonly background: Background,
    private readonly tags: TagListener,
    /** How long what carries a tag may be kept. */
    private readonly keepMs: () => number,
  ) {}

  /**
   * Resolves when all who ask for the end of the log learn of it.
   *
   * @throws {UntoldError}
   */
  announce(change: Change): Promise<void> {
    if (this.turn === undefined || this.turn.changes.length >= MOST_CHANGES) {
      const changes: Change[] = [];
      const turn: Announced = {
        changes,
        done: new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
          if (this.turn === turn) this.turn = undefined;
          return this.append(changes);
        }),
      };
      this.turn = turn;
      void this.telling.add(turn.done);
    }
    this.turn.changes.push(change);
    return this.turn.done;
  }

  /** Where it is known already that the log cannot be told now. */
  announceLater(change: Change): void {
    this.remember(change);
    if (!this.ended) this.timer ??= this.background.after(RETRY_MS, () => this.tellAgain());
  }

  /** The last attempt. What is left that nobody knows to be changed. */
  async end(): Promise<readonly Change[]> {
    this.ended = true;
    this.timer?.();
    await this.telling.settled();
    await this.appendUntold().catch(() => undefined);
    return [...this.untold.values()];
  }

  private async append(changes: readonly Change[]): Promise<void> {
    const tags = [...new Set(changes.filter(isTag))];
    const entries = changes.filter((change) => !isTag(change)) as EntryName[];
    try {
      const end = await this.log.append({ entries, tags }, this.writer, 2 * this.keepMs());
      this.tags.told(tags, end);
      // Invalidated once more meanwhile, which was not told.
      for (const tag of tags) if (this.untold.has(tag)) this.tags.notTold(tag);
    } catch {
      for (const change of changes) this.announceLater(change);
      throw new UntoldError('others could not be told');
    }
  }

  private remember(change: Change): void {
    const name = isTag(change) ? change : `${change.entity}/${change.id}`;
    if (this.untold.size < MOST_UNTOLD || this.untold.has(name)) {
      this.untold.set(name, change);
      if (isTag(change)) this.tags.notTold(change);
    } else if (isTag(change)) this.rememberAll(change);
  }

  /** Of too many tags all entries are told that this process knows of: they are fewer. */
  private rememberAll(tag: string): void {
    this.tags.lost(tag);
    for (const family of this.tags.families) {
      this.untold.set(family, family);
      this.tags.notTold(family);
    }
  }

  private tellAgain(): void {
    this.timer = undefined;
    const telling = this.appendUntold().catch(() => undefined);
    this.background.track(this.telling.add(telling));
  }

  private async appendUntold(): Promise<void> {
    while (this.untold.size > 0) {
      const some = [...this.untold].slice(0, MOST_CHANGES);
      for (const [name] of some) this.untold.delete(name);
      await this.append(some.map(([, change]) => change));
    }
  }
}

export function isTag(change: Change): change is string {
  return typeof change === 'string';
}
