import { jest } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import { RedisLock } from '../../lib/coordination/redis/redis-lock.js';
import { describeDistributedLock } from '../conformance/distributed-lock.js';
import { eventually } from '../support/engine.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';
import { RedisTime } from '../support/redis-time.js';

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

/** Two processes, as Redis sees it, whose connections are already made. */
async function create() {
  await closeLast();
  const namespace = `test${++created}`;
  const time = new RedisTime(redis, namespace);
  const options = { url: redis.url, namespace };
  const [lock, other] = [new RedisLock(options, time), new RedisLock(options, time)];
  closeLast = async () => {
    await Promise.all([lock.close(), other.close()]);
    time.close();
  };
  for (const one of [lock, other]) {
    await one.run('warm up', () => undefined);
    one['wakes'].open();
    await eventually(() => one['wakes'].listeningOn !== undefined);
  }
  await turn();
  return {
    lock,
    other,
    advance: (ms: number) => time.pass(ms),
    stall: (ms: number) => time.stall(ms),
    kept: async () =>
      time.pending +
      [lock, other].reduce(
        (sum, one) => sum + one['contests'].size + one['holds'].size + one['telling'].size,
        (await time.expiring()).length,
      ),
  };
}

(hasRedis() ? describe : describe.skip)('Redis', () => {
  describeDistributedLock('locks in Redis', { create, runs: 40 });
});
