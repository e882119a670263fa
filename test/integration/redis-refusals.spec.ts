import { entity, EntityCache, invalidate, readThrough } from 'nestjs-cache-contract';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { SystemClock } from '../../lib/time/clock.js';
import { eventually, testEngine } from '../support/engine.js';
import { settled } from '../support/fleet.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

const Users = entity<string>('user', {
  maxStaleness: { normal: '5s', incident: '1h' },
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
  // No copies: it is the store that serves.
  prefer: 'error',
});

const TAKES_NOTHING =
  "[CACHE_STORE_OUT_OF_REACH] The store 'default' takes nothing: it is full, a replica, or short of replicas (min-replicas-to-write). Each process loads 'user' for itself until it does. Further ones are only told as 'fault' events.";

(hasRedis() ? describe : describe.skip)('a Redis that refuses', () => {
  let redis: TestRedis;
  let tests = 0;
  let namespace: string;
  let test: ReturnType<typeof testEngine<SystemClock>>;
  let store: RedisStore;
  let cache: EntityCache;
  const ids = Array.from({ length: 8 }, (_, i) => `${i}`);
  const hits = async () => {
    let loads = 0;
    for (let i = 0; i < 10; i++) await cache.get(Users, 'hot', async () => `loaded ${++loads}`);
    return loads;
  };
  /** Many of them at once, as they are when a store is in trouble. */
  const attempts = {
    misses: () => Promise.all(ids.map((id) => cache.get(Users, `absent ${id}`, async () => id))),
    writes: () => Promise.all(ids.map((id) => cache.prime(Users, `written ${id}`, async () => id))),
    invalidations: () => Promise.all(ids.map((id) => cache.invalidate(Users, `old ${id}`))),
  };

  beforeAll(async () => void (redis = (await startRedis())!));
  afterAll(() => redis.stop());
  beforeEach(async () => {
    const clock = new SystemClock();
    namespace = `refusals${++tests}`;
    store = new RedisStore({ url: redis.url, namespace }, clock);
    test = testEngine(clock, undefined, store, 60_000);
    cache = new EntityCache(test.engine);
    await cache.get(Users, 'hot', async () => 'hot');
    await eventually(() => redis.cli('EXISTS', `${namespace}:1:v:{user:hot}`) === '1');
  });
  afterEach(() => test.engine.close());

  it.each([
    ['is full', 'maxmemory', '1', '0'],
    ['is without its replicas', 'min-replicas-to-write', '1', '0'],
  ])('because it %s serves what it has, whatever else it is asked', async (_, option, on, off) => {
    redis.cli('CONFIG', 'SET', option, on);
    try {
      for (const attempt of Object.values(attempts)) {
        await attempt();
        await settled();
        expect(await hits()).toBe(0);
      }
      expect(test.warnings).toContain(TAKES_NOTHING);
    } finally {
      redis.cli('CONFIG', 'SET', option, off);
    }
  });

  it('because it is a replica serves what it has, also from when the connection to it has been replaced', async () => {
    redis.cli('REPLICAOF', '127.0.0.1', '1');
    try {
      // The first refusal has it looked up where the address leads to now; what is asked meanwhile is not answered.
      await cache.get(Users, 'absent', async () => 'loaded');
      expect(test.warnings).toEqual([TAKES_NOTHING]);
      for (let i = 0; i < 10; i++) await cache.get(Users, 'hot', async () => 'hot');
      await attempts.invalidations();
      const { client } = store['nodes'].only!.connection;
      await eventually(() => client.status === 'ready');
      for (const attempt of Object.values(attempts)) {
        await attempt();
        await settled();
        expect(await hits()).toBe(0);
      }
    } finally {
      redis.cli('REPLICAOF', 'NO', 'ONE');
    }
  });

  it('because a key holds what is not ours serves all others', async () => {
    for (const id of ids) redis.cli('HSET', `${namespace}:1:v:{user:absent ${id}}`, 'field', '1');
    await attempts.misses();
    await settled();
    expect(await hits()).toBe(0);
    expect(test.warnings).toEqual([
      "[CACHE_STORE_OUT_OF_REACH] The store 'default' refuses what it is asked: it is full, a replica or short of replicas, or has something else under a key, or its user lacks rights. Calls of 'user' ask the source meanwhile. Further ones are only told as 'fault' events.",
    ]);
  });
});
