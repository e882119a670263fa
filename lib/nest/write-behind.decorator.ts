import type { AnyEntity, Entity, EntityKey } from '../contract/entity.js';
import { show } from '../errors/wording.js';
import { decorate } from './decorate.js';
import type { DescribesByArgument, DescribesByFunction } from './fit.js';

/**
 * The method says what changes, and resolves to `set(value)`, `remove()` or `add(n)`. That is journalled, visible to
 * readers of the cache at once, and written later, with others in one batch, by the method with `@Flushes`.
 *
 * The call resolves once the mutation is accepted, to the same mutation with its `receipt`; in requests through a
 * controller with `@OverrideStrategy(entity, { write: writeThrough() })` once it is written. What the method itself does
 * is not undone when the mutation is refused: let it only look.
 *
 * Outside dependency injection, as in a plain unit test, the call throws: nothing would write what it says.
 *
 * The call rejects with CACHE_JOURNAL_FULL (503) when as many keys wait as `maxPending` allows.
 */
export function WriteBehind<Value, Key extends EntityKey>(
  entity: Entity<Value, Key>,
): DescribesByArgument<Value, Key>;
export function WriteBehind<Value, Key extends EntityKey, Args extends unknown[]>(
  entity: Entity<Value, Key>,
  key: (...args: Args) => NoInfer<Key>,
): DescribesByFunction<Value, Args>;
export function WriteBehind(entity: AnyEntity, key?: unknown): MethodDecorator {
  return decorate('WriteBehind', entity, (fault, method) => {
    if (key === undefined) {
      if (method.length > 1) {
        fault(
          `without a key function the method takes exactly one argument, the key; this one takes ${method.length}.`,
          'give @WriteBehind a key function as its second argument.',
        );
      }
      return { mutates: { key: (only: EntityKey) => only } };
    }
    if (typeof key !== 'function') {
      fault(
        `@WriteBehind expected a function of the method's arguments as its key, got ${show(key)}.`,
        'write @WriteBehind(entity, (id: string) => id): the function itself.',
      );
    }
    return { mutates: { key: key as () => EntityKey } };
  });
}
