import { jest } from '@jest/globals';
import { RedisLock } from '../../lib/coordination/redis/redis-lock.js';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { describeCacheStore } from '../conformance/cache-store.js';
import { until } from '../support/fault-child.js';
import { hasRedis } from '../support/redis-binaries.js';
import type { TestRedis } from '../support/redis-server.js';
import { startSentinels, type TestSentinels } from '../support/redis-sentinels.js';
import { RedisStores } from '../support/redis-stores.js';

// Histories take their time on a busy machine.
jest.setTimeout(120_000);

const USER = { entity: 'user', id: '7' };
const TERMS = { leaseMs: 60_000, staleForMs: 0, staleOnErrorMs: 0, newerThan: 0 };

let watched: TestSentinels;
const source = () => ({ sentinels: watched.urls, name: watched.name });
let servers: readonly TestRedis[];
const stores = new RedisStores(() => ({ source: source(), servers }));

beforeAll(async () => {
  if (!hasRedis()) return;
  watched = (await startSentinels())!;
  servers = [watched.primary()];
});
afterAll(async () => {
  await stores.close();
  await watched?.stop();
});

(hasRedis() ? describe : describe.skip)('a Redis behind sentinels', () => {
  describeCacheStore('as a store', { create: stores.create, runs: 10 });

  it('is followed to another server by who asks and by who is to be woken, also if the old one only hangs', async () => {
    const [store, other] = [new RedisStore(source()), new RedisStore(source())];
    const lock = new RedisLock({ ...source(), namespace: 'cache' });
    const all = [store, other, lock];
    try {
      for (const one of [store, other]) {
        expect(await one.check()).toMatchObject({
          mayLose: expect.stringContaining(`127.0.0.1:${watched.primary().port} goes on`),
        });
        await until('it can be woken', () => one['waiters'].channel !== undefined);
      }
      await lock.run('a', () => undefined);
      const old = watched.primary();
      old.freeze();
      await watched.anotherPrimary(old);
      const at = `127.0.0.1:${watched.primary().port}`;
      await until('both ask the new one, and hear it', async () => {
        await Promise.race([
          Promise.allSettled([store, other].map((one) => one.invalidate(USER))),
          new Promise((resolve) => setTimeout(resolve, 100)),
        ]);
        return [store, other].every((one) => {
          const { only, subscriber } = one['nodes'];
          const peers = [only!.connection.peer, subscriber.peer];
          return peers.every((peer) => peer === at) && one['waiters'].channel !== undefined;
        });
      });
      const answer = await store.lease(USER, TERMS);
      const held = await other.lease(USER, TERMS);
      if (answer.outcome !== 'granted' || held.outcome !== 'held') throw new Error(held.outcome);
      await store.fail(answer.lease, 0);
      await held.woken;
      await lock.run('b', () => undefined);
      old.thaw();
      await watched.settled();
    } finally {
      await Promise.all(all.map((one) => one.close()));
    }
  });

  it('is out of reach while no sentinel is there', async () => {
    const nobody = { sentinels: ['redis://127.0.0.1:1'], name: 'nobody' };
    const store = new RedisStore(nobody);
    expect(await store.check()).toMatchObject({
      outOfReach: expect.stringMatching(
        /^no primary 'nobody' of the sentinels 127\.0\.0\.1:1 was found \(.*\)\. Fix: see whether the sentinels run/,
      ),
    });
    await expect(store.read(USER)).rejects.toThrow();
    await store.close();
    const strict = new RedisStore({ ...nobody, startWithout: false });
    await expect(strict.check()).rejects.toThrow('Redis is out of reach');
    await strict.close();
  });

  it('is used when sentinels are there again, and who waits is woken again', async () => {
    const store = new RedisStore(source());
    try {
      for (const sentinel of watched.sentinels) await sentinel.kill();
      expect(await store.check()).toMatchObject({ outOfReach: expect.any(String) });
      for (const sentinel of watched.sentinels) await sentinel.restart();
      await until('it is used', () =>
        store.invalidate(USER).then(
          () => true,
          () => false,
        ),
      );
      await until('it can be woken', () => store['waiters'].channel !== undefined);
    } finally {
      await store.close();
    }
  });

  it('is not taken for another one that the sentinels watch over', async () => {
    const store = new RedisStore({ ...source(), name: 'another', startWithout: false });
    await expect(store.check()).rejects.toThrow('Redis is out of reach');
    await store.close();
  });
});
