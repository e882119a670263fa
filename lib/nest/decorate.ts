import { Inject } from '@nestjs/common';
import { isEntity, type AnyEntity } from '../contract/entity.js';
import type { Fault } from '../errors/configuration.error.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';
import { placeOf, type AnyFunction, type Binding } from './binding.js';
import type { CacheStrategyInterceptor } from './cache-strategy.interceptor.js';

/** Token and property under which a decorated object holds its interceptor. Its text stands in Nest's error message. */
export const INTERCEPTOR = Symbol('CacheStrategyInterceptor (is CacheModule.forRoot() imported?)');
const DECORATIONS = 'nestjs-cache-contract:decorations';

/** What a decorator left behind with the class it stands in. */
interface Decoration {
  /** The class itself: two classes may have one name. */
  readonly host: object;
  readonly binding: Binding;
  readonly faults: readonly Fault[];
}

interface Decorated {
  [INTERCEPTOR]?: CacheStrategyInterceptor;
}

/** What a decorator makes of what it was given; `fault` reports what it cannot use. */
type Make = (
  fault: (problem: string, fix: string) => void,
  method: AnyFunction,
) => Omit<Binding, 'entity' | 'method' | 'property' | 'decorator'>;

/**
 * Wraps a method where it stands, so that it is cached in every scope, in subclasses and when it calls itself.
 *
 * Throws nothing: faults are kept with the class and come in the boot report, together with all others.
 */
export function decorate(
  kind: 'Cached' | 'CachedMany' | 'Invalidates' | 'WriteThrough' | 'WriteBehind' | 'Flushes',
  entity: AnyEntity,
  make: Make,
) {
  return (target: object, name: string | symbol, descriptor?: PropertyDescriptor): void => {
    refuseStandardDecorators(kind, name);
    const host = typeof target === 'function' ? target : target.constructor;
    const method = name === undefined ? host.name : `${host.name}.${String(name)}`;
    const decorator = `@${kind}(${isEntity(entity) ? entity.name : '?'})`;
    const at = placeOf({ method, decorator });
    const faults = [
      ...notAnEntity(kind, entity, at),
      ...misplaced(kind, target, name, descriptor, at),
    ];
    const original = (descriptor?.value ?? (() => undefined)) as AnyFunction;
    const made = make(
      (problem, fix) => faults.push({ code: 'CACHE_TARGET_INVALID', problem, at, fix }),
      original,
    );
    const binding: Binding = { entity, method, property: name, decorator, ...made };
    const own = ownDecorations(host);
    Reflect.defineMetadata(DECORATIONS, [...own, { host, binding, faults }], host);
    // What flushes is called by the journal, and is a method like any other to everybody else.
    if (faults.length > 0 || binding.flushes !== undefined) return;
    // Nest appends one entry per call of Inject; one per class is enough.
    if (own.every((other) => other.faults.length > 0 || other.binding.flushes))
      Inject(INTERCEPTOR)(target, INTERCEPTOR);
    descriptor!.value = wrap(original, binding);
  };
}

function notAnEntity(kind: string, entity: unknown, at: string): Fault[] {
  if (isEntity(entity)) return [];
  return [
    {
      code: 'CACHE_ENTITY_EXPECTED',
      problem: `@${kind} expected an entity made by entity(), got ${show(entity)}.`,
      at,
      fix: 'pass the constant your contract file exports; if it is undefined here, two files import each other: move the contract into a file of its own.',
    },
  ];
}

function misplaced(
  kind: string,
  target: object,
  name: unknown,
  method: unknown,
  at: string,
): Fault[] {
  const found = whereItStands(target, name, method);
  if (found === undefined) return [];
  return [
    {
      code: 'CACHE_DECORATOR_MISPLACED',
      problem: `@${kind} belongs on a method of an instance, not on ${found}.`,
      at,
      fix: 'make it an ordinary method of a provider or controller.',
    },
  ];
}

function whereItStands(target: object, name: unknown, method: unknown): string | undefined {
  if (name === undefined) return 'a class or a constructor parameter';
  if (typeof method === 'number') return 'a parameter';
  if (typeof target === 'function') return 'a static method';
  const body: unknown = (method as PropertyDescriptor | undefined)?.value;
  return typeof body === 'function' ? undefined : 'a property or accessor';
}

/** The decorators of TypeScript's older kind, which Nest uses, are called with a class and a name. */
function refuseStandardDecorators(kind: string, name: unknown): void {
  if (typeof name !== 'object' || name === null) return;
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `@${kind} was called as a standard decorator, which knows nothing of the class it stands in`,
    'set "experimentalDecorators": true in tsconfig.json, as Nest needs it.',
  );
}

/** What our wrappers wrap. Decorators that stand directly on each other share one wrapper and are called as one. */
const wrappers = new WeakMap<AnyFunction, { original: AnyFunction; bindings: Binding[] }>();

function wrap(method: AnyFunction, binding: Binding): AnyFunction {
  const inner = wrappers.get(method);
  const original = inner?.original ?? method;
  const bindings = [...(inner?.bindings ?? []), binding];
  const wrapped = function (this: Decorated | undefined, ...args: unknown[]): unknown {
    const interceptor = this?.[INTERCEPTOR];
    if (interceptor !== undefined) return interceptor.call(bindings, original, this!, args);
    const lost = bindings.find(({ mutates }) => mutates !== undefined);
    if (lost !== undefined) return Promise.reject(wouldGetLost(lost));
    // Outside dependency injection, as in a plain unit test, the method is just the method.
    return original.apply(this, args);
  };
  wrappers.set(wrapped, { original, bindings });
  // Routers, documentation tools and parameter counting look at these.
  Object.defineProperty(wrapped, 'name', { value: method.name, configurable: true });
  Object.defineProperty(wrapped, 'length', { value: method.length, configurable: true });
  for (const key of Reflect.getMetadataKeys(method) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, method), wrapped);
  }
  return wrapped;
}

function wouldGetLost(binding: Binding): CacheUsageError {
  return new CacheUsageError(
    'CACHE_NOT_RUNNING',
    `${binding.method} says what is to be written, and outside an application nothing writes it`,
    'let Nest construct the object, in a testing module with CacheModule.forRoot().',
    placeOf(binding),
  );
}

function ownDecorations(type: object): Decoration[] {
  return (Reflect.getOwnMetadata(DECORATIONS, type) as Decoration[] | undefined) ?? [];
}

/** The decorations of a class and of the classes it extends. */
export function decorationsOf(type: object | null | undefined): Decoration[] {
  if (typeof type !== 'function' || type === Function.prototype) return [];
  return [...ownDecorations(type), ...decorationsOf(Object.getPrototypeOf(type) as object | null)];
}

/** The class of an object; a field of its own that is named `constructor` does not count. */
export function classOf(instance: object): object | undefined {
  const prototype = Object.getPrototypeOf(instance) as { constructor?: unknown } | null;
  return typeof prototype?.constructor === 'function' ? prototype.constructor : undefined;
}

/** Gives an instance that Nest did not construct its interceptor; says which one it had before. */
export function bind(
  instance: object,
  interceptor: CacheStrategyInterceptor,
): CacheStrategyInterceptor | undefined {
  const before = (instance as Decorated)[INTERCEPTOR];
  if (before !== interceptor) {
    Object.defineProperty(instance, INTERCEPTOR, {
      value: interceptor,
      configurable: true,
      writable: true,
    });
  }
  return before;
}
