import { Redis } from 'ioredis';
import { entity, EntityCache, invalidate, readThrough } from 'nestjs-cache-contract';
import { SystemClock } from '../../lib/time/clock.js';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { testEngine } from '../support/engine.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

const Users = entity<{ id: string }>('user', {
  maxStaleness: { normal: '5s', incident: '1h' },
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
  // No copy in the process.
  prefer: 'error',
});

(hasRedis() ? describe : describe.skip)('an entity in Redis', () => {
  let redis: TestRedis;
  let admin: Redis;
  let engine: ReturnType<typeof testEngine>['engine'];
  let cache: EntityCache;
  let store: RedisStore;
  const find = (id: string) => cache.get(Users, id, async () => ({ id }));
  /** How many commands of these names `work` makes Redis execute. */
  const counted = async (work: () => Promise<unknown>) => {
    const calls = async () => {
      const stats = await admin.info('commandstats');
      const of = (name: string) =>
        Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
      return { get: of('get'), mget: of('mget') };
    };
    const before = await calls();
    await work();
    const after = await calls();
    return { get: after.get - before.get, mget: after.mget - before.mget };
  };
  const warmed = async (ids: readonly string[]) => {
    for (const id of ids) await find(id);
    // Fills travel before what is asked for next.
    await find(ids[0]!);
  };

  beforeAll(async () => {
    redis = (await startRedis())!;
    admin = new Redis(redis.url);
    const clock = new SystemClock();
    store = new RedisStore({ url: redis.url, namespace: 'batching' }, clock);
    ({ engine } = testEngine(clock, undefined, store, 60_000));
    cache = new EntityCache(engine);
  });
  afterAll(async () => {
    await engine.close();
    admin.disconnect();
    await redis.stop();
  });

  it('is asked for many keys of one turn by one command, and for one by a plain GET', async () => {
    const ids = Array.from({ length: 100 }, (_, i) => `many:${i}`);
    await warmed(ids);
    expect(await counted(() => Promise.all(ids.map(find)))).toEqual({ get: 0, mget: 1 });
    expect(await counted(() => find('many:7'))).toEqual({ get: 1, mget: 0 });
  });

  it('is told what is to be told in one turn in one piece, because each piece is a system call', async () => {
    // Redis knows the script by then.
    await cache.invalidate(Users, 'told');
    const { stream } = store['nodes'].only!.connection.client;
    const socket = stream as unknown as Record<'_write' | '_writev', (...args: unknown[]) => void>;
    let pieces = 0;
    for (const method of ['_write', '_writev'] as const) {
      const write = socket[method].bind(socket);
      socket[method] = (...args) => (pieces++, write(...args));
    }
    await Promise.all(Array.from({ length: 20 }, (_, i) => cache.invalidate(Users, `told:${i}`)));
    // And what other processes are told of it is another one.
    expect(pieces).toBe(2);
  });

  it('is asked once for a key that many want in one turn, and again for who comes later', async () => {
    await warmed(['hot']);
    expect(
      await counted(() => Promise.all(Array.from({ length: 100 }, () => find('hot')))),
    ).toEqual({ get: 1, mget: 0 });
    expect(await counted(() => find('hot'))).toEqual({ get: 1, mget: 0 });
  });
});
