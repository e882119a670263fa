import { Inject, Injectable } from '@nestjs/common';
import { NOTHING_CACHED } from '../contract/acceptance.js';
import type { AnyEntity, Entity, EntityKey, KeyOf, ValueOf, Version } from '../contract/entity.js';
import type { Policy } from '../contract/policy.js';
import { idOf, idsOf } from '../entry/key.js';
import { isTag } from '../entry/tag.js';
import { comparable, type Comparable } from '../entry/version.js';
import { worstStaleness, type Exposure } from '../contract/worst-case.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';
import { acknowledged } from '../invalidation/acknowledged.js';
import type { InvalidationOutcome } from '../invalidation/invalidator.js';
import { calls, type LoadContext } from '../read/call-context.js';
import { capped } from '../read/capped.js';
import { readMany, type LoadMany } from '../read/many.js';
import type { DeadLetter } from '../write/behind/dead-letters.js';
import type { JournalStatus } from '../write/behind/flush-report.js';
import type { Mutation } from '../write/behind/mutation.js';
import { Engine } from './engine.js';
import { mutate } from './mutate.js';

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
  getMany(
    keys: readonly Key[],
    load: (missing: readonly Key[], context: LoadContext) => Promise<readonly Value[]>,
  ): Promise<Value[]>;
  peek(key: Key): Promise<Value | undefined>;
  mutate<M extends Mutation<Value>>(key: Key, mutation: M): Promise<M>;
  prime(key: Key, load: (context: LoadContext) => Promise<Value>): Promise<Value>;
  invalidate(key: Key, options?: { readonly atLeast?: Version }): Promise<InvalidationOutcome>;
  invalidateFamily(): Promise<InvalidationOutcome>;
  contract(): ContractInForce;
  journal(): JournalOf<E>;
}

/** What one write-behind entity has accepted, and what became of it. */
export interface JournalOf<E extends AnyEntity> {
  status(): JournalStatus;
  /**
   * Resolves when all that has been accepted until now is written or a dead letter; does not wait for `flushEvery`.
   * Rejects with what an attempt fails with; what is pending stays pending, and is tried again as before.
   */
  flush(): Promise<void>;
  /** What could not be written: those of the ledger's database; without a ledger, of this process. */
  deadLetters(): Promise<DeadLetter<E>[]>;
  /**
   * Writes a dead letter after all, in the transaction that removes it. False if it is not there (any more).
   *
   * @throws what the flushing method throws; CACHE_MUTATION_REJECTED if that rejects it again: it stays a dead letter
   */
  retry(letter: string): Promise<boolean>;
  /** Removes a dead letter without writing it. False if it is not there (any more). */
  discard(letter: string): Promise<boolean>;
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
  get<Value, Key extends EntityKey, R extends Value | undefined>(
    entity: Entity<Value, Key>,
    key: Key,
    load: (context: LoadContext) => Promise<R>,
  ): Promise<Value | R> {
    // Not `async`: a hit is one promise.
    try {
      const state = this.engine.entities.stateOf(entity);
      if (typeof load !== 'function') {
        throw misused(`get('${entity.name}', …)`, 'a loader as its third argument', load);
      }
      return this.engine.reader.read(state, key, (context) =>
        capped(state, context, () => load(context)),
      ) as Promise<Value | R>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The value `get` would answer with at once, were nothing in trouble; `undefined` if it would load, or throw. */
  async peek<Value, Key extends EntityKey>(
    entity: Entity<Value, Key>,
    key: Key,
  ): Promise<Value | undefined> {
    const state = this.engine.entities.stateOf(entity);
    return (await this.engine.reader.peek(state, key)) as Value | undefined;
  }

  /**
   * The values under `keys`, in their order. `load` is called once, for the keys the cache cannot answer and nobody is
   * loading, and resolves to as many values in the same order.
   */
  async getMany<Value, Key extends EntityKey>(
    entity: Entity<Value, Key>,
    keys: readonly Key[],
    load: (missing: readonly Key[], context: LoadContext) => Promise<readonly NoInfer<Value>[]>,
  ): Promise<Value[]> {
    const state = this.engine.entities.stateOf(entity);
    if (typeof load !== 'function') {
      throw misused(`getMany('${entity.name}', …)`, 'a loader as its third argument', load);
    }
    idsOf(keys, entity.name);
    return (await readMany(this.engine.reader, state, keys, load as LoadMany)) as Value[];
  }

  /**
   * Loads the value under `key` and stores it, whatever is there: to warm, or to overwrite. Stored under the same
   * conditions as the result of a `@WriteThrough` method; what another write overlapped with is invalidated instead. If
   * loading fails, what is there stays.
   *
   * @throws {CacheInvalidationUnacknowledgedError} CACHE_INVALIDATION_UNACKNOWLEDGED, where the contract says
   * `onUnacknowledged: 'fail'`
   */
  async prime<Value, Key extends EntityKey>(
    entity: Entity<Value, Key>,
    key: Key,
    load: (context: LoadContext) => Promise<NoInfer<Value>>,
  ): Promise<Value> {
    const state = this.engine.entities.stateOf(entity);
    if (typeof load !== 'function') {
      throw misused(`prime('${entity.name}', …)`, 'a loader as its third argument', load);
    }
    const id = idOf(key, entity.name);
    const asked = (context: LoadContext) => capped(state, context, () => load(context));
    return (await this.engine.writer.prime(state, id, asked, calls.getStore())) as Value;
  }

  /**
   * When it resolves, no call in this process gets a value whose load began before it, loads under way included.
   *
   * Where processes share the entry and it is acknowledged, nothing of such a load is stored for others any more. In another
   * process a call may still join a load that was under way there, or get the copy that it keeps where the contract bears
   * that, at most for its ttl.
   *
   * `atLeast`: for entities with a `version`. A value that is there and as new stays; an older one is refused from now on.
   *
   * @throws {CacheInvalidationUnacknowledgedError} CACHE_INVALIDATION_UNACKNOWLEDGED in place of `'pending'`, where the
   * contract says `onUnacknowledged: 'fail'`
   */
  async invalidate<Key extends EntityKey>(
    entity: Entity<any, Key>,
    key: Key,
    { atLeast }: { readonly atLeast?: Version } = {},
  ): Promise<InvalidationOutcome> {
    const state = this.engine.entities.stateOf(entity);
    const { invalidator } = this.engine;
    const [id, trace] = [idOf(key, entity.name), calls.getStore()];
    const outcome = await (atLeast === undefined
      ? invalidator.invalidate(state, id, trace)
      : invalidator.invalidateBelow(state, id, versionOf(atLeast), trace));
    return acknowledged(state.policy, outcome);
  }

  /**
   * The same for all entries that carry the tag, of every entity. Costs the same however many they are. Never rejects
   * because a store could not be told: it may concern entities of several contracts.
   */
  async invalidateTag(tag: string): Promise<InvalidationOutcome> {
    if (!isTag(tag)) {
      throw new CacheUsageError(
        'CACHE_ARGUMENT_INVALID',
        `EntityCache.invalidateTag(…) expected a text that is not empty, got ${show(tag)}`,
        "pass one tag, as values carry it: 'category:tea'; for all entries of an entity call invalidateFamily(entity).",
      );
    }
    return Promise.resolve(this.engine.invalidator.invalidateTag(tag, calls.getStore()));
  }

  /**
   * The same for all entries of the entity.
   *
   * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID where processes share the entries, and this one does not hear what
   * others invalidate
   * @throws {CacheInvalidationUnacknowledgedError} where the contract says `onUnacknowledged: 'fail'`
   */
  async invalidateFamily(entity: AnyEntity): Promise<InvalidationOutcome> {
    const state = this.engine.entities.stateOf(entity);
    const outcome = await Promise.resolve(
      this.engine.invalidator.invalidateFamily(state, calls.getStore()),
    );
    return acknowledged(state.policy, outcome);
  }

  /** Runs `work`; inside it, and in all it awaits, calls of the entities in `bypass` ask the source. */
  context<T>({ bypass }: { readonly bypass: readonly AnyEntity[] }, work: () => T): T {
    if (!Array.isArray(bypass))
      throw misused('context({ bypass }, …)', 'an array of entities', bypass);
    if (typeof work !== 'function')
      throw misused('context({ bypass }, …)', 'a function to run', work);
    const outer = calls.getStore();
    const accepts = new Map(outer?.accepts);
    for (const entity of bypass as readonly AnyEntity[]) {
      accepts.set(this.engine.entities.stateOf(entity), NOTHING_CACHED);
    }
    return calls.run({ ...outer, accepts }, work);
  }

  /**
   * Changes the entry under `key`: the same as a call of a `@WriteBehind` method. Resolves once the mutation is accepted,
   * to the same with its `receipt`; where the request writes through, once it is written, without one.
   *
   * @throws {CacheJournalFullError} CACHE_JOURNAL_FULL
   * @throws {CacheUsageError} CACHE_KEY_INVALID, CACHE_ARGUMENT_INVALID, CACHE_NOT_RUNNING
   */
  async mutate<Value, Key extends EntityKey, M extends Mutation<NoInfer<Value>>>(
    entity: Entity<Value, Key>,
    key: Key,
    mutation: M,
  ): Promise<M> {
    return (await mutate(this.engine, entity, key, mutation)) as M;
  }

  /**
   * The journal of a write-behind entity.
   *
   * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID if the entity has none
   */
  journal<E extends AnyEntity>(entity: E): JournalOf<E> {
    const behind = this.engine.behindOf(entity);
    return {
      status: () => behind.status,
      flush: () => behind.flush(),
      deadLetters: () => behind.deadLetters(),
      retry: (letter) => behind.retry(letter),
      discard: (letter) => behind.discard(letter),
    };
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
      getMany: (keys, load) => this.getMany(entity, keys, load),
      prime: (key, load) => this.prime(entity, key, load),
      invalidate: (key, options) => this.invalidate(entity, key, options),
      invalidateFamily: () => this.invalidateFamily(entity),
      mutate: (key, mutation) => this.mutate(entity, key, mutation),
      contract: () => this.contract(entity),
      journal: () => this.journal(entity),
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

function versionOf(atLeast: Version): Comparable {
  const version = comparable(atLeast);
  if (version === undefined) {
    throw misused('invalidate(…, { atLeast })', 'a number, a bigint or a Date', atLeast);
  }
  return version;
}
