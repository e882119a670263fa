import type { Duration } from '../time/duration.js';
import type { ReadStrategy, WriteStrategy } from './strategies.js';

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
  : { [K in keyof Value]: Value[K] extends (...args: any[]) => any ? K : never }[keyof Value];

export interface Terms<Value> {
  /**
   * No call is answered with data older than this, measured at the call. The application does not start with a
   * policy that cannot keep it.
   *
   * @unit milliseconds, or '90s' style
   * @range 0 … 365 days
   */
  maxStaleness: Duration;
  /** How calls are answered: `readThrough({ ttl })` or `bypass()`. */
  read: ReadStrategy;
  /** How the cache hears of changes: `invalidate()`, from methods with `@Invalidates`, or `external()`, not at all. */
  write: WriteStrategy;
  /**
   * What is least harmful when the cache cannot tell. `'error'` fails closed: it refuses to start in a worker process
   * whose siblings would not hear of its invalidations, and forgets the whole entity when a write failed before it
   * said which keys it changed.
   *
   * @default 'origin'
   */
  prefer?: 'origin' | 'error';
  /** Whether an error of the loader means "there is nothing under this key". It is then remembered for negativeTtl. */
  absentWhen?: (error: unknown) => boolean;
  /** Makes an instance again from the plain data of one. Each caller gets an instance of its own. */
  revive?: (plain: any) => NonNullable<Value>;
}

/** A value with methods would lose them in any store: its entity has to say how to make it again. */
type Reviving<Value> = [MethodsOf<Value>] extends [never]
  ? unknown
  : { revive: (plain: any) => NonNullable<Value> };

/** What an entity promises, and how it keeps it. */
export type Contract<Value> = Terms<Value> & Reviving<Value>;

/** Everything but `undefined`, which is never cached: use `null` for "known to be absent". */
export type Defined = object | string | number | bigint | boolean | null;

declare const TYPES: unique symbol;
/** A kind of cached data with its contract. Made by {@link entity}. */
export interface Entity<Value, Key extends EntityKey = string> {
  readonly name: string;
  readonly contract: Readonly<Terms<any>>;
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
  return declared;
}

/** Whether `candidate` was made by {@link entity}: not `undefined`, as in a circle of imports, nor something alike. */
export function isEntity(candidate: unknown): candidate is AnyEntity {
  return typeof candidate === 'object' && candidate !== null && made.has(candidate);
}
