import type { AnyEntity, Entity, EntityKey } from '../contract/entity.js';
import { show } from '../errors/wording.js';
import { decorate } from './decorate.js';
import type { CachedByArgument, CachedByFunction } from './fit.js';

/**
 * The method loads a value of `entity`; it runs when the cache cannot answer, once for all who ask meanwhile.
 *
 * Without a key function the method takes exactly one argument, a string, number or bigint: the key. A key function
 * takes the method's arguments; annotate its parameters.
 *
 * Callers get plain data frozen, or a copy of their own. The method's own error reaches them unchanged.
 * Outside dependency injection, as in a plain unit test, the method is just called.
 */
export function Cached<Value, Key extends EntityKey>(
  entity: Entity<Value, Key>,
): CachedByArgument<Value, Key>;
export function Cached<Value, Key extends EntityKey, Args extends unknown[]>(
  entity: Entity<Value, Key>,
  key: (...args: Args) => NoInfer<Key>,
): CachedByFunction<Value, Args>;
export function Cached(entity: AnyEntity, key?: unknown): MethodDecorator {
  return decorate('Cached', entity, (fault, method) => {
    if (key === undefined) {
      if (method.length > 1) {
        fault(
          `without a key function the method takes exactly one argument, the key; this one takes ${method.length}.`,
          'give @Cached a key function as its second argument.',
        );
      }
      return { keyOf: (only: EntityKey) => only };
    }
    if (typeof key !== 'function') {
      fault(
        `@Cached expected a function of the method's arguments as its key, got ${show(key)}.`,
        'write @Cached(entity, (id: string) => id): the function itself; { key } is for @Invalidates.',
      );
    }
    return { keyOf: key as (...args: unknown[]) => EntityKey };
  });
}
