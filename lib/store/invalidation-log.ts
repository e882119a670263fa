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

/** Entries that were invalidated or written. */
export interface LogMessage extends LogPosition {
  /** As it was given by who appended it. */
  readonly writer: string;
  readonly entries: readonly EntryName[];
}

export interface LogAnswer {
  /** Where the log ended when it was asked. */
  readonly end: LogPosition;
  /** All messages between what was heard and the end, in their order; nothing if the log does not have them all. */
  readonly missed: readonly LogMessage[] | undefined;
}

export interface LogListener {
  /** Any message may be lost, late, in the wrong order, or come twice. */
  onMessage(message: LogMessage): void;
  /** Messages arrive from now on; what came before may be lost. */
  onListening(): void;
}

/** Tells all processes that share a store which of its entries have changed. */
export abstract class InvalidationLog {
  /** `writer`: names who appends it, at most 64 characters without a space. When it resolves, nobody who asks for the end gets one that is before these entries, or he gets another epoch. */
  abstract append(entries: readonly EntryName[], writer: string): Promise<void>;

  /**
   * Where the log ends, and what was missed. A log that could go on elsewhere without this one's knowledge gives no
   * answer.
   */
  abstract poll(heard: LogPosition | undefined): Promise<LogAnswer>;

  /** Called once. */
  abstract listen(listener: LogListener): void;
}
