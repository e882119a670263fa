import 'reflect-metadata';
import {
  bypass,
  Cached,
  CachedMany,
  currentLoad,
  entity,
  EntityCache,
  invalidate,
  readThrough,
  staleWhileRevalidate,
  type AnyEntity,
  type LoadContext,
} from 'nestjs-cache-contract';
import { CacheStrategyInterceptor } from '../../../lib/nest/cache-strategy.interceptor.js';
import { bind } from '../../../lib/nest/decorate.js';
import { deferred, testEngine } from '../../support/engine.js';

const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '1m', jitter: 0, negativeTtl: '5s', loadTimeout: '3s' }),
  write: invalidate(),
} as const;
const Things = entity<string | null>('thing', contract);
const Fallible = entity<string>('fallible', {
  ...contract,
  absentWhen: (error) => error instanceof RangeError,
});
const Lasting = entity<string>('lasting', {
  ...contract,
  read: staleWhileRevalidate({ ttl: '1m', staleFor: '10m', jitter: 0 }),
});
const Through = entity<string>('through', { ...contract, read: bypass() });

/** A loader of many that answers each key with the number of its call, and remembers what it was asked for. */
function source() {
  const calls: string[] = [];
  const load = async (ids: readonly string[]) => {
    const call = calls.push(ids.join(','));
    await Promise.resolve();
    return ids.map((id) => `${id}${call}`);
  };
  return { calls, load };
}

function setUp() {
  const test = testEngine();
  const cache = new EntityCache(test.engine);
  return {
    ...test,
    cache,
    /** The values of `a`, `b` and `c` that are held. */
    held: async (entity: AnyEntity = Things) => [
      await cache.peek(entity, 'a'),
      await cache.peek(entity, 'b'),
      await cache.peek(entity, 'c'),
    ],
  };
}

describe('getMany', () => {
  it('answers in the order of the keys, by one call for what is missing', async () => {
    const { cache, read } = setUp();
    const { calls, load } = source();
    await read(Things, 'b', () => 'B');
    expect(await cache.getMany(Things, ['c', 'b', 'a'], load)).toEqual(['c1', 'B', 'a1']);
    expect(await cache.getMany(Things, ['a', 'b', 'c', 'd'], load)).toEqual([
      'a1',
      'B',
      'c1',
      'd2',
    ]);
    expect(calls).toEqual(['c,a', 'd']);
  });

  it('stores each value as if it were loaded alone', async () => {
    const { cache, read, clock } = setUp();
    await cache.getMany(Things, ['a', 'b'], source().load);
    expect(await read(Things, 'b', () => 'again')).toBe('b1');
    clock.advance(60_000);
    expect(await read(Things, 'b', () => 'again')).toBe('again');
  });

  it('asks once for a key that is asked for twice, however it is written', async () => {
    const { cache } = setUp();
    const Numbers = entity<string, number | string>('number', contract);
    const asked: unknown[] = [];
    const load = async (ids: readonly (number | string)[]) => {
      asked.push(ids);
      return ids.map((id) => `value ${id}`);
    };
    expect(await cache.getMany(Numbers, [1, 2, '1', 1], load)).toEqual([
      'value 1',
      'value 2',
      'value 1',
      'value 1',
    ]);
    expect(asked).toEqual([[1, 2]]);
  });

  it('asks nobody for no keys, nor for keys that are all held', async () => {
    const { cache } = setUp();
    const { calls, load } = source();
    expect(await cache.getMany(Things, [], load)).toEqual([]);
    await cache.getMany(Things, ['a'], load);
    await cache.getMany(Things, ['a', 'a'], load);
    expect(calls).toEqual(['a']);
  });

  it('joins a load of a single key, and is joined by one', async () => {
    const { cache, read } = setUp();
    const { calls, load } = source();
    const [single, many] = [deferred<string>(), deferred<void>()];
    const first = read(Things, 'a', () => single.promise);
    const all = cache.getMany(Things, ['a', 'b'], async (ids) => {
      await many.promise;
      return load(ids);
    });
    const third = read(Things, 'b', () => 'not asked');
    const others = cache.getMany(Things, ['b', 'c'], load);
    single.resolve('A');
    many.resolve();
    expect(await first).toBe('A');
    expect(await all).toEqual(['A', 'b2']);
    expect(await third).toBe('b2');
    expect(await others).toEqual(['b2', 'c1']);
    expect(calls).toEqual(['c', 'b']);
  });

  it('remembers what there is not, for the shorter time', async () => {
    const { cache, clock } = setUp();
    const { calls, load } = source();
    const find = () =>
      cache.getMany(Things, ['a', 'b'], async (ids) =>
        (await load(ids)).map((value) => (value.startsWith('b') ? null : value)),
      );
    expect(await find()).toEqual(['a1', null]);
    expect(await find()).toEqual(['a1', null]);
    clock.advance(5_000);
    expect(await find()).toEqual(['a1', null]);
    expect(calls).toEqual(['a,b', 'b']);
  });

  it('stores no undefined, and what stands beside it', async () => {
    const { cache, held } = setUp();
    const load = async () => [undefined as unknown as null, 'b'];
    expect(await cache.getMany(Things, ['a', 'b'], load)).toEqual([undefined, 'b']);
    expect(await held()).toEqual([undefined, 'b', undefined]);
  });

  it('serves stale values at once where the contract does, and loads all of them again by one call', async () => {
    const { cache, clock, engine, held } = setUp();
    const { calls, load } = source();
    const find = () => cache.getMany(Lasting, ['a', 'b', 'c'], load);
    await find();
    clock.advance(60_000);
    await cache.invalidate(Lasting, 'c');
    expect(await find()).toEqual(['a1', 'b1', 'c2']);
    await engine.background.drain();
    expect(calls).toEqual(['a,b,c', 'a,b,c']);
    expect(await held(Lasting)).toEqual(['a2', 'b2', 'c2']);
  });

  it('keeps stale values when loading them again fails, with nobody waiting and nothing unhandled', async () => {
    const { cache, clock, engine } = setUp();
    await cache.getMany(Lasting, ['a', 'b'], source().load);
    clock.advance(60_000);
    let failures = 0;
    const find = () =>
      cache.getMany(Lasting, ['a', 'b'], async () => {
        failures++;
        throw new Error('source is down');
      });
    expect(await find()).toEqual(['a1', 'b1']);
    await engine.background.drain();
    expect(await find()).toEqual(['a1', 'b1']);
    expect(failures).toBe(1);
  });

  it.each([
    ['too few', ['a1']],
    ['too many', ['a1', 'b1', 'c1']],
    ['no array', { a: 'a1', b: 'b1' }],
    ['nothing', undefined],
  ])('refuses an answer of %s, for all who wait, and stores none of it', async (_, answer) => {
    const { cache, read, held } = setUp();
    const gate = deferred<unknown>();
    const all = cache.getMany(Things, ['a', 'b'], () => gate.promise as Promise<string[]>);
    const joined = read(Things, 'a', () => 'not asked');
    gate.resolve(answer);
    for (const refused of [all, joined]) {
      await expect(refused).rejects.toMatchObject({
        code: 'CACHE_ARGUMENT_INVALID',
        message: expect.stringContaining("a loader of 'thing' was asked for 2 keys") as string,
      });
    }
    expect(await held()).toEqual([undefined, undefined, undefined]);
  });

  it('rejects with the error of its loader, unchanged, for all who wait', async () => {
    const { cache, read } = setUp();
    const gate = deferred<string[]>();
    const all = cache.getMany(Things, ['a', 'b'], () => gate.promise);
    const joined = read(Things, 'b', () => 'not asked');
    const error = new Error('down');
    gate.reject(error);
    await expect(all).rejects.toBe(error);
    await expect(joined).rejects.toBe(error);
    await expect(
      cache.getMany(Things, ['a'], () => {
        throw error;
      }),
    ).rejects.toBe(error);
  });

  it('takes an error that means absence for the absence of the one key, and of none where it asked for several', async () => {
    const { cache, read } = setUp();
    const gone = new RangeError('one of them is not there');
    const fails = () => Promise.reject(gone);
    await expect(cache.getMany(Fallible, ['a', 'b'], fails)).rejects.toBe(gone);
    expect(await read(Fallible, 'b', () => 'there')).toBe('there');
    await expect(cache.getMany(Fallible, ['c'], fails)).rejects.toBe(gone);
    await expect(read(Fallible, 'c', () => 'there')).rejects.toBe(gone);
  });

  it('expects as many values as it asked for, whatever the loader does to its keys', async () => {
    const { cache } = setUp();
    const inChunks = async (ids: readonly string[]) => {
      const rest = ids as string[];
      const values: string[] = [];
      while (rest.length > 0) values.push(...rest.splice(0, 2).map((id) => id.toUpperCase()));
      return values;
    };
    expect(await cache.getMany(Things, ['a', 'b', 'c'], inChunks)).toEqual(['A', 'B', 'C']);
  });

  it('refuses all before anything is loaded if one key cannot be meant', async () => {
    const { cache, held } = setUp();
    const { calls, load } = source();
    for (const keys of [['a', ''], ['a', '\ud800'], 'a' as unknown as string[], undefined!]) {
      await expect(cache.getMany(Things, keys, load)).rejects.toMatchObject({
        code: 'CACHE_KEY_INVALID',
      });
    }
    expect([calls, await held()]).toEqual([[], [undefined, undefined, undefined]]);
  });

  it('rejects what is no loader', async () => {
    const { cache } = setUp();
    await expect(cache.getMany(Things, ['a'], undefined!)).rejects.toMatchObject({
      code: 'CACHE_ARGUMENT_INVALID',
    });
  });

  it('shares no value that cannot be kept: who asked twice is answered twice', async () => {
    const { cache, warnings } = setUp();
    const Handles = entity<object>('handle', contract);
    class Handle {
      constructor(readonly id: string) {}
    }
    const asked: string[] = [];
    const load = async (ids: readonly string[]) => {
      asked.push(ids.join(','));
      return ids.map((id) => new Handle(id));
    };
    const [a, b, again] = await cache.getMany(Handles, ['a', 'b', 'a'], load);
    expect([a, b, again]).toEqual([{ id: 'a' }, { id: 'b' }, { id: 'a' }]);
    expect(a).not.toBe(again);
    expect(asked).toEqual(['a,b', 'a']);
    expect(warnings[0]).toContain('CACHE_VALUE_UNSTORABLE');
  });

  it('passes all keys to the source within context({ bypass }) and for entities that are not cached, by one call', async () => {
    const { cache, held } = setUp();
    const { calls, load } = source();
    const find = () => cache.getMany(Things, ['a', 'b'], load);
    await find();
    expect(await cache.context({ bypass: [Things] }, find)).toEqual(['a2', 'b2']);
    expect(await held()).toEqual(['a1', 'b1', undefined]);
    expect(await cache.getMany(Through, ['a', 'b'], load)).toEqual(['a3', 'b3']);
    expect(calls).toEqual(['a,b', 'a,b', 'a,b']);
  });

  it('aborts the signal of its loader when its time is up, and frees all keys', async () => {
    const { cache, clock, read } = setUp();
    let signal!: AbortSignal;
    const all = cache.getMany(Things, ['a', 'b'], (_, context) => {
      signal = context.signal;
      expect(currentLoad()).toBe(context);
      return new Promise(() => undefined);
    });
    const refused = expect(all).rejects.toMatchObject({ code: 'CACHE_LOAD_TIMEOUT' });
    clock.advance(2_999);
    expect(signal.aborted).toBe(false);
    clock.advance(1);
    expect(signal.aborted).toBe(true);
    await refused;
    expect(await read(Things, 'b', () => 'B')).toBe('B');
  });

  it('forgets of a running load only the key that is invalidated, and does not let it be joined', async () => {
    const { cache, read, held } = setUp();
    const gate = deferred<string[]>();
    const all = cache.getMany(Things, ['a', 'b', 'c'], () => gate.promise);
    await cache.invalidate(Things, 'b');
    const after = read(Things, 'b', () => 'new');
    expect(await after).toBe('new');
    gate.resolve(['a', 'old', 'c']);
    expect(await all).toEqual(['a', 'old', 'c']);
    expect(await held()).toEqual(['a', 'new', 'c']);
  });

  describe('what its loader says of the load is said of each key', () => {
    const say = async (what: (context: LoadContext) => void, entity = Things) => {
      const test = setUp();
      await test.cache.getMany(entity, ['a', 'b', 'c'], async (ids, context) => {
        await Promise.resolve();
        what(context);
        return [...ids];
      });
      return test;
    };

    it('skip()', async () => {
      const { held } = await say((load) => load.skip());
      expect(await held()).toEqual([undefined, undefined, undefined]);
    });

    it('ttl()', async () => {
      const { clock, held } = await say((load) => load.ttl('2s'));
      clock.advance(1_999);
      expect(await held()).toEqual(['a', 'b', 'c']);
      clock.advance(1);
      expect(await held()).toEqual([undefined, undefined, undefined]);
    });

    it('tags()', async () => {
      const { cache, held } = await say((load) => load.tags('all', 'these'));
      expect(await held()).toEqual(['a', 'b', 'c']);
      await cache.invalidateTag('these');
      expect(await held()).toEqual([undefined, undefined, undefined]);
    });
  });

  it('lets its loader read the keys it loads one by one, because it would wait for itself', async () => {
    const { cache, clock } = setUp();
    const load = (ids: readonly string[]) =>
      Promise.all(ids.map((id) => cache.get(Things, id, async () => id.toUpperCase())));
    const all = cache.getMany(Things, ['a', 'b'], load);
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    clock.advance(3_000); // what waits for itself ends here
    expect(await all).toEqual(['A', 'B']);
  });
});

describe('@CachedMany', () => {
  class Shop {
    calls: string[] = [];

    @CachedMany(Things)
    async many(ids: string[]): Promise<(string | null)[]> {
      currentLoad().tags('shop');
      this.calls.push(ids.join(','));
      return ids.map((id) => `${id}${this.calls.length}`);
    }
    @Cached(Things)
    async one(id: string): Promise<string | null> {
      return (await this.many([id]))[0]!;
    }
  }
  function shop() {
    const test = setUp();
    const it = new Shop();
    bind(it, new CacheStrategyInterceptor(test.engine));
    return { ...test, it };
  }

  it('is called with what is missing only, on its own object', async () => {
    const { it } = shop();
    expect(await it.many(['a', 'b', 'a'])).toEqual(['a1', 'b1', 'a1']);
    expect(await it.many(['c', 'b'])).toEqual(['c2', 'b1']);
    expect(await it.many([])).toEqual([]);
    expect(it.calls).toEqual(['a,b', 'c']);
  });

  it('shares its entries with @Cached, and can be what loads for it', async () => {
    const { it } = shop();
    expect(await it.one('a')).toBe('a1');
    expect(await it.many(['a', 'b'])).toEqual(['a1', 'b2']);
    expect(await it.one('b')).toBe('b2');
  });

  it('hears what it says by currentLoad() for each key', async () => {
    const { it, cache, held } = shop();
    await it.many(['a', 'b']);
    await cache.invalidateTag('shop');
    expect(await held()).toEqual([undefined, undefined, undefined]);
  });

  it('refuses keys that cannot be meant, and says where', async () => {
    const { it } = shop();
    for (const keys of [['a', ''], 'a', undefined]) {
      await expect(it.many(keys as string[])).rejects.toMatchObject({
        code: 'CACHE_KEY_INVALID',
        message: expect.stringContaining('Shop.many → @CachedMany(thing)') as string,
      });
    }
    expect(it.calls).toEqual([]);
  });

  it('is just its method outside dependency injection', async () => {
    const it = new Shop();
    expect(await it.many(['a', 'a'])).toEqual(['a1', 'a1']);
  });
});
