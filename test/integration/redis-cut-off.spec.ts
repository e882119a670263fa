import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheModule,
  entity,
  EntityCache,
  Invalidates,
  invalidate,
  onCacheEvent,
  readThrough,
  WriteThrough,
  writeThrough,
  type CacheEvents,
} from 'nestjs-cache-contract';
import { redisStore } from 'nestjs-cache-contract/redis';
import { PATIENCE_MS, until } from '../support/fault-child.js';
import { hasRedis } from '../support/redis-binaries.js';
import { RedisProxy } from '../support/redis-proxy.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

const read = readThrough({ ttl: '10m', loadTimeout: '1s' });
/** Without copies: what the store says is what others get. */
const Rights = entity<string>('right', {
  maxStaleness: { normal: '1s', incident: '10m' },
  read,
  write: invalidate(),
  onUnacknowledged: 'fail',
});
/** With copies, of which others hear. */
const Prices = entity<string>('price', {
  maxStaleness: { normal: '5s', incident: '10m' },
  read,
  write: writeThrough(),
  onUnacknowledged: 'fail',
});
const Names = entity<string>('name', {
  maxStaleness: { normal: '1s', incident: '10m' },
  read,
  write: invalidate(),
});

/** One database for all processes. */
const database = new Map<string, string>();

@Injectable()
class Service {
  @Cached(Rights)
  async rights(id: string): Promise<string> {
    return database.get(`right ${id}`) ?? 'old';
  }
  @Invalidates(Rights, (id: string) => id)
  async grant(id: string, rights: string): Promise<string> {
    database.set(`right ${id}`, rights);
    return rights;
  }
  @Cached(Prices)
  async price(id: string): Promise<string> {
    return database.get(`price ${id}`) ?? 'old';
  }
  @WriteThrough(Prices, (id: string) => id)
  async setPrice(id: string, price: string): Promise<string> {
    database.set(`price ${id}`, price);
    return price;
  }
  @Cached(Names)
  async name(id: string): Promise<string> {
    return database.get(`name ${id}`) ?? 'old';
  }
  @Invalidates(Names, (id: string) => id)
  async rename(id: string, name: string): Promise<void> {
    database.set(`name ${id}`, name);
  }
}

const CODE = 'CACHE_INVALIDATION_UNACKNOWLEDGED';

(hasRedis() ? describe : describe.skip)('a process that is cut off from its Redis', () => {
  let redis: TestRedis;
  let proxy: RedisProxy;
  let tests = 0;
  const apps: { close(): Promise<void> }[] = [];
  const drained: CacheEvents['acknowledge'][] = [];
  let stop: () => void;

  beforeAll(async () => void (redis = (await startRedis())!));
  afterAll(() => redis?.stop());
  beforeEach(async () => {
    database.clear();
    drained.length = 0;
    tests++;
    proxy = await RedisProxy.before(redis.port);
    stop = onCacheEvent('acknowledge', (event) => drained.push(event));
  });
  afterEach(async () => {
    stop();
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await proxy.close();
  });

  /** One process, with a way of its own to Redis. */
  async function start(url: string) {
    const options = { namespace: `cut${tests}`, store: redisStore({ url }) };
    const module = await Test.createTestingModule({
      imports: [CacheModule.forRoot(options)],
      providers: [Service],
    }).compile();
    const app = module.createNestApplication({ logger: false });
    apps.push(app);
    await app.init();
    return { service: app.get(Service), cache: app.get(EntityCache) };
  }
  /** Nobody is reached through the proxy until {@link back}. */
  const away = () => {
    proxy.port = 1;
    proxy.cut();
  };
  const back = () => void (proxy.port = redis.port);

  it(
    "tells its callers so with 'fail', does not serve the old value, and others get the new one when it is back",
    async () => {
      const [writer, other] = [await start(proxy.url), await start(redis.url)];
      for (const { service } of [writer, other]) {
        expect([await service.rights('a'), await service.price('a')]).toEqual(['old', 'old']);
      }
      await until('both are stored', async () => (await other.cache.peek(Rights, 'a')) === 'old');
      away();
      await expect(writer.service.grant('a', 'new')).rejects.toMatchObject({
        code: CODE,
        result: 'new',
        entities: ['right'],
      });
      await expect(writer.service.setPrice('a', '5')).rejects.toMatchObject({
        code: CODE,
        result: '5',
        entities: ['price'],
      });
      expect([await writer.service.rights('a'), await writer.service.price('a')]).toEqual([
        'new',
        '5',
      ]);
      expect(await other.service.rights('a')).toBe('old');
      back();
      await until('others get the new values', async () => {
        const values = [await other.service.rights('a'), await other.service.price('a')];
        return values.join() === 'new,5';
      });
      await until('it is told that nothing is pending', () => drained.length === 2);
      expect(
        drained.map(({ entity, entries, lapsed }) => [entity, entries, lapsed]).sort(),
      ).toEqual([
        ['price', 1, 0],
        ['right', 1, 0],
      ]);
      expect(await writer.service.grant('a', 'newer')).toBe('newer');
      expect(await other.service.rights('a')).toBe('newer');
    },
    2 * PATIENCE_MS,
  );

  it(
    'has all of many changes acknowledged when it is back, each once, and others get what was written last',
    async () => {
      const [writer, other] = [await start(proxy.url), await start(redis.url)];
      const ids = Array.from({ length: 300 }, (_, i) => `${i}`);
      await until('all are stored', async () => {
        // What Redis did not take in time is loaded once more.
        await Promise.all(ids.map((id) => other.service.name(id)));
        const kept = await Promise.all(ids.map((id) => other.cache.peek(Names, id)));
        return kept.every(Boolean);
      });
      away();
      for (const name of ['first', 'second', 'third']) {
        await Promise.all(ids.map((id) => writer.service.rename(id, name)));
      }
      expect(await writer.service.name('7')).toBe('third');
      expect(await other.service.name('7')).toBe('old');
      back();
      await until('it is told that nothing is pending', () => drained.length > 0);
      expect(drained.map(({ entries, lapsed }) => [entries, lapsed])).toEqual([[300, 0]]);
      const names = await Promise.all(ids.map((id) => other.service.name(id)));
      expect(new Set(names)).toEqual(new Set(['third']));
    },
    2 * PATIENCE_MS,
  );
});
