import type { AnyEntity, Entity, EntityKey } from '../contract/entity.js';
import { show } from '../errors/wording.js';
import type { AnyFunction, WriteTarget } from './binding.js';
import { decorate } from './decorate.js';
import type { InvalidatesByArgument, InvalidatesByFunction } from './fit.js';

/** Which entries a method changes: one of the five ways. */
export type InvalidationTarget<Key extends EntityKey, Args extends unknown[], Result> =
  /** One, told from the arguments; `when` can say afterwards that nothing changed. */
  | Only<{ key: (...args: Args) => Key; when?: (result: Result, ...args: Args) => boolean }>
  /** Several, told from the arguments. */
  | Only<{
      keys: (...args: Args) => readonly Key[];
      when?: (result: Result, ...args: Args) => boolean;
    }>
  /** Told from the result: what was created, what a bulk statement touched. */
  | Only<{ keysOf: (result: Result, ...args: Args) => readonly Key[] }>
  /** Those that carry one of these tags, of this entity and of others. */
  | Only<{ tags: (...args: Args) => readonly string[] }>
  /** All of the entity. */
  | Only<{ family: true }>;

type Only<Way> = Way & {
  [Other in Exclude<'key' | 'keys' | 'keysOf' | 'tags' | 'family' | 'when', keyof Way>]?: never;
};

/**
 * The method changes the source of truth; when it has settled, the entries it changed are gone.
 *
 * Also when it throws: a commit whose answer was lost still wrote. Keys told from the arguments are checked before
 * the method runs, so a key that cannot be meant refuses the call before anything is written. Where `keysOf` cannot
 * tell, because the method or `keysOf` itself threw, an entity with `prefer: 'error'` is forgotten as a whole; others
 * keep what they have until its ttl, and a `fault` event tells of it.
 *
 * Several of these can stand on one method.
 */
export function Invalidates<Key extends EntityKey>(
  entity: Entity<any, Key>,
): InvalidatesByArgument<Key>;
export function Invalidates<Key extends EntityKey, Args extends unknown[]>(
  entity: Entity<any, Key>,
  key: (...args: Args) => NoInfer<Key>,
): InvalidatesByFunction<Args>;
export function Invalidates<Key extends EntityKey, Args extends unknown[], Result = any>(
  entity: Entity<any, Key>,
  target: InvalidationTarget<NoInfer<Key>, Args, Result>,
): InvalidatesByFunction<Args, Result>;
export function Invalidates(entity: AnyEntity, target?: unknown): MethodDecorator {
  return decorate('Invalidates', entity, (fault, method) => {
    if (target === undefined && method.length > 1) {
      fault(
        `without a target the method takes exactly one argument, the key; this one takes ${method.length}.`,
        'give @Invalidates a key function as its second argument.',
      );
    }
    const writes = parseTarget(target);
    if (writes === undefined) {
      fault(
        `@Invalidates expected a key function, { key }, { keys }, { keysOf }, { tags } or { family: true }, got ${shape(target)}.`,
        'write @Invalidates(entity, (id: string) => id); key, keys, keysOf, tags and when are functions, one of the first four alone, and when stands beside key or keys.',
      );
    }
    return { writes: writes ?? {} };
  });
}

function parseTarget(target: unknown): WriteTarget | undefined {
  if (target === undefined) return { before: (only) => [only as EntityKey] };
  if (typeof target === 'function') return one(target as AnyFunction);
  if (typeof target !== 'object' || target === null) return undefined;
  const { key, keys, keysOf, tags, family, when, ...rest } = target as { [name: string]: unknown };
  const ways = [key, keys, keysOf, tags, family].filter((way) => way !== undefined);
  if (ways.length !== 1 || Object.keys(rest).length > 0) return undefined;
  if (when !== undefined && (typeof when !== 'function' || (!key && !keys))) return undefined;
  if (family !== undefined) return family === true ? {} : undefined;
  if (typeof ways[0] !== 'function') return undefined;
  if (tags) return { tags: tags as WriteTarget['tags'] };
  if (keysOf) return { after: keysOf as WriteTarget['after'] };
  return {
    ...(key ? one(key as AnyFunction) : { before: keys as WriteTarget['before'] }),
    ...(when !== undefined && { when: when as WriteTarget['when'] }),
  };
}

function one(key: AnyFunction): WriteTarget {
  return { before: (...args) => [key(...args) as EntityKey] };
}

function shape(target: unknown): string {
  return typeof target === 'object' && target !== null && !Array.isArray(target)
    ? `{ ${Object.entries(target)
        .map(([name, value]) => `${name}: ${show(value)}`)
        .join(', ')} }`
    : show(target);
}
