import type { EntityKey } from '../contract/entity.js';
import { idOf, idsOf, ownKey } from '../entry/key.js';
import { nameOf } from '../errors/wording.js';
import { noTagsIn } from '../entry/tag.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { Outcomes } from '../invalidation/acknowledged.js';
import { calls } from '../read/call-context.js';
import type { EntityState } from '../store/entity-state.js';
import { located, type AnyFunction, type Binding } from './binding.js';
import type { Write } from '../write/writer.js';
import type { Engine } from './engine.js';
import { mutate } from './mutate.js';

/** One `@Invalidates` or `@WriteThrough` during one call. */
interface Invalidation {
  readonly binding: Binding;
  readonly state: EntityState;
  /** What its arguments tell. Ids, not keys, because the method may change its arguments. */
  readonly ids: readonly string[] | undefined;
  readonly tags: readonly string[] | undefined;
  /** `@WriteThrough`: the write that has begun. */
  readonly write: Write | undefined;
}

/** Calls of methods with `@Invalidates`, `@WriteThrough` and `@WriteBehind`, one or several. */
export class WritingCalls {
  constructor(private readonly engine: Engine) {}

  /** A key that cannot be meant refuses the call before the method runs, and before anything is invalidated. */
  async call(
    bindings: readonly Binding[],
    method: AnyFunction,
    self: object,
    args: unknown[],
  ): Promise<unknown> {
    // All are checked before any begins: a refusal leaves no write open.
    const mutating = bindings.find(({ mutates }) => mutates !== undefined);
    const mutate = mutating && this.mutation(mutating, args);
    const invalidations = bindings
      .filter((binding) => binding !== mutating)
      .map((binding) => this.prepare(binding, args))
      .map((invalidation) => this.begin(invalidation));
    const told = new Outcomes();
    let result: unknown;
    try {
      for (const { write } of invalidations) if (write?.claimed) await write.claimed;
      result = await method.apply(self, args);
      if (mutate !== undefined) result = await mutate(result);
    } catch (error) {
      // A commit whose answer was lost still wrote.
      for (const invalidation of invalidations) this.afterFailure(invalidation, told);
      await told.settled();
      throw error;
    }
    for (const invalidation of invalidations) this.afterSuccess(invalidation, result, args, told);
    // Where processes share entries: when the call resolves, none of them gets the old value.
    const settled = told.settled();
    if (settled !== undefined) await settled;
    told.check(result);
    return result;
  }

  /** Accepts what the method describes; its key is checked before the method runs. */
  private mutation(binding: Binding, args: unknown[]): (mutation: unknown) => Promise<unknown> {
    try {
      const { entity } = binding;
      const key = binding.mutates!.key(...args);
      idOf(key, entity.name);
      // The method may change its arguments.
      const own = ownKey(key);
      return async (mutation) => {
        try {
          return await mutate(this.engine, entity, own, mutation);
        } catch (error) {
          throw located(error, binding);
        }
      };
    } catch (error) {
      throw located(error, binding);
    }
  }

  private prepare(binding: Binding, args: unknown[]): Invalidation {
    const { entity, writes, stores } = binding;
    try {
      const state = this.engine.entities.stateOf(entity);
      const keys = stores && 'key' in stores ? [stores.key(...args)] : writes?.before?.(...args);
      const ids = keys && idsOf(keys, entity.name);
      const tags = writes?.tags && tagsOf(writes.tags(...args));
      return { binding, state, ids, tags, write: undefined };
    } catch (error) {
      throw located(error, binding);
    }
  }

  private begin(invalidation: Invalidation): Invalidation {
    if (invalidation.binding.stores === undefined) return invalidation;
    const { state, ids } = invalidation;
    return { ...invalidation, write: this.engine.writer.begin(state, ids?.[0], calls.getStore()) };
  }

  private afterFailure({ binding, state, ids, tags, write }: Invalidation, told: Outcomes): void {
    const unknown = `${binding.method} threw before it said which keys it changed`;
    if (write !== undefined) {
      told.add(state.policy, this.engine.writer.failed(write));
      if (ids === undefined) this.keysUnknown(state, unknown, told);
    } else if (tags !== undefined) this.invalidateTags(state, tags, told);
    else if (binding.writes?.after === undefined) this.invalidate(state, ids, told);
    else this.keysUnknown(state, unknown, told);
  }

  /** `told`: collects what is to be waited for. */
  private afterSuccess(
    invalidation: Invalidation,
    result: unknown,
    args: unknown[],
    told: Outcomes,
  ): void {
    const { binding, state, ids, tags, write } = invalidation;
    const { after } = binding.writes ?? {};
    if (write !== undefined) told.add(state.policy, this.store(invalidation, write, result, told));
    else if (tags !== undefined) this.invalidateTags(state, tags, told);
    else if (!this.says(invalidation, result, args)) return;
    else if (after === undefined) this.invalidate(state, ids, told);
    else this.invalidateTold(invalidation, () => after(result, ...args), told);
  }

  private store(
    { binding, state, ids }: Invalidation,
    write: Write,
    result: unknown,
    told: Outcomes,
  ) {
    const { stores } = binding;
    if (ids !== undefined) return this.engine.writer.stored(write, ids[0]!, result);
    try {
      const { keyOf } = stores as { keyOf: (value: unknown) => EntityKey };
      return this.engine.writer.stored(write, idOf(keyOf(result), state.policy.entity), result);
    } catch (error) {
      const settled = this.engine.writer.failed(write);
      const why = error instanceof CacheUsageError ? error.message : `it threw ${nameOf(error)}`;
      this.keysUnknown(
        state,
        `keyOf of ${binding.method} did not tell the key of what was made: ${why}`,
        told,
      );
      return settled;
    }
  }

  private invalidateTags({ policy }: EntityState, tags: readonly string[], told: Outcomes): void {
    const { invalidator } = this.engine;
    for (const tag of tags) {
      told.add(policy, invalidator.invalidateTag(tag, calls.getStore(), policy.entity));
    }
  }

  /** The write is done, so its result is handed through whatever `keysOf` says; each key it does tell counts. */
  private invalidateTold(
    { binding, state }: Invalidation,
    tell: () => readonly EntityKey[],
    told: Outcomes,
  ): void {
    const problems: string[] = [];
    const attempt = (work: () => void) => {
      try {
        work();
      } catch (error) {
        problems.push(
          error instanceof CacheUsageError ? error.message : `it threw ${nameOf(error)}`,
        );
      }
    };
    attempt(() => {
      const keys = tell();
      if (!Array.isArray(keys)) throw new TypeError('no array');
      for (const key of keys as readonly EntityKey[]) {
        attempt(() => this.invalidate(state, [idOf(key, state.policy.entity)], told));
      }
    });
    if (problems.length === 0) return;
    const what = `keysOf of ${binding.method} did not tell all keys that changed: ${problems[0]}`;
    this.keysUnknown(state, what, told);
  }

  /** Nothing known means the whole entity. */
  private invalidate(state: EntityState, ids: readonly string[] | undefined, told: Outcomes): void {
    const { invalidator } = this.engine;
    const trace = calls.getStore();
    if (ids === undefined) told.add(state.policy, invalidator.doubt(state, trace));
    else for (const id of ids) told.add(state.policy, invalidator.invalidate(state, id, trace));
  }

  private keysUnknown(state: EntityState, what: string, told: Outcomes): void {
    const { entity, prefer } = state.policy;
    const trace = calls.getStore();
    const done =
      prefer === 'error'
        ? `All entries of '${entity}' were dropped.`
        : `What it did not tell stays in '${entity}' until its ttl.`;
    this.engine.events.fault('CACHE_KEYS_UNKNOWN', entity, `${what}. ${done}`, trace);
    // Who prefers an error is never told by others, nor tells them.
    if (prefer === 'error') this.invalidate(state, undefined, told);
  }

  /** What `when` says; only a clear no keeps an old value in use. */
  private says({ binding, state }: Invalidation, result: unknown, args: unknown[]): boolean {
    try {
      return binding.writes?.when?.(result, ...args) !== false;
    } catch {
      const message = `\`when\` of ${binding.method} threw; its keys were invalidated.`;
      this.engine.events.fault(
        'CACHE_CALLBACK_FAILED',
        state.policy.entity,
        message,
        calls.getStore(),
      );
      return true;
    }
  }
}

function tagsOf(tags: unknown): readonly string[] {
  const came = noTagsIn(tags);
  if (came === undefined) return [...(tags as string[])]; // the method may change its arguments
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `\`tags\` must return an array of texts that are not empty, got ${came}`,
    "return an array such as ['category:tea'].",
  );
}
