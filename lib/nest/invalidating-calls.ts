import type { EntityKey } from '../contract/entity.js';
import { idOf, idsOf } from '../entry/key.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { calls } from '../read/call-context.js';
import type { EntityState } from '../store/entity-state.js';
import { located, type AnyFunction, type Binding } from './binding.js';
import type { Engine } from './engine.js';

/** One `@Invalidates` during one call. */
interface Invalidation {
  readonly binding: Binding;
  readonly state: EntityState;
  /** What its arguments tell. Ids, not keys, because the method may change its arguments. */
  readonly ids: readonly string[] | undefined;
}

/** Calls of methods with `@Invalidates`, one or several. */
export class InvalidatingCalls {
  constructor(private readonly engine: Engine) {}

  /** A key that cannot be meant refuses the call before the method runs, and before anything is invalidated. */
  async call(
    bindings: readonly Binding[],
    method: AnyFunction,
    self: object,
    args: unknown[],
  ): Promise<unknown> {
    const invalidations = bindings.map((binding) => this.prepare(binding, args));
    let result: unknown;
    try {
      result = await method.apply(self, args);
    } catch (error) {
      // A commit whose answer was lost still wrote.
      for (const invalidation of invalidations) this.afterFailure(invalidation);
      throw error;
    }
    for (const invalidation of invalidations) this.afterSuccess(invalidation, result, args);
    return result;
  }

  private prepare(binding: Binding, args: unknown[]): Invalidation {
    try {
      const state = this.engine.entities.stateOf(binding.entity);
      const keys = binding.writes?.before?.(...args);
      return { binding, state, ids: keys && idsOf(keys, binding.entity.name) };
    } catch (error) {
      throw located(error, binding);
    }
  }

  private afterFailure({ binding, state, ids }: Invalidation): void {
    if (binding.writes?.after === undefined) this.invalidate(state, ids);
    else this.keysUnknown(state, `${binding.method} threw before it said which keys it changed`);
  }

  private afterSuccess(invalidation: Invalidation, result: unknown, args: unknown[]): void {
    const { binding, state, ids } = invalidation;
    const { after } = binding.writes ?? {};
    if (!this.says(invalidation, result, args)) return;
    if (after === undefined) this.invalidate(state, ids);
    else this.invalidateTold(invalidation, () => after(result, ...args));
  }

  /** The write is done, so its result is handed through whatever `keysOf` says; each key it does tell counts. */
  private invalidateTold({ binding, state }: Invalidation, tell: () => readonly EntityKey[]): void {
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
        attempt(() => this.invalidate(state, [idOf(key, state.policy.entity)]));
      }
    });
    if (problems.length === 0) return;
    const what = `keysOf of ${binding.method} did not tell all keys that changed: ${problems[0]}`;
    this.keysUnknown(state, what);
  }

  /** Nothing known means the whole entity. */
  private invalidate(state: EntityState, ids: readonly string[] | undefined): void {
    const { invalidator } = this.engine;
    const trace = calls.getStore();
    if (ids === undefined) invalidator.invalidateFamily(state, trace);
    else for (const id of ids) invalidator.invalidate(state, id, trace);
  }

  private keysUnknown(state: EntityState, what: string): void {
    const { entity, prefer } = state.policy;
    const trace = calls.getStore();
    const done =
      prefer === 'error'
        ? `All entries of '${entity}' were dropped.`
        : `What it did not tell stays in '${entity}' until its ttl.`;
    this.engine.events.fault('CACHE_KEYS_UNKNOWN', entity, `${what}. ${done}`, trace);
    if (prefer === 'error') this.engine.invalidator.invalidateFamily(state, trace);
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

function nameOf(error: unknown): string {
  // Not its message: that may quote what a log should not hold.
  return error instanceof Error ? error.name : typeof error;
}
