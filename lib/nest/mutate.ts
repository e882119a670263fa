import type { AnyEntity, EntityKey } from '../contract/entity.js';
import { idOf } from '../entry/key.js';
import { calls } from '../read/call-context.js';
import type { Engine } from './engine.js';

/** Accepts a mutation as the request wishes: journalled, or written before it resolves. */
export async function mutate(
  engine: Engine,
  entity: AnyEntity,
  key: EntityKey,
  mutation: unknown,
): Promise<unknown> {
  const state = engine.entities.stateOf(entity);
  const behind = engine.behindOf(entity);
  const id = idOf(key, entity.name);
  const context = calls.getStore();
  if (context?.writesThrough?.has(state)) {
    await behind.acceptWritten(id, key, mutation);
    return mutation;
  }
  const receipt = await behind.accept(id, key, mutation, context);
  return { ...(mutation as object), receipt };
}
