import { jest } from '@jest/globals';
import { describeCacheStore } from '../conformance/cache-store.js';
import { eventually } from '../support/engine.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';
import { StoreTime } from '../support/store-time.js';

// Histories take their time on a busy machine.
jest.setTimeout(120_000);

let redis: TestRedis;
let closeLast = async () => {};
let created = 0;

beforeAll(async () => {
  if (hasRedis()) redis = (await startRedis())!;
});
afterAll(async () => {
  await closeLast();
  await redis?.stop();
});

/** Two processes, as Redis sees it, that can be woken. */
async function create() {
  await closeLast();
  const time = new StoreTime([redis], `test${++created}`);
  await time.pass(0);
  const [store, other] = [time.store({ url: redis.url }), time.store({ url: redis.url })];
  closeLast = async () => {
    await Promise.all([store.close(), other.close()]);
    time.close();
  };
  for (const one of [store, other]) {
    await one.check();
    await one.invalidate({ entity: 'warm', id: 'up' });
    await eventually(() => one['waiters'].channel !== undefined);
  }
  const advance = async (ms: number) => {
    await time.pass(ms);
    // What Redis said before is heard before what it says now.
    for (const one of [store, other]) {
      await one['nodes'].subscriber.client.ping();
      await one['nodes'].only!.connection.client.ping();
    }
    await new Promise(setImmediate);
  };
  return { store, other, advance };
}

(hasRedis() ? describe : describe.skip)('Redis', () => {
  describeCacheStore('a store in Redis', { create, runs: 40 });
});
