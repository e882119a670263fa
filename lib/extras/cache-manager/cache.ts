import { EventEmitter } from 'node:events';
import type { AnyEntity } from '../../contract/entity.js';
import { acknowledged } from '../../invalidation/acknowledged.js';
import type { InvalidationOutcome } from '../../invalidation/invalidator.js';
import type { Engine } from '../../nest/engine.js';
import { calls, type LoadContext } from '../../read/call-context.js';
import { capped } from '../../read/capped.js';
import type { Held } from '../../read/reader.js';
import type { EntityState } from '../../store/entity-state.js';
import type { CacheManagerEvents } from './events.js';
import { idOfKey } from './key.js';
import {
  keptFor,
  thresholdOf,
  wrapOptions,
  type OfValue,
  type Wrap,
  type WrapOptions,
} from './wrap.js';

/** Without times of their own, calls use these. Milliseconds. */
export interface Standards {
  readonly ttl?: number;
  readonly refreshThreshold?: number;
}

/**
 * The calls of cache-manager, for one entity: assignable to its `Cache`, and a class token.
 *
 * What they do differently is listed in docs/from-nestjs-cache-manager.md.
 */
export class Cache {
  /** There are no Keyv stores: where entries are kept says the contract. */
  readonly stores: never[] = [];
  private readonly emitter = new EventEmitter();

  constructor(
    private readonly engine: Engine,
    private readonly entity: AnyEntity,
    private readonly standards: Standards,
  ) {}

  // Properties, because in cache-manager they work without their object too: `const { get } = cache`.

  /** The value under `key`; `undefined` if there is none. Loads nothing. */
  readonly get = async <T>(key: string): Promise<T | undefined> => {
    const held = await this.held(key, true);
    if (held !== undefined) this.tell('get', { key, value: held.value });
    return held?.value as T | undefined;
  };

  readonly mget = async <T>(keys: string[]): Promise<Array<T | undefined>> => {
    const held = await Promise.all(keys.map((key) => this.held(key, true)));
    const values = held.map((found) => found?.value as T | undefined);
    this.tell('mget', { keys, values });
    return values;
  };

  /** Up to when the value under `key` is fresh, in epoch milliseconds. */
  readonly ttl = async (key: string): Promise<number | undefined> => {
    const held = await this.held(key);
    return held && expiryOf(held);
  };

  /** Resolves to `value` once it is kept. `ttl` in milliseconds; the contract's is a bound. */
  readonly set = async <T>(key: string, value: T, ttl?: number): Promise<T> => {
    this.heard('set', { key, value }, [await this.put(key, value, ttl)]);
    return value;
  };

  readonly mset = async <T>(
    list: Array<{ key: string; value: T; ttl?: number }>,
  ): Promise<Array<{ key: string; value: T; ttl?: number }>> => {
    const put = list.map(({ key, value, ttl }) => this.put(key, value, ttl));
    const outcomes = await Promise.all(put);
    const kept = list.map(({ key, value, ttl }) => ({
      key,
      value,
      ttl: ttl ?? this.standards.ttl,
    }));
    this.heard('mset', { list: kept }, outcomes);
    return kept;
  };

  /** When it resolves, no call gets the old value. False if a store that processes share could not be told yet. */
  readonly del = async (key: string): Promise<boolean> => {
    return this.heard('del', { key }, [await this.remove(key)]);
  };

  readonly mdel = async (keys: string[]): Promise<boolean> => {
    const outcomes = await Promise.all(keys.map((key) => this.remove(key)));
    return this.heard('mdel', { keys }, outcomes);
  };

  /**
   * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID where processes share the entries, and this one does not hear what
   * others invalidate
   * @throws {CacheInvalidationUnacknowledgedError}
   */
  readonly clear = async (): Promise<boolean> => {
    try {
      const { invalidator } = this.engine;
      const outcome = await Promise.resolve(
        invalidator.invalidateFamily(this.state, calls.getStore()),
      );
      acknowledged(this.state.policy, outcome);
      this.tell('clear');
      return outcome === 'acknowledged';
    } catch (error) {
      this.tell('clear', error);
      throw error;
    }
  };

  /** The value under `key`, loaded by `load` if there is none: once for all who ask meanwhile. */
  readonly wrap: Wrap = async <T>(
    key: string,
    load: () => T | Promise<T>,
    third?: OfValue<T> | (WrapOptions<T> & { raw?: true }),
    fourth?: OfValue<T>,
  ): Promise<any> => {
    const { ttl, refreshThreshold, raw } = wrapOptions(third, fourth);
    const { state } = this;
    const id = idOfKey(key, this.entity.name);
    let ran = false;
    const loading = (context: LoadContext) =>
      capped(state, context, async () => {
        ran = true;
        const value = await load();
        const ms = keptFor(ttl, value, this.standards.ttl);
        if (ms < Infinity) context.ttl(Math.max(0, ms));
        return value;
      });
    const threshold = refreshThreshold ?? this.standards.refreshThreshold;
    // Looked for before, so that what is loaded by this call is not loaded once more behind it.
    const held = threshold === undefined ? undefined : await this.held(key);
    const value = (await this.engine.reader.read(state, key, loading)) as T;
    if (ran) {
      // Where others share it, so that the next call finds it, whoever makes it.
      await state.storing.get(id);
      this.tell('set', { key, value });
    } else if (held !== undefined && this.isToBeRefreshed(held, refreshThreshold)) {
      this.refresh(key, held, () => ran, loading);
    }
    if (raw !== true) return value;
    const kept = await this.held(key);
    return { value, expires: kept && expiryOf(kept) };
  };

  readonly on = <E extends keyof CacheManagerEvents>(
    event: E,
    listener: CacheManagerEvents[E],
  ): EventEmitter => this.emitter.on(event, listener);

  readonly off = <E extends keyof CacheManagerEvents>(
    event: E,
    listener: CacheManagerEvents[E],
  ): EventEmitter => this.emitter.off(event, listener);

  /** Does nothing: the cache ends with its application. */
  readonly disconnect = (): Promise<undefined> => Promise.resolve(undefined);

  /** The name of the entity. */
  readonly cacheId = (): string => this.entity.name;

  private get state(): EntityState {
    return this.engine.entities.stateOf(this.entity);
  }

  private held(key: string, told = false): Promise<Held | undefined> {
    idOfKey(key, this.entity.name);
    return this.engine.reader.held(this.state, key, told);
  }

  private async put(
    key: string,
    value: unknown,
    ttl: number | undefined,
  ): Promise<InvalidationOutcome> {
    const id = idOfKey(key, this.entity.name);
    const ms = keptFor(ttl, value, this.standards.ttl);
    // What has expired before it is set is gone.
    if (ms < 0) return this.remove(key);
    const put = this.engine.writer.put(this.state, id, value, ms, calls.getStore());
    return (await put) ?? 'acknowledged';
  }

  private async remove(key: string): Promise<InvalidationOutcome> {
    const id = idOfKey(key, this.entity.name);
    return this.engine.invalidator.invalidate(this.state, id, calls.getStore());
  }

  /**
   * Whether all of it is acknowledged. An error is told of with what was asked, and thrown, as in cache-manager.
   *
   * @throws {CacheInvalidationUnacknowledgedError}
   */
  private heard(event: string, data: object, outcomes: readonly InvalidationOutcome[]): boolean {
    try {
      for (const outcome of outcomes) acknowledged(this.state.policy, outcome);
    } catch (error) {
      this.tell(event, { ...data, error });
      throw error;
    }
    this.tell(event, data);
    return outcomes.every((outcome) => outcome === 'acknowledged');
  }

  private isToBeRefreshed<T>(held: Held, asked: OfValue<T> | undefined): boolean {
    const ms = thresholdOf(asked, held.value as T, this.standards.refreshThreshold);
    return ms !== undefined && held.freshForMs < ms;
  }

  private refresh(
    key: string,
    held: Held,
    /** Whether it came to a load: it may be left to another process, or find no room at its origin. */
    hasRun: () => boolean,
    load: (context: LoadContext) => unknown,
  ): void {
    let value: unknown;
    const keeping = async (context: LoadContext) => (value = await load(context));
    void this.engine.reader.loadBehind(this.state, key, keeping, held)?.then(
      () => {
        if (!hasRun()) return;
        this.tell('set', { key, value });
        this.tell('refresh', { key, value });
      },
      (error: unknown) => {
        if (hasRun()) this.tell('refresh', { key, value: held.value, error });
      },
    );
  }

  /** A listener that throws is told of as a fault: no call fails by it. */
  private tell(event: string, ...data: unknown[]): void {
    try {
      this.emitter.emit(event, ...data);
    } catch {
      const { name } = this.entity;
      const message = `A listener to '${event}' of CACHE_MANAGER threw. Fix: look at what is given to cache.on('${event}', …).`;
      this.engine.events.fault('CACHE_CALLBACK_FAILED', name, message, calls.getStore());
    }
  }
}

function expiryOf({ freshForMs }: Held): number {
  return Math.floor(Date.now() + freshForMs);
}
