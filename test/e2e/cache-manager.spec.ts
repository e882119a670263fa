import 'reflect-metadata';
import {
  Cache as TheirCache,
  CACHE_MANAGER as THEIR_TOKEN,
  CacheModule as TheirModule,
} from '@nestjs/cache-manager';
import { Inject, Injectable, Module, type DynamicModule } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import type { Cache as TypeOfCache } from 'cache-manager';
import {
  entity,
  EntityCache,
  onCacheEvent,
  origin,
  readThrough,
  writeBehind,
  writeThrough,
  type Contract,
  type Defined,
} from 'nestjs-cache-contract';
import { Cache, CACHE_MANAGER, CacheManagerModule } from 'nestjs-cache-contract/cache-manager';
import { deferred } from '../support/engine.js';
import { start } from './apps/start.js';

const contract = {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m', jitter: 0 }),
  write: writeThrough(),
} as const satisfies Contract<Defined>;
const Legacy = entity<Defined>('legacy', contract);
const Sessions = entity<Defined>('session', contract);

/** As somebody has written it for @nestjs/cache-manager. */
@Injectable()
class Rates {
  queries = 0;
  constructor(@Inject(THEIR_TOKEN) readonly cache: TypeOfCache) {}

  of(currency: string): Promise<number> {
    return this.cache.wrap(`rate:${currency}`, async () => ++this.queries, 5_000);
  }

  /** Cache-aside, with a default where nothing is known. */
  async label(currency: string): Promise<string> {
    const known = await this.cache.get<string>(`label:${currency}`);
    if (known !== undefined) return known;
    this.queries++;
    return this.cache.set(`label:${currency}`, currency.toUpperCase());
  }

  async forget(currency: string): Promise<void> {
    await this.cache.mdel([`rate:${currency}`, `label:${currency}`]);
  }
}

describe.each([
  ['@nestjs/cache-manager', [TheirModule.register({ ttl: 5_000 })]],
  ['nestjs-cache-contract', [CacheManagerModule.register({ entity: Legacy, ttl: 5_000 })]],
])('a service that injects CACHE_MANAGER, with %s', (_, imports: DynamicModule[]) => {
  it('loads once, answers from the cache, and forgets', async () => {
    const rates = (await start({ imports, providers: [Rates] })).get(Rates);
    expect(await Promise.all([rates.of('eur'), rates.of('eur')])).toEqual([1, 1]);
    expect([await rates.label('eur'), await rates.label('eur')]).toEqual(['EUR', 'EUR']);
    expect(rates.queries).toBe(2);
    await rates.forget('eur');
    expect([await rates.of('eur'), await rates.label('eur')]).toEqual([3, 'EUR']);
    expect(rates.queries).toBe(4);
  });
});

describe('CacheManagerModule', () => {
  const register = CacheManagerModule.register.bind(CacheManagerModule);

  it('has the token of @nestjs/cache-manager, and one cache for it and for the class', async () => {
    expect(CACHE_MANAGER).toBe(THEIR_TOKEN);
    const app = await start({ imports: [register({ entity: Legacy })] });
    expect(app.get(CACHE_MANAGER)).toBe(app.get(Cache));
    expect(app.get(Cache)).toBeInstanceOf(Cache);
    expect(() => app.get(TheirCache)).toThrow();
  });

  it('is there for all modules where it is global, and else for those that import it', async () => {
    @Module({ providers: [Rates] })
    class Feature {}
    const app = await start({ imports: [register({ entity: Legacy, isGlobal: true }), Feature] });
    expect(await app.get(Rates).of('eur')).toBe(1);
    const apart = start({ imports: [register({ entity: Legacy }), Feature] });
    await expect(apart).rejects.toThrow('CACHE_MANAGER');
  });

  it('gives each module that registers an entity of its own a cache of its own', async () => {
    @Injectable()
    class Users extends Rates {}
    @Module({ imports: [register({ entity: Legacy })], providers: [Rates] })
    class First {}
    @Module({ imports: [register({ entity: Sessions })], providers: [Users] })
    class Second {}
    const app = await start({ imports: [First, Second] });
    const [first, second] = [app.get(Rates).cache, app.get(Users).cache];
    await first.set('a', 1);
    expect([await first.get('a'), await second.get('a')]).toEqual([1, undefined]);
    expect([first.cacheId(), second.cacheId()]).toEqual(['legacy', 'session']);
    await second.clear();
    expect(await first.get('a')).toBe(1);
  });

  it('takes its times from a factory, with what that injects', async () => {
    const settings = {
      module: class Settings {},
      global: true,
      providers: [{ provide: 'TTL', useValue: 5_000 }],
      exports: ['TTL'],
    };
    const module = CacheManagerModule.registerAsync({
      entity: Legacy,
      inject: ['TTL'],
      useFactory: async (ttl: number) => ({ ttl }),
    });
    const app = await start({ imports: [settings, module] });
    const cache = app.get(Cache);
    await cache.set('a', 1);
    const left = (await cache.ttl('a'))! - Date.now();
    expect(left).toBeLessThanOrEqual(5_000);
    expect(left).toBeGreaterThan(0);
  });

  it('keeps its keys in an entity like any other: the same entries, events and contract', async () => {
    const app = await start({ imports: [register({ entity: Legacy })] });
    const [cache, entities] = [app.get(Cache), app.get(EntityCache)];
    const seen: string[] = [];
    const names = ['hit', 'miss', 'join', 'load', 'fill', 'invalidate'] as const;
    const stops = names.map((name) =>
      onCacheEvent(name, (event) => seen.push(`${name} ${event.entity}`)),
    );
    await cache.get('a');
    await Promise.all([cache.wrap('a', async () => 1), cache.wrap('a', async () => 2)]);
    await cache.get('a');
    expect(await entities.get(Legacy, 'a', async () => 3)).toBe(1);
    await entities.invalidate(Legacy, 'a');
    expect(await cache.get('a')).toBeUndefined();
    for (const stop of stops) stop();
    const of = (...names: string[]) => names.map((name) => `${name} legacy`);
    expect(seen).toEqual(
      of('miss', 'miss', 'miss', 'join', 'load', 'fill', 'hit', 'hit', 'invalidate', 'miss'),
    );
    expect(entities.contract(Legacy)).toMatchObject({ entity: 'legacy', read: { ttlMs: 60_000 } });
  });

  it('loads no more at once than the origin of the entity can take', async () => {
    const database = origin('database', { maxConcurrent: 2 });
    const Capped = entity<Defined>('capped', { ...contract, origin: database });
    const cache = (await start({ imports: [register({ entity: Capped })] })).get(Cache);
    const gate = deferred<number>();
    let [running, most] = [0, 0];
    const load = async () => {
      most = Math.max(most, ++running);
      await gate.promise;
      return running--;
    };
    const calls = ['a', 'b', 'c', 'd'].map((key) => cache.wrap(key, load));
    await new Promise(setImmediate);
    gate.resolve(1);
    await Promise.all(calls);
    expect(most).toBe(2);
  });

  it('asks the source within context({ bypass })', async () => {
    const app = await start({ imports: [register({ entity: Legacy })] });
    const cache = app.get(Cache);
    await cache.set('a', 'kept');
    const load = () => cache.wrap('a', () => 'asked');
    expect(await app.get(EntityCache).context({ bypass: [Legacy] }, load)).toBe('asked');
    expect(await load()).toBe('kept');
  });

  it('lets calls pass through after the application has ended', async () => {
    const app = await start({ imports: [register({ entity: Legacy })] });
    const cache = app.get(Cache);
    await cache.set('a', 1);
    await app.close();
    expect([await cache.set('a', 2), await cache.get('a')]).toEqual([2, undefined]);
    expect(await cache.wrap('a', () => 3)).toBe(3);
    expect([await cache.del('a'), await cache.disconnect()]).toEqual([true, undefined]);
  });
});

describe('what is wrong with CacheManagerModule', () => {
  const report = async (...imports: DynamicModule[]) => {
    const started = start({ imports });
    return started.then(
      () => 'it started',
      ({ message }: Error) => message,
    );
  };

  it('is told at the start, with all other faults', async () => {
    const Behind = entity<Defined>('behind', {
      ...contract,
      maxStaleness: '1h',
      write: writeBehind(),
    });
    const Broken = entity<Defined>('broken', { ...contract, raed: 1 } as never);
    const said = await report(
      CacheManagerModule.register({ entity: Legacy, ttl: '2m' }),
      CacheManagerModule.register({ entity: Sessions, ttl: 'soon', stores: [], tll: 1 } as never),
      CacheManagerModule.register({ entity: Behind }),
      CacheManagerModule.register({ entity: Broken }),
      CacheManagerModule.register({ isGlobal: true } as never),
    );
    expect(said.split('\n\n').slice(1)).toEqual(
      [
        [
          '[CACHE_ENTITY_EXPECTED] expected an entity made by entity(), got undefined.',
          'CacheManagerModule.register()',
          'pass the constant your contract file exports; if it is undefined here, two files import each other: move the contract into a file of its own.',
        ],
        [
          "[CACHE_WRITE_CONTRADICTED] what is set in CACHE_MANAGER would overtake what waits to be written to 'behind', whose contract says that it is written behind.",
          "CacheManagerModule.register() with entity 'behind'",
          'give it an entity of its own, with `write: writeThrough()`.',
        ],
        [
          "[CACHE_OPTION_INVALID] `ttl` of CacheManagerModule must not be longer than the one of entity 'legacy' (1m), got 2m.",
          "CacheManagerModule.register() with entity 'legacy'",
          "lower it to '1m' or less, or raise the `ttl` in the contract.",
        ],
        [
          "[CACHE_OPTION_INVALID] `ttl` of CacheManagerModule must be a duration from 1ms to 30d, got 'soon' (string).",
          "CacheManagerModule.register() with entity 'session'",
          "write milliseconds as a number, or one number with one unit: '250ms', '30s', '5m', '1h', '7d'.",
        ],
        [
          '[CACHE_OPTION_UNKNOWN] CacheManagerModule has no option `stores`.',
          "CacheManagerModule.register() with entity 'session'",
          'name where entries are kept in CacheModule.forRoot({ store }), and in the contract of the entity with `store`.',
        ],
        [
          '[CACHE_OPTION_UNKNOWN] CacheManagerModule has no option `tll`.',
          "CacheManagerModule.register() with entity 'session'",
          'write `ttl` instead of `tll`.',
        ],
        [
          "[CACHE_FLUSH_MISSING] entity 'behind' is written behind, and no method writes its batches.",
          "entity 'behind', used by CacheManagerModule.register()",
          'put @Flushes on the method of a provider that writes them: @Flushes(Views, { ledger: ShopLedger }), or @Flushes(Notes) where writing twice does no harm.',
        ],
        [
          "[CACHE_OPTION_UNKNOWN] entity 'broken' has no option `raed`.",
          "entity 'broken', used by CacheManagerModule.register()",
          'write `read` instead of `raed`.',
        ],
      ].map(([problem, at, fix], i) => `${i + 1}. ${problem}\n   At:  ${at}\n   Fix: ${fix}`),
    );
  });

  it.each([undefined, null, 'legacy'])('is told at once where it is given %s', (given) => {
    expect(() => CacheManagerModule.register(given as never)).toThrow(
      `CacheManagerModule.register() expected an object of options, got ${given === 'legacy' ? "'legacy' (string)" : given}. ` +
        'Fix: write CacheManagerModule.register({ entity: Legacy }), with Legacy made by entity().',
    );
    expect(() => CacheManagerModule.registerAsync(given as never)).toThrow('useFactory');
  });

  it('is told where a factory gives no options', async () => {
    const module = CacheManagerModule.registerAsync({
      entity: Legacy,
      useFactory: () => undefined as never,
    });
    expect(await report(module)).toContain(
      '[CACHE_OPTION_INVALID] what is declared for CacheManagerModule must be an object of options, got undefined.',
    );
  });

  it('is told where a factory gives what stands beside it, and nothing else', async () => {
    const useFactory = () => ({ entity: Legacy, isGlobal: true }) as object;
    const said = await report(CacheManagerModule.registerAsync({ useFactory } as never));
    const told = (name: string, example: string) =>
      `[CACHE_OPTION_INVALID] \`${name}\` of CacheManagerModule is told by a factory, and has to be known before that is asked.\n` +
      `   At:  CacheManagerModule.registerAsync()\n` +
      `   Fix: write it beside the factory: registerAsync({ ${example}, useFactory: () => ({ … }) }).`;
    const faults = [told('entity', 'entity: Legacy'), told('isGlobal', 'isGlobal: true')];
    expect(said.split('\n\n').slice(1)).toEqual(faults.map((fault, i) => `${i + 1}. ${fault}`));
  });

  it('is told where `isGlobal` is neither true nor false', async () => {
    const module = CacheManagerModule.register({ entity: Legacy, isGlobal: 'yes' } as never);
    expect(await report(module)).toContain(
      "`isGlobal` of CacheManagerModule must be true or false, got 'yes' (string).",
    );
  });

  it('is told where it is loaded lazily, when that happens', async () => {
    const app = await start({});
    const module = CacheManagerModule.register({ entity: Legacy, ttl: 'soon' } as never);
    const loading = app.get(LazyModuleLoader).load(() => module);
    await expect(loading).rejects.toThrow('`ttl` of CacheManagerModule must be a duration');
  });

  it('is told where CacheModule is missing', async () => {
    const imports = [CacheManagerModule.register({ entity: Legacy })];
    const compiled = Test.createTestingModule({ imports }).compile();
    await expect(compiled).rejects.toThrow('CacheModule.forRoot()');
  });
});
