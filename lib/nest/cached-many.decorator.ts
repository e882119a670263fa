import type { AnyEntity, Entity, EntityKey } from '../contract/entity.js';
import { decorate } from './decorate.js';
import type { CachedManyDecorator } from './fit.js';

/**
 * The method loads many values of `entity`: it takes an array of keys and resolves to as many values, in the same
 * order, `null` for what there is not: declare the entity with `Value | null`.
 *
 * It is called once for the keys that the cache cannot answer, without duplicates; keys that somebody else is loading
 * are waited for. Each value is cached as if it had been loaded alone.
 */
export function CachedMany<Value, Key extends EntityKey>(
  entity: Entity<Value, Key>,
): CachedManyDecorator<Value, Key>;
export function CachedMany(entity: AnyEntity): MethodDecorator {
  return decorate('CachedMany', entity, (fault, method) => {
    if (method.length > 1) {
      fault(
        `the method takes exactly one argument, an array of keys; this one takes ${method.length}.`,
        'take only the keys; what else the answer depends on belongs into the key.',
      );
    }
    return { many: true, keyOf: (keys: EntityKey) => keys };
  });
}
