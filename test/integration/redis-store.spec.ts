import { jest } from '@jest/globals';
import { describeCacheStore } from '../conformance/cache-store.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';
import { RedisStores } from '../support/redis-stores.js';

// Histories take their time on a busy machine.
jest.setTimeout(120_000);

let redis: TestRedis;
const stores = new RedisStores(() => ({ source: { url: redis.url }, servers: [redis] }));

beforeAll(async () => {
  if (hasRedis()) redis = (await startRedis())!;
});
afterAll(async () => {
  await stores.close();
  await redis?.stop();
});

(hasRedis() ? describe : describe.skip)('Redis', () => {
  describeCacheStore('a store in Redis', { create: stores.create, runs: 40 });
});
