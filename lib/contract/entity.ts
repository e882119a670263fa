import type { Duration } from '../time/duration.js';
import type { Origin } from './origin.js';
import type { FreshRead, ReadStrategy, WriteStrategy } from './strategies.js';

/** One part of a key, compared by its text: `42` and `'42'` are the same part; `null` equals only `null`. */
export type KeyPart = string | number | bigint | boolean | null;
/** Key of an entry within its entity: a scalar, or a tuple of parts. */
export type EntityKey = string | number | bigint | readonly [KeyPart, ...KeyPart[]];

type Builtin =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | Date
  | Uint8Array
  | ReadonlyMap<any, any>
  | ReadonlySet<any>
  | readonly any[];
type MethodsOf<Value> = Value extends Builtin
  ? never
  : { [K in keyof Value]-?: Value[K] extends (...args: any[]) => any ? K : never }[keyof Value];

/** What tells an older value from a newer one. */
export type Version = number | bigint | Date;

/** How stale an answer may be in ordinary times, and while loading fails. */
export interface Bounds<Time = Duration> {
  readonly normal: Time;
  readonly incident: Time;
}

export interface Terms<Value> {
  /**
   * No call is answered with data older than this, measured at the call. The application does not start with a
   * policy that cannot keep it. `{ normal, incident }` allows more while loading fails.
   *
   * @unit milliseconds, or '90s' style
   * @range 0 … 365 days
   */
  maxStaleness: Duration | Bounds;
  /** How calls are answered: `readThrough({ ttl })`, `staleWhileRevalidate({ ttl, staleFor })` or `bypass()`. */
  read: ReadStrategy;
  /** How the source changes: `invalidate()`, `writeThrough()`, `writeBehind({ … })`, or `external()`, by others. */
  write: WriteStrategy<Value>;
  /**
   * What is least harmful in trouble. `'stale'` needs a strategy that has something stale to serve. `'error'` fails closed: it takes no such strategy, it refuses to start in a worker process
   * whose siblings would not hear of its invalidations, and forgets the whole entity when a write failed before it
   * said which keys it changed.
   *
   * @default 'origin'
   */
  prefer?: 'origin' | 'stale' | 'error';
  /** What the loads of this entity have to share with others: `origin('database', { maxConcurrent: 10 })`. */
  origin?: Origin;
  /**
   * Where its entries are kept: `'process'`, or the name of one of the stores of the module.
   *
   * @default the `store` of the module; without one `'process'`
   */
  store?: string;
  /**
   * What a call gets that has invalidated an entry, while the store of it does not acknowledge that. `'pending'`: the method's
   * result, or `'pending'` from `invalidate`. `'fail'`: `CACHE_INVALIDATION_UNACKNOWLEDGED`, though what was written is
   * written. All else is the same: the store is told again, and this process does not serve the old value.
   *
   * @default 'pending'
   */
  onUnacknowledged?: 'pending' | 'fail';
  /**
   * Number of the shape of its values. Change it with the shape: what is in the store with another number is loaded again.
   *
   * @default 0
   * @range 0 … 65,535
   */
  schema?: number;
  /**
   * The version of a value, by which an older one never replaces a newer one. A second guard, for loaders that may
   * read from a lagging replica.
   */
  version?: (value: NonNullable<Value>) => Version;
  /** Tags of a value, by which `invalidateTag` and `@Invalidates(entity, { tags })` find it. */
  tags?: (value: NonNullable<Value>) => readonly string[];
  /** Whether an error of the loader means "there is nothing under this key". It is then remembered for negativeTtl. */
  absentWhen?: (error: unknown) => boolean;
  /** Makes an instance again from the plain data of one. Each caller gets an instance of its own. */
  revive?: (plain: any) => NonNullable<Value>;
}

/** A value with methods would lose them in any store: its entity has to say how to make it again. */
type Reviving<Value> = [MethodsOf<Value>] extends [never]
  ? unknown
  : { revive: (plain: any) => NonNullable<Value> };

/** Who prefers an error is never served anything stale. */
type Preferring = { prefer: 'error'; read: FreshRead } | { prefer?: 'origin' | 'stale' };

/** What an entity promises, and how it keeps it. */
export type Contract<Value> = Terms<Value> & Preferring & Reviving<Value>;

/** Everything but `undefined`, which is never cached: use `null` for "known to be absent". */
export type Defined = object | string | number | bigint | boolean | null;

declare const TYPES: unique symbol;
/** A kind of cached data with its contract. Made by {@link entity}. */
export interface Entity<Value, Key extends EntityKey = string> {
  readonly name: string;
  readonly contract: Readonly<Contract<any>>;
  readonly [TYPES]?: { value: (value: Value) => Value; key: (key: Key) => Key };
}
export type AnyEntity = Entity<any, any>;
export type ValueOf<E> = E extends Entity<infer Value, any> ? Value : never;
export type KeyOf<E> = E extends Entity<any, infer Key> ? Key : never;

const made = new WeakSet<object>();

/**
 * Declares a kind of cached data. Write one constant per kind and use it in decorators and calls.
 *
 * @param name unique in the application: letters, digits, `-`, `_` and `.`, at most 64
 *
 * Nothing is refused here: all faults of all entities come together when the application starts.
 */
export function entity<Value extends Defined, Key extends EntityKey = string>(
  name: string,
  contract: Contract<Value>,
): Entity<Value, Key> {
  // A copy, so that neither we nor the caller can change the other's; what is no object is reported at boot.
  const terms = typeof contract === 'object' ? Object.freeze({ ...contract }) : contract;
  const declared = Object.freeze({ name, contract: terms });
  made.add(declared);
  return declared as Entity<Value, Key>;
}

/** Whether `candidate` was made by {@link entity}: not `undefined`, as in a circle of imports, nor something alike. */
export function isEntity(candidate: unknown): candidate is AnyEntity {
  return typeof candidate === 'object' && candidate !== null && made.has(candidate);
}
