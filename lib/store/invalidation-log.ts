import type { EntryName } from './entry-name.js';

/**
 * Where a log ends, or how far somebody has heard it. Of two epochs, one knows nothing of what is in the other: a log
 * that has lost something begins a new one.
 */
export interface LogPosition {
  readonly epoch: string;
  /** How many messages there were in this epoch. */
  readonly seq: number;
}

/** What has changed. */
export interface Changes {
  /** Entries that were invalidated or written. */
  readonly entries: readonly EntryName[];
  /** Tags that were invalidated, by the names that logs have for them; an entity has one as well. */
  readonly tags: readonly string[];
}

export interface LogMessage extends LogPosition, Changes {
  /** As it was given by who appended it. */
  readonly writer: string;
}

export interface LogAnswer {
  /** Where the log ended when it was asked. */
  readonly end: LogPosition;
  /** All messages between what was heard and the end, in their order; nothing if the log does not have them all. */
  readonly missed: readonly LogMessage[] | undefined;
}

export interface TagsAnswer {
  /** Where the log ended when it was asked. */
  readonly end: LogPosition;
  /**
   * For each tag, how many messages there were in this epoch when it was invalidated last. Where the log does not know, it
   * is as if it had been just now: who has an older number is out of date.
   */
  readonly generations: readonly number[];
}

export interface LogListener {
  /** Any message may be lost, late, in the wrong order, or come twice. */
  onMessage(message: LogMessage): void;
  /** Messages arrive from now on; what came before may be lost. */
  onListening(): void;
}

/** Tells all processes that share a store which of its entries have changed. */
export abstract class InvalidationLog {
  /**
   * Resolves to where the log ends with these changes. From then on nobody who asks for the end gets one that is before
   * them, or he gets another epoch; and nobody who asks for the generation of one of the tags gets one that is before.
   *
   * `writer`: names who appends it, at most 64 characters without a space. `keepTagsMs`: so long the log must remember the
   * tags, at least.
   */
  abstract append(changes: Changes, writer: string, keepTagsMs: number): Promise<LogPosition>;

  /**
   * Where the log ends, and what was missed. A log that could go on elsewhere without this one's knowledge gives no
   * answer.
   */
  abstract poll(heard: LogPosition | undefined): Promise<LogAnswer>;

  /** When tags were invalidated last. What the log does not know it remembers from now on, as `append` does. */
  abstract generations(tags: readonly string[], keepTagsMs: number): Promise<TagsAnswer>;

  /** Called once. */
  abstract listen(listener: LogListener): void;
}
