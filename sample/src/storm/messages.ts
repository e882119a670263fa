/** What the process with the database tells an instance, and asks of it. */
export type ToInstance =
  | { readonly kind: 'read'; readonly readers: number }
  | { readonly kind: 'storm'; readonly readers: number; readonly writes: number }
  /** What it has seen since it was asked before; `last`: its readers are to end first. */
  | { readonly kind: 'tell'; readonly last: boolean }
  | { readonly kind: 'answer'; readonly query: number; readonly rows: readonly object[] }
  | { readonly kind: 'refusal'; readonly query: number; readonly message: string };

/** What an instance tells, and asks of the database. */
export type FromInstance =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'query';
      readonly query: number;
      readonly sql: string;
      readonly values: readonly (string | number)[];
    }
  | { readonly kind: 'served'; readonly failed: number }
  | ({ readonly kind: 'seen' } & Seen);

/** A row, its version, and microseconds: when a read began, or when a write had settled. */
type At = readonly [row: number, version: number, at: number];

/** What an instance has seen of rows that others read and write too. */
export interface Seen {
  readonly reads: readonly At[];
  readonly writes: readonly At[];
  /** How many of the reads were answered by a copy in the process. */
  readonly byCopy: number;
  /** How many commands it has sent to Redis. */
  readonly commands: number;
  readonly failed: number;
  /** How many writes are still to come. */
  readonly writesLeft: number;
  /** How old an answer may be after a change elsewhere, as the contract in force says. */
  readonly boundMs: number;
}

/** How an instance is started: one argument, as JSON. */
export interface InstanceOptions {
  readonly namespace: string;
  /** Without it each instance has a cache of its own. */
  readonly redis?: string;
  readonly ttlMs: number;
}

/** The same of one whose rows are changed. */
export interface WritingOptions {
  readonly namespace: string;
  readonly redis: string;
  /** Whether each process has copies of what is in Redis. */
  readonly copies: boolean;
}
