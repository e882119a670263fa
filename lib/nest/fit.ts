import type { Mutation } from '../write/behind/mutation.js';

/*
 * What the compiler says when the method under a decorator does not fit.
 * One conditional yields the first sentence that applies: an intersection of checks would collapse to `never` and
 * blame "conflicting types".
 */

/** A sentence the compiler shows. */
interface Unfit<Sentence extends string> {
  readonly 'does not fit': Sentence;
}
type AnyMethod = (...args: any[]) => unknown;
export type Descriptor<Method> = TypedPropertyDescriptor<Method>;
/** Classes have a prototype, their instances have none: this refuses static methods. */
export type Host = object & { prototype?: never };

type Async<Method extends AnyMethod, Then> =
  ReturnType<Method> extends Promise<unknown> ? Then : Unfit<'the method must return a Promise'>;

type KeyFrom<KeyArgs extends unknown[], Method extends AnyMethod, Then> = ((
  ...args: KeyArgs
) => unknown) extends (...args: Parameters<Method>) => unknown
  ? Then
  : Unfit<'the key function takes other arguments than the method'>;

/** Without a key function the method takes exactly one argument, and it is the key. */
type KeyIs<Key, Method extends AnyMethod, Then> =
  Parameters<Method> extends [infer Only]
    ? [Only] extends [string | number | bigint]
      ? [Only] extends [Key]
        ? Then
        : Unfit<'the argument is not of the key type of the entity: give a key function'>
      : Unfit<'a key that is not a single string, number or bigint needs a key function'>
    : Unfit<'without a key function the method takes exactly one argument, the key'>;

/** Both directions: what it loads is what others get, what others stored is what it returns. */
type Loads<Value, Method extends AnyMethod> = [
  Exclude<Awaited<ReturnType<Method>>, undefined>,
] extends [Value]
  ? [Value] extends [Awaited<ReturnType<Method>>]
    ? unknown
    : Unfit<'the entity holds values that the return type of the method excludes'>
  : Unfit<'the method resolves to something other than the value of the entity'>;

type Resolves<Result, Method extends AnyMethod> = 0 extends 1 & Result
  ? unknown
  : Awaited<ReturnType<Method>> extends Result
    ? unknown
    : Unfit<'the key function takes another result than the method resolves to'>;

export interface CachedByArgument<Value, Key> {
  <Method extends AnyMethod>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method> & Async<Method, KeyIs<Key, Method, Loads<Value, Method>>>,
  ): void;
}
export interface CachedByFunction<Value, Args extends unknown[]> {
  <Method extends AnyMethod>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method> & Async<Method, KeyFrom<Args, Method, Loads<Value, Method>>>,
  ): void;
}
export interface InvalidatesByArgument<Key> {
  <Method extends AnyMethod>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method> & Async<Method, KeyIs<Key, Method, unknown>>,
  ): void;
}
export interface InvalidatesByFunction<Args extends unknown[], Result = any> {
  <Method extends AnyMethod>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method> & Async<Method, KeyFrom<Args, Method, Resolves<Result, Method>>>,
  ): void;
}

type Stores<Value, Method extends AnyMethod> = [Awaited<ReturnType<Method>>] extends [Value]
  ? unknown
  : Unfit<'the method resolves to something other than the value of the entity'>;

/** One value per key, both directions. */
type LoadsMany<Value, Key, Method extends AnyMethod> =
  Parameters<Method> extends [infer Only]
    ? [Key[]] extends [Only]
      ? Awaited<ReturnType<Method>> extends readonly (infer Each)[]
        ? [Exclude<Each, undefined>] extends [Value]
          ? [Value] extends [Each]
            ? unknown
            : Unfit<'the entity holds values that the return type of the method excludes'>
          : Unfit<'the method resolves to something other than values of the entity'>
        : Unfit<'the method must resolve to an array, one value per key'>
      : Unfit<'the only argument of the method must be an array of keys of the entity'>
    : Unfit<'the method takes exactly one argument, an array of keys'>;

export interface CachedManyDecorator<Value, Key> {
  <Method extends AnyMethod>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method> & Async<Method, LoadsMany<Value, Key, Method>>,
  ): void;
}
type Describes<Value, Method extends AnyMethod> =
  Awaited<ReturnType<Method>> extends Mutation<Value>
    ? unknown
    : Unfit<'the method resolves to something other than set(), remove() or add() of this entity'>;

export interface DescribesByArgument<Value, Key> {
  <Method extends AnyMethod>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method> & Async<Method, KeyIs<Key, Method, Describes<Value, Method>>>,
  ): void;
}
export interface DescribesByFunction<Value, Args extends unknown[]> {
  <Method extends AnyMethod>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method> & Async<Method, KeyFrom<Args, Method, Describes<Value, Method>>>,
  ): void;
}

export interface StoresByArgument<Value, Key> {
  <Method extends AnyMethod>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method> & Async<Method, KeyIs<Key, Method, Stores<Value, Method>>>,
  ): void;
}
export interface StoresByFunction<Value, Args extends unknown[]> {
  <Method extends AnyMethod>(
    target: Host,
    name: string | symbol,
    method: Descriptor<Method> & Async<Method, KeyFrom<Args, Method, Stores<Value, Method>>>,
  ): void;
}
