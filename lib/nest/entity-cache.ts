import { Inject, Injectable } from '@nestjs/common';
import type { AnyEntity, Entity, EntityKey, KeyOf, ValueOf } from '../contract/entity.js';
import type { Policy } from '../contract/policy.js';
import { idOf } from '../entry/key.js';
import { worstStaleness, type Exposure } from '../contract/worst-case.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';
import type { InvalidationOutcome } from '../invalidation/invalidator.js';
import { calls, type LoadContext } from '../read/call-context.js';
import { Engine } from './engine.js';

/** A contract in force: every default filled in, durations in milliseconds, and how stale answers can be under it. */
export interface ContractInForce extends Policy {
  readonly worstStaleness: readonly Exposure[];
}

/** One entity, as calls. Injected by `@InjectCache(entity)`. */
export interface CacheOf<E extends AnyEntity, Value = ValueOf<E>, Key = KeyOf<E>> {
  get<R extends Value | undefined>(
    key: Key,
    load: (context: LoadContext) => Promise<R>,
  ): Promise<Value | R>;
  peek(key: Key): Promise<Value | undefined>;
  invalidate(key: Key): Promise<InvalidationOutcome>;
  invalidateFamily(): Promise<InvalidationOutcome>;
  contract(): ContractInForce;
}

/** All entities, as calls: what the decorators do, for keys that are known only inside a method. */
@Injectable()
export class EntityCache {
  constructor(@Inject(Engine) private readonly engine: Engine) {}

  /**
   * The value under `key`, loaded by `load` if the cache cannot answer. The same as a call of a `@Cached` method.
   *
   * @throws what `load` throws, unchanged
   * @throws {CacheUsageError} CACHE_KEY_INVALID
   * @throws {CacheLoadTimeoutError} CACHE_LOAD_TIMEOUT
   */
  async get<Value, Key extends EntityKey, R extends Value | undefined>(
    entity: Entity<Value, Key>,
    key: Key,
    load: (context: LoadContext) => Promise<R>,
  ): Promise<Value | R> {
    const state = this.engine.entities.stateOf(entity);
    if (typeof load !== 'function') {
      throw misused(`get('${entity.name}', …)`, 'a loader as its third argument', load);
    }
    return (await this.engine.reader.read(state, key, load)) as Value | R;
  }

  /** The value `get` would answer with at once; `undefined` if it would load, or throw a remembered error. */
  async peek<Value, Key extends EntityKey>(
    entity: Entity<Value, Key>,
    key: Key,
  ): Promise<Value | undefined> {
    const state = this.engine.entities.stateOf(entity);
    return (await this.engine.reader.peek(state, key)) as Value | undefined;
  }

  /** When it resolves, no call gets a value whose load began before it, loads under way included. */
  async invalidate<Key extends EntityKey>(
    entity: Entity<any, Key>,
    key: Key,
  ): Promise<InvalidationOutcome> {
    const state = this.engine.entities.stateOf(entity);
    return Promise.resolve(
      this.engine.invalidator.invalidate(state, idOf(key, entity.name), calls.getStore()),
    );
  }

  /** The same for all entries of the entity. */
  async invalidateFamily(entity: AnyEntity): Promise<InvalidationOutcome> {
    const state = this.engine.entities.stateOf(entity);
    return Promise.resolve(this.engine.invalidator.invalidateFamily(state, calls.getStore()));
  }

  /** Runs `work`; inside it, and in all it awaits, calls of the entities in `bypass` ask the source. */
  context<T>({ bypass }: { readonly bypass: readonly AnyEntity[] }, work: () => T): T {
    if (!Array.isArray(bypass))
      throw misused('context({ bypass }, …)', 'an array of entities', bypass);
    if (typeof work !== 'function')
      throw misused('context({ bypass }, …)', 'a function to run', work);
    const outer = calls.getStore();
    const states = (bypass as readonly AnyEntity[]).map((entity) =>
      this.engine.entities.stateOf(entity),
    );
    return calls.run({ ...outer, bypass: new Set([...(outer?.bypass ?? []), ...states]) }, work);
  }

  /** What is in force for an entity. */
  contract(entity: AnyEntity): ContractInForce {
    const { policy } = this.engine.entities.stateOf(entity);
    return { ...policy, worstStaleness: worstStaleness(policy) };
  }

  of<Value, Key extends EntityKey>(
    entity: Entity<Value, Key>,
  ): CacheOf<Entity<Value, Key>, Value, Key> {
    this.engine.entities.register(entity);
    return {
      get: (key, load) => this.get(entity, key, load),
      peek: (key) => this.peek(entity, key),
      invalidate: (key) => this.invalidate(entity, key),
      invalidateFamily: () => this.invalidateFamily(entity),
      contract: () => this.contract(entity),
    };
  }
}

function misused(call: string, expected: string, got: unknown): CacheUsageError {
  return new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `EntityCache.${call} expected ${expected}, got ${show(got)}`,
    'look at the arguments of the call.',
  );
}
