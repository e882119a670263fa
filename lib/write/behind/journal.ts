import type { EntityKey } from '../../contract/entity.js';
import type { Pending } from './pending.js';

/** One mutation, on its way into the journal. */
export interface Operation {
  /** As `idOf` makes it of the key. */
  readonly id: string;
  readonly key: EntityKey;
  readonly change: Pending;
  /** Who sends it, and the how-manieth it is: the same when it is sent again because its answer was lost. */
  readonly producer: string;
  readonly number: number;
  /** The life of the journal to which it was sent first. */
  readonly incarnation: string;
}

/** One key of a segment, with all that was accepted for it while the segment was open. */
export interface Entry {
  readonly id: string;
  readonly key: EntityKey;
  readonly change: Pending;
  /** Number of the last mutation in it. */
  readonly seq: number;
  /** How many are in it. */
  readonly mutations: number;
}

/** A frozen stretch of a shard's sequence: every attempt to write it has the same content. */
export interface Segment {
  readonly shard: number;
  readonly incarnation: string;
  /** Where the segment before it ended; 0 for the first of an incarnation. */
  readonly previousSeq: number;
  readonly lastSeq: number;
  /** In the order of `seq`, one per key. */
  readonly entries: readonly Entry[];
  /** The number of its one mutation, whose caller waits: nobody sees it before it is written, and it may be cancelled. */
  readonly awaited: number | undefined;
}

export type Put =
  | { readonly outcome: 'accepted'; readonly seq: number }
  /** It was accepted before, and is not accepted again. */
  | { readonly outcome: 'duplicate' }
  /** It cannot be told whether it was accepted before: it was sent to another life of the journal, or long ago. */
  | { readonly outcome: 'ambiguous' }
  | { readonly outcome: 'full' };

/**
 * Keeps what one shard has accepted until it is written. Everything that is called here may fail after it took effect,
 * and is then called again: `put` accepts once, the others find that there is nothing left to do.
 */
export interface Journal {
  readonly shard: number;
  readonly incarnation: string;
  /** Accepts a mutation once; `accepted` is called in the step in which it takes its place, before anybody else runs. */
  put(operation: Operation, accepted: () => void): Promise<Put>;
  /** A segment of its own for one mutation whose caller waits. What was accepted before is sealed before it. */
  putAwaited(operation: Operation): Promise<Segment>;
  /** Freezes what is open, if anything is; says where the newest segment ends. */
  seal(): Promise<number>;
  /** The oldest segment that is not acknowledged: the same until it is. */
  head(): Promise<Segment | undefined>;
  /**
   * Some of what was accepted after the segment, of other keys: the oldest of each, since only that could be written
   * next. `turn`: others each time, as far as there are others.
   */
  behind(segment: Segment, most: number, turn: number): Promise<readonly Entry[]>;
  /** The segment is written, and forgotten. */
  acknowledge(segment: Segment): Promise<void>;
  /** The mutation whose caller waited is given up. If it was tried, an empty segment takes its place, for the ledger to tell whether it was written. */
  cancel(segment: Segment): Promise<void>;
  /** The ledger has lost its memory of this life: what is not acknowledged begins a new sequence in a new one. */
  beginAnew(incarnation: string): Promise<void>;
  /** What a key has coming. */
  pendingOf(id: string): Pending | undefined;
  /** How many keys wait, counted once per segment. */
  readonly size: number;
  /** How many frozen segments wait. */
  readonly sealed: number;
}
