import 'reflect-metadata';
import cluster from 'node:cluster';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Logger, Module, type DynamicModule } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  CacheModule,
  DistributedLock,
  entity,
  EntityCache,
  onCacheEvent,
  type AbsorbedFault,
  type Contract,
  type Entity,
} from 'nestjs-cache-contract';
import { RedisLock, redisStore } from 'nestjs-cache-contract/redis';
import pg from 'pg';
import { hasPostgres, startPostgres } from '../support/postgres.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';
import {
  AccountService,
  AdminService,
  AppModule,
  Articles,
  Baskets,
  LockingModule,
  Profiles,
  RightsService,
  ShopService,
  watch,
} from './snippets/redis.js';

jest.setTimeout(60_000);

const page = readFileSync(join(import.meta.dirname, '../../docs/redis.md'), 'utf8');

async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 20_000; !(await holds()); await setTimeout(10)) {
    if (Date.now() > deadline) throw new Error('it did not happen within 20 seconds');
  }
}

/** One process of the application. */
async function start(module: DynamicModule | typeof AppModule = AppModule) {
  const testing = await Test.createTestingModule({ imports: [module] }).compile();
  const app = await testing.createNestApplication().init();
  return app;
}

@Module({})
class Bare {}

(hasRedis() ? describe : describe.skip)('Redis, as the page says', () => {
  let redis: TestRedis;
  let printed: string[];
  let faults: AbsorbedFault[];
  let stop: () => void;
  const apps: { close(): Promise<void> }[] = [];
  const opened = async (...args: Parameters<typeof start>) => {
    const app = await start(...args);
    apps.push(app);
    return app;
  };
  const shop = async () => {
    const app = await opened();
    return { service: app.get(ShopService), cache: app.get(EntityCache) };
  };
  const stored = (key: string) => redis.cli('EXISTS', key) === '1';
  const BASKET = 'shop:1:v:{basket:u1}';

  beforeAll(async () => {
    redis = (await startRedis())!;
    process.env.REDIS_URL = redis.url;
  });
  beforeEach(() => {
    redis.cli('FLUSHALL');
    printed = [];
    jest.spyOn(Logger.prototype, 'log').mockImplementation((text) => void printed.push(text));
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    faults = [];
    stop = onCacheEvent('fault', ({ code }) => faults.push(code));
  });
  afterEach(async () => {
    stop();
    await Promise.all(apps.splice(0).map((app) => app.close()));
    jest.restoreAllMocks();
  });
  afterAll(() => redis?.stop());

  it('prints the table that the page shows', async () => {
    await shop();
    expect(page).toContain(`\n${printed.find((text) => text.startsWith('Contracts'))}\n`);
  });

  it('loads once for all, keeps what it says it keeps, and forgets for all', async () => {
    const [one, other] = [await shop(), await shop()];
    await Promise.all(
      [one, other].flatMap(({ service }) => [service.profile('u1'), service.basket('u1')]),
    );
    expect([...one.service.loads, ...other.service.loads].sort()).toEqual([
      'basket u1',
      'profile u1',
    ]);
    await eventually(() => stored(BASKET));
    expect(redis.cli('--scan').split('\n').sort()).toEqual([
      // Who asks what is new; nothing was, so there are no messages.
      'shop:1:log:{log}',
      // Who keeps copies asks when all entries were invalidated last; who keeps none does not.
      'shop:1:log:{log}:t:f:profile',
      BASKET,
      'shop:1:v:{profile:u1}',
    ]);
    await other.service.put('u1', 'tea');
    one.service.loads = [];
    await one.service.basket('u1');
    expect(one.service.loads).toEqual(['basket u1']);
    await Promise.all([one.service.layout(), other.service.layout()]);
    expect(other.service.loads).toContain('layout');
    expect(one.service.loads).toContain('layout');
  });

  it('answers from a copy, until another process tells of a change', async () => {
    const [one, other] = [await shop(), await shop()];
    await one.service.article('u1');
    const copied = async () => {
      redis.cli('CONFIG', 'RESETSTAT');
      await other.service.article('u1');
      return !redis.cli('INFO', 'commandstats').includes('cmdstat_get:');
    };
    await eventually(copied);
    one.service.rows.set('u1', 'Grace');
    expect(await one.cache.invalidate(Articles, 'u1')).toBe('acknowledged');
    other.service.rows.set('u1', 'Grace');
    await eventually(async () => (await other.service.article('u1')) === 'Grace');
    expect(redis.cli('--scan')).toContain('shop:1:log:{log}:m');
  });

  it('keeps floors and leases under the keys of the page', async () => {
    const { cache } = await shop();
    const load = () => {
      expect(stored('shop:1:l:{basket:u1}')).toBe(true);
      return Promise.resolve(null);
    };
    await cache.get(Baskets, 'u1', load);
    const versioned = entity<number>('versioned', {
      maxStaleness: '1m',
      read: { ...Profiles.contract.read },
      write: Profiles.contract.write,
      version: (value) => value,
    });
    await cache.invalidate(versioned, 'u1', { atLeast: 5 });
    expect(Number(redis.cli('PTTL', 'shop:1:f:{versioned:u1}'))).toBeGreaterThan(0);
  });

  describe('while it is out of reach', () => {
    it.each(['frozen', 'dead'])(
      'asks the source when it is %s, and then shares again',
      async (state) => {
        const [one, other] = [await shop(), await shop()];
        await one.service.basket('u1');
        const counted: string[] = [];
        const stopWatching = watch((code) => counted.push(code));
        if (state === 'frozen') redis.freeze();
        else await redis.kill();
        for (let call = 0; call < 10; call++) {
          expect(await one.service.basket('u1')).toEqual({ lines: ['Ada'] });
        }
        await one.service.put('u1', 'tea');
        expect(await one.service.basket('u1')).toEqual({ lines: ['tea'] });
        expect(await one.cache.invalidate(Baskets, 'u1')).toBe('pending');
        if (state === 'frozen') redis.thaw();
        else await redis.restart();
        stopWatching();
        expect(new Set(counted)).toEqual(
          new Set(['CACHE_STORE_OUT_OF_REACH', 'CACHE_INVALIDATION_PENDING']),
        );
        other.service.rows.set('u1', 'tea');
        await eventually(async () => (await other.service.basket('u1'))!.lines[0] === 'tea');
        await eventually(
          async () => (await one.cache.invalidate(Baskets, 'u1')) === 'acknowledged',
        );
      },
    );

    it('asks the source once for all who ask meanwhile', async () => {
      const { cache } = await shop();
      let loads = 0;
      const load = async () => {
        loads++;
        await setTimeout(200);
        return null;
      };
      redis.freeze();
      await Promise.all(Array.from({ length: 100 }, () => cache.get(Baskets, 'u1', load)));
      redis.thaw();
      expect(loads).toBe(1);
    });

    it('starts, or does not where that is said', async () => {
      await redis.kill();
      const { service } = await shop();
      expect(await service.profile('u1')).toEqual({ name: 'Ada' });
      const store = redisStore({ url: redis.url, startWithout: false });
      const module = { module: Bare, imports: [CacheModule.forRoot({ namespace: 'shop', store })] };
      await expect(start(module)).rejects.toMatchObject({
        faults: [{ code: 'CACHE_STORE_UNFIT' }],
      });
      await redis.restart();
    });
  });

  it('serves what is there while it is full, asks the source for the rest, and forgets', async () => {
    const { service, cache } = await shop();
    await service.basket('u1');
    await eventually(() => stored(BASKET));
    redis.cli('CONFIG', 'SET', 'maxmemory', '1');
    service.loads = [];
    await service.basket('u1');
    for (let call = 0; call < 2; call++) await service.basket('u2');
    expect(service.loads).toEqual(['basket u2', 'basket u2']);
    expect(await cache.invalidate(Baskets, 'u1')).toBe('acknowledged');
    redis.cli('CONFIG', 'SET', 'maxmemory', '0');
    expect(stored(BASKET)).toBe(false);
  });

  it('serves what is there while it is a replica, and is told again when it is a primary', async () => {
    const { service, cache } = await shop();
    await service.basket('u1');
    await eventually(() => stored(BASKET));
    redis.cli('REPLICAOF', '127.0.0.1', '1');
    service.loads = [];
    await service.basket('u1');
    await service.basket('u2');
    expect(service.loads).toEqual(['basket u2']);
    expect(await cache.invalidate(Baskets, 'u1')).toBe('pending');
    expect(stored(BASKET)).toBe(true);
    redis.cli('REPLICAOF', 'NO', 'ONE');
    await eventually(() => !stored(BASKET));
  });

  it('tells the writer who has to know that others may still get the old value', async () => {
    const store = redisStore({ url: redis.url });
    const imports = [CacheModule.forRoot({ namespace: 'shop', store })];
    const providers = [RightsService, AdminService];
    const app = await opened({ module: Bare, imports, providers });
    const [admin, rights] = [app.get(AdminService), app.get(RightsService)];
    await rights.of('ada');
    await eventually(() => stored('shop:1:v:{right:ada}'));
    redis.cli('REPLICAOF', '127.0.0.1', '1');
    expect(await admin.revoke('ada', 'write')).toEqual({ left: ['read'], everywhere: false });
    expect(await rights.of('ada')).toEqual(['read']);
    expect(faults).toContain('CACHE_INVALIDATION_PENDING');
    redis.cli('REPLICAOF', 'NO', 'ONE');
    await eventually(() => !stored('shop:1:v:{right:ada}'));
    expect(await admin.revoke('ada', 'read')).toEqual({ left: [], everywhere: true });
  });

  it('goes on without it when it is slow', async () => {
    const { service } = await shop();
    await service.basket('u1');
    redis.cli('CLIENT', 'PAUSE', '2000', 'ALL');
    service.loads = [];
    expect(await service.basket('u1')).toEqual({ lines: ['Ada'] });
    expect(service.loads).toEqual(['basket u1']);
    redis.cli('CLIENT', 'UNPAUSE');
  });

  it('loads again what a replica has from before that becomes primary and has missed an invalidation', async () => {
    const { service } = await shop();
    await service.basket('u1');
    await eventually(() => stored(BASKET));
    redis.cli('COPY', BASKET, 'kept');
    await service.put('u1', 'tea');
    redis.cli('REPLICAOF', '127.0.0.1', '1');
    redis.cli('REPLICAOF', 'NO', 'ONE');
    redis.cli('COPY', 'kept', BASKET);
    const other = await shop();
    const third = await shop();
    for (let call = 0; call < 3; call++) {
      await Promise.all([other.service.basket('u1'), third.service.basket('u1')]);
    }
    expect([...other.service.loads, ...third.service.loads]).toEqual(['basket u1']);
    redis.cli('DEL', 'kept');
  });

  it('loads again what is not ours', async () => {
    const { service } = await shop();
    redis.cli('SET', BASKET, 'something else', 'PX', '60000');
    expect(await service.basket('u1')).toEqual({ lines: ['Ada'] });
    await service.basket('u1');
    expect(service.loads).toEqual(['basket u1']);
  });

  it('loads again what has another shape', async () => {
    const release = async (schema: number) => {
      const contract = { ...Baskets.contract, schema } as Contract<{ lines: string[] } | null>;
      const baskets: Entity<any> = entity('basket', contract);
      const store = redisStore({ url: redis.url });
      const imports = [CacheModule.forRoot({ namespace: 'shop', store })];
      const app = await opened({ module: Bare, imports });
      let loads = 0;
      const get = () =>
        app.get(EntityCache).get(baskets, 'u1', async () => ({ lines: [`${++loads}`] }));
      return { get, loads: () => loads };
    };
    const [before, after] = [await release(2), await release(3)];
    for (let call = 0; call < 2; call++) await before.get();
    for (let call = 0; call < 2; call++) await after.get();
    await before.get();
    expect([before.loads(), after.loads()]).toEqual([2, 1]);
  });

  it('needs the rights of the page and no more, for entries and for locks', async () => {
    const [forStore, forLocks] = [...page.matchAll(/^ACL SETUSER .+$/gm)].map(([line]) =>
      line.replace('ACL ', '').split(' '),
    );
    redis.cli('ACL', ...forStore!);
    const url = redis.url.replace('//', '//shop:password@');
    const module = (given: string) => ({
      module: Bare,
      imports: [CacheModule.forRoot({ namespace: 'shop', store: redisStore({ url: given }) })],
    });
    const app = await opened(module(url));
    await app.get(EntityCache).get(Profiles, 'u1', async () => null);
    await eventually(() => stored('shop:1:v:{profile:u1}'));
    expect(faults).toEqual([]);
    redis.cli('ACL', ...forLocks!);
    const lock = new RedisLock({ url, namespace: 'shop' });
    const both = [lock.run('report', () => setTimeout(50)), lock.run('report', () => 2)];
    expect(await Promise.all(both)).toEqual([undefined, 2]);
    await lock.close();
    for (const right of forStore!.filter((word) => word.startsWith('+'))) {
      redis.cli('ACL', 'SETUSER', 'shop', right.replace('+', '-'));
      await expect(start(module(url))).rejects.toThrow(right.slice(1).toUpperCase());
      redis.cli('ACL', 'SETUSER', 'shop', right);
    }
    await expect(start(module(url.replace('password', 'other')))).rejects.toThrow('WRONGPASS');
  });

  const module = (contract: object) => {
    const item = entity<string | null>('item', { ...Baskets.contract, ...contract });
    const store = redisStore({ url: redis.url });
    const imports = [
      CacheModule.forRoot({ namespace: 'shop', store }),
      CacheModule.forFeature([item]),
    ];
    return { item, module: { module: Bare, imports } };
  };

  it('waits for a process that died while it loaded, then asks the source', async () => {
    const { service } = await shop();
    redis.cli('SET', 'shop:1:l:{basket:u1}', 'x'.repeat(22), 'PX', '60000');
    expect(await service.basket('u1')).toEqual({ lines: ['Ada'] });
    expect(service.loads).toEqual(['basket u1']);
  });

  it('returns what takes more than 4 MiB and does not store it', async () => {
    const { item, module: large } = module({});
    const cache = (await opened(large)).get(EntityCache);
    for (const length of [4 * 2 ** 20 - 100, 4 * 2 ** 20 + 1]) {
      expect(await cache.get(item, `${length}`, async () => 'x'.repeat(length))).toHaveLength(
        length,
      );
    }
    await eventually(() => stored(`shop:1:v:{item:${4 * 2 ** 20 - 100}}`));
    // Nor does a lease stay, under which nothing came to be stored.
    await eventually(() => !redis.cli('--scan').includes(`${4 * 2 ** 20 + 1}`));
  });

  it('does not remember an error that means absence', async () => {
    const { item, module: absent } = module({ absentWhen: () => true });
    const cache = (await opened(absent)).get(EntityCache);
    let loads = 0;
    const load = () => Promise.reject(new Error(`${++loads}`));
    await expect(cache.get(item, 'a', load)).rejects.toThrow('1');
    await expect(cache.get(item, 'a', load)).rejects.toThrow('2');
  });

  it('does not start with tags, and refuses to forget a family', async () => {
    await expect(start(module({ tags: () => ['a'] }).module)).rejects.toMatchObject({
      faults: [{ code: 'CACHE_STORE_UNFIT' }],
    });
    await expect(start(module({ store: 'sessions' }).module)).rejects.toMatchObject({
      faults: [{ code: 'CACHE_STORE_UNKNOWN' }],
    });
    const { item, module: plain } = module({});
    const cache = (await opened(plain)).get(EntityCache);
    await expect(cache.invalidateFamily(item)).rejects.toMatchObject({
      code: 'CACHE_ARGUMENT_INVALID',
    });
  });

  it('starts as one of several workers with what prefers an error', async () => {
    const isWorker = Object.getOwnPropertyDescriptor(cluster, 'isWorker')!;
    Object.defineProperty(cluster, 'isWorker', { ...isWorker, value: true });
    try {
      const strict = {
        prefer: 'error',
        maxStaleness: '5s',
        read: { kind: 'read-through', serves: 'fresh values only', options: { ttl: '3s' } },
      };
      const { item, module: guarded } = module(strict);
      const cache = (await opened(guarded)).get(EntityCache);
      expect(cache.contract(item).keptIn).toBe('store');
      await expect(start(module({ ...strict, store: 'process' }).module)).rejects.toMatchObject({
        faults: [{ code: 'CACHE_WORKERS_DIVERGE' }],
      });
    } finally {
      Object.defineProperty(cluster, 'isWorker', isWorker);
    }
  });

  it('tells the codes that the page names', () => {
    const lib = join(import.meta.dirname, '../../lib');
    const files = readdirSync(lib, { recursive: true, encoding: 'utf8' });
    const sources = files.filter((name) => name.endsWith('.ts')).map((name) => join(lib, name));
    const code = sources.map((source) => readFileSync(source, 'utf8')).join('');
    const named = new Set(page.match(/CACHE_[A-Z_]+/g));
    expect([...named].filter((name) => !code.includes(`'${name}'`))).toEqual([]);
  });

  it('locks as the page says, under the keys of the page', async () => {
    const app = await opened(LockingModule);
    const locks = app.get(DistributedLock);
    await locks.run('report', async () => {
      expect(Number(redis.cli('PTTL', 'shop:k:{report}'))).toBeGreaterThan(0);
      await expect(locks.run('report', () => 1, { patience: 0 })).rejects.toMatchObject({
        code: 'CACHE_LOCK_BUSY',
      });
    });
    expect(redis.cli('--scan')).toBe('shop:k:{report}:f');
    expect(redis.cli('PTTL', 'shop:k:{report}:f')).toBe('-1');
  });

  (hasPostgres() ? it : it.skip)(
    'withdraws from an account in PostgreSQL as the page says',
    async () => {
      const postgres = (await startPostgres())!;
      const pool = new pg.Pool({ connectionString: postgres.url });
      try {
        await pool.query(/^CREATE TABLE account .*;$/m.exec(page)![0]);
        await pool.query(`INSERT INTO account VALUES ('a1', 100, 0)`);
        const app = await opened(LockingModule);
        const accounts = new AccountService(app.get(DistributedLock), pool);
        expect(await Promise.all([1, 2, 3].map(() => accounts.withdraw('a1', 10)))).toEqual([
          true,
          true,
          true,
        ]);
        expect((await pool.query('SELECT balance FROM account')).rows).toEqual([{ balance: 70 }]);
        await pool.query('UPDATE account SET fence = fence * 2');
        expect(await accounts.withdraw('a1', 10)).toBe(false);
      } finally {
        await pool.end();
        await postgres.stop();
      }
    },
  );
});
