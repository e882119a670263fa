import { Redis } from 'ioredis';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

const KEEP_MS = 600_000;

(hasRedis() ? describe : describe.skip)('a log in Redis', () => {
  let redis: TestRedis;
  let admin: Redis;
  beforeAll(async () => {
    redis = (await startRedis())!;
    admin = new Redis(redis.url);
  });
  afterAll(async () => {
    admin.disconnect();
    await redis.stop();
  });

  it.each(['1000000', '9'.repeat(15), '9'.repeat(40), '-1', '1e3', 'nan', ''])(
    'does not believe that a tag was invalidated in message %s',
    async (number) => {
      const store = new RedisStore({ url: redis.url, namespace: `n${number.length}x${number}` });
      const { log } = store;
      try {
        const { epoch } = await log.append({ entries: [], tags: ['t:tea'] }, 'me', KEEP_MS);
        const [key] = (await admin.keys('*')).filter((name) => name.endsWith('tea'));
        await admin.set(key!, `${epoch} ${number}`);
        const { end, generations } = await log.generations(['t:tea'], KEEP_MS);
        expect(generations).toEqual([end.seq]);
      } finally {
        await store.close();
        await admin.flushall();
      }
    },
  );
});
