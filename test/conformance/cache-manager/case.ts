import type { Cache } from 'cache-manager';

/** What both have: a type of its own would not compile where ours lacks something. */
export type AnyCache = Cache;

/** A cache nobody has used, and the time it lives in. */
export interface Subject {
  readonly cache: AnyCache;
  /** The same in another process, on the same store where there is one. */
  readonly other: AnyCache;
  /** Moves time. */
  readonly advance: (ms: number) => Promise<void>;
  /** From now on the store takes nothing, and is read as before; where it is apart from the process. */
  readonly loseStore: () => void;
  /** What chance says from now on, where it has a say: 0 … 1. */
  readonly chance: (value: number) => void;
}

export interface Options {
  readonly ttl?: number;
  readonly refreshThreshold?: number;
  readonly cacheId?: string;
}

/** What differs on purpose: a line of docs/from-nestjs-cache-manager.md. */
export interface Difference {
  /** What is observed here instead. */
  readonly gives: unknown;
  /** Where entries are kept in a store that processes share, if that is something else again. */
  readonly inStore?: unknown;
  /** The line, in words. The first word is the name of a call or of a thing. */
  readonly what: string;
  readonly theirs: string;
  readonly ours: string;
  readonly why: string;
}

/** One behaviour: what is done, and what is observed of it. */
export interface Case {
  readonly name: string;
  readonly options?: Options;
  run(subject: Subject): unknown;
  readonly gives: unknown;
  readonly differs?: Difference;
}

/** What became of a call: its value, or the code of its error, or else the message. */
export function outcome(call: Promise<unknown>): Promise<unknown> {
  return call.catch(
    (error: Error & { code?: string }) => `rejects: ${error.code ?? error.message}`,
  );
}

/** Resolves when what runs in the background has had its turn. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise(setImmediate);
}

/** Counts how often it ran, and returns how many times that was. */
export function counting() {
  const count = Object.assign(() => Promise.resolve(++count.runs), { runs: 0 });
  return count;
}

export const SECOND = 1_000;
export const MINUTE = 60_000;
/** The ttl of the contract. */
export const CONTRACT_TTL = 10 * MINUTE;
