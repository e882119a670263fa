import type { AnyEntity, Entity, EntityKey } from '../contract/entity.js';
import { show } from '../errors/wording.js';
import { decorate } from './decorate.js';
import type { StoresByArgument, StoresByFunction } from './fit.js';

/**
 * The method persists and resolves to the new value, which is then stored: the entry is overwritten, not missing.
 *
 * It is invalidated instead when the method threw (a commit whose answer is lost still wrote), when another write of
 * the same entry overlapped with this one (their order is unknown), or when the value cannot be kept.
 *
 * The key comes from the arguments, as with `@Cached`, or with `{ keyOf }` from the value, where the write makes it.
 */
export function WriteThrough<Value, Key extends EntityKey>(
  entity: Entity<Value, Key>,
): StoresByArgument<Value, Key>;
export function WriteThrough<Value, Key extends EntityKey, Args extends unknown[]>(
  entity: Entity<Value, Key>,
  key: (...args: Args) => NoInfer<Key>,
): StoresByFunction<Value, Args>;
export function WriteThrough<Value, Key extends EntityKey>(
  entity: Entity<Value, Key>,
  target: { keyOf: (value: NonNullable<Value>) => NoInfer<Key> },
): StoresByFunction<Value, []>;
export function WriteThrough(entity: AnyEntity, target?: unknown): MethodDecorator {
  return decorate('WriteThrough', entity, (fault, method) => {
    if (target === undefined) {
      if (method.length > 1) {
        fault(
          `without a key function the method takes exactly one argument, the key; this one takes ${method.length}.`,
          'give @WriteThrough a key function as its second argument.',
        );
      }
      return { stores: { key: (only: EntityKey) => only } };
    }
    if (typeof target === 'function') return { stores: { key: target as () => EntityKey } };
    const { keyOf, ...rest } = (target ?? {}) as { [name: string]: unknown };
    if (typeof keyOf !== 'function' || Object.keys(rest).length > 0) {
      fault(
        `@WriteThrough expected a key function or { keyOf }, got ${show(target)}.`,
        'write @WriteThrough(entity, (id: string) => id), or { keyOf: (value) => value.id }.',
      );
    }
    return { stores: { keyOf: keyOf as () => EntityKey } };
  });
}
