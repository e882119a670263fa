import { jest } from '@jest/globals';
import KeyvRedis from '@keyv/redis';
import { Keyv } from 'keyv';
import { describeCacheStore } from '../conformance/cache-store.js';
import { KeyvTime } from '../support/keyv-time.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

// Histories take their time on a busy machine.
jest.setTimeout(120_000);

let redis: TestRedis;
let closeLast = async () => {};

beforeAll(async () => {
  if (hasRedis()) redis = (await startRedis())!;
});
afterAll(async () => {
  await closeLast();
  await redis?.stop();
});

let created = 0;

async function create() {
  await closeLast();
  const keyv = new Keyv({ store: new KeyvRedis(redis.url), namespace: 'shop' });
  const time = new KeyvTime();
  const store = time.store(keyv, time.lock, `shop${++created}`);
  closeLast = async () => {
    time.end();
    await store.close();
    await keyv.disconnect();
    closeLast = async () => {};
  };
  return { store, other: store, advance: (ms: number) => time.pass(ms) };
}

(hasRedis() ? describe : describe.skip)('Redis', () => {
  describeCacheStore('a store on a Keyv in Redis, within a process', { create, runs: 40 });
});
