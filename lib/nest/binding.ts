import { Inject } from '@nestjs/common';
import { isEntity, type AnyEntity } from '../contract/entity.js';
import type { EntityKey } from '../contract/entity.js';
import type { Fault } from '../errors/configuration.error.js';
import { show } from '../errors/wording.js';
import type { CacheStrategyInterceptor } from './cache-strategy.interceptor.js';

/** Token and property under which a decorated object holds its interceptor. Its text stands in Nest's error message. */
export const INTERCEPTOR = Symbol('CacheStrategyInterceptor (is CacheModule.forRoot() imported?)');
const BINDINGS = 'nestjs-cache-contract:bindings';

export type AnyFunction = (...args: any[]) => unknown;

/** Which entries a write changes, as the engine asks for it. */
export interface WriteTarget {
  /** Told from the arguments alone, so known before the method runs. */
  readonly before?: (...args: unknown[]) => readonly EntityKey[];
  /** Told from the result. */
  readonly after?: (result: unknown, ...args: unknown[]) => readonly EntityKey[];
  readonly when?: (result: unknown, ...args: unknown[]) => boolean;
}

/** One decorator on one method. */
export interface Binding {
  readonly entity: AnyEntity;
  /** As a report names it: `ProfileService.find`. */
  readonly method: string;
  /** As it was written, for reports: `@Cached(profile)`. */
  readonly decorator: string;
  /** `@Cached`: the key of a call; the only argument where no key function was given. */
  readonly keyOf?: (...args: any[]) => EntityKey;
  /** `@Invalidates`: nothing here means the whole entity. */
  readonly writes?: WriteTarget;
}

/** As a report names it: `ProfileService.find → @Cached(profile)`. */
export function placeOf({ method, decorator }: Pick<Binding, 'method' | 'decorator'>): string {
  return `${method} → ${decorator}`;
}

interface Decoration {
  readonly binding: Binding;
  readonly faults: readonly Fault[];
}

interface Decorated {
  [INTERCEPTOR]?: CacheStrategyInterceptor;
}

/** Wraps a method where it stands, so that it is cached in every scope, in subclasses and when it calls itself. */
export function decorate(
  kind: 'Cached' | 'Invalidates',
  entity: AnyEntity,
  make: (
    fault: (problem: string, fix: string) => void,
    method: AnyFunction,
  ) => Pick<Binding, 'keyOf' | 'writes'>,
) {
  return (target: object, name: string | symbol, descriptor?: PropertyDescriptor): void => {
    const host = typeof target === 'function' ? target : target.constructor;
    const method = `${host.name}.${String(name)}`;
    const decorator = `@${kind}(${isEntity(entity) ? entity.name : '?'})`;
    const at = placeOf({ method, decorator });
    const faults: Fault[] = [];
    const original = descriptor?.value as AnyFunction | undefined;
    if (!isEntity(entity)) {
      faults.push({
        code: 'CACHE_ENTITY_EXPECTED',
        problem: `@${kind} expected an entity made by entity(), got ${show(entity)}.`,
        at,
        fix: 'pass the constant your contract file exports; if it is undefined here, two files import each other: move the contract into a file of its own.',
      });
    }
    if (typeof target === 'function' || typeof original !== 'function') {
      faults.push({
        code: 'CACHE_DECORATOR_MISPLACED',
        problem: `@${kind} belongs on a method of an instance, not on a ${typeof target === 'function' ? 'static method' : 'property or accessor'}.`,
        at,
        fix: 'make it an ordinary method of a provider or controller.',
      });
    }
    const target_ = make(
      (problem, fix) => faults.push({ code: 'CACHE_TARGET_INVALID', problem, at, fix }),
      original ?? (() => undefined),
    );
    const binding: Binding = { entity, method, decorator, ...target_ };
    const own = (Reflect.getOwnMetadata(BINDINGS, host) as Decoration[] | undefined) ?? [];
    Reflect.defineMetadata(BINDINGS, [...own, { binding, faults }], host);
    if (faults.length > 0) return;
    // Nest appends one entry per call of Inject; one per class is enough.
    if (own.every((other) => other.faults.length > 0)) Inject(INTERCEPTOR)(target, INTERCEPTOR);
    descriptor!.value = wrap(original!, binding);
  };
}

function wrap(original: AnyFunction, binding: Binding): AnyFunction {
  const wrapped = function (this: Decorated | undefined, ...args: unknown[]): unknown {
    const interceptor = this?.[INTERCEPTOR];
    // Outside dependency injection, as in a plain unit test, the method is just the method.
    return interceptor === undefined
      ? original.apply(this, args)
      : interceptor.call(binding, original, this!, args);
  };
  // Routers, documentation tools and parameter counting look at these.
  Object.defineProperty(wrapped, 'name', { value: original.name, configurable: true });
  Object.defineProperty(wrapped, 'length', { value: original.length, configurable: true });
  for (const key of Reflect.getMetadataKeys(original) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, original), wrapped);
  }
  return wrapped;
}

/** The decorations of a class and of the classes it extends. */
export function decorationsOf(type: object | null): Decoration[] {
  if (type === null || type === Function.prototype) return [];
  const own = (Reflect.getOwnMetadata(BINDINGS, type) as Decoration[] | undefined) ?? [];
  return [...own, ...decorationsOf(Object.getPrototypeOf(type) as object | null)];
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
