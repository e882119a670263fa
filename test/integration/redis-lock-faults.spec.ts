import { jest } from '@jest/globals';
import { Redis } from 'ioredis';
import type { RedisHold } from '../../lib/coordination/redis/redis-hold.js';
import { RedisLock } from '../../lib/coordination/redis/redis-lock.js';
import { eventually } from '../support/engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(30_000);

const turns = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
};

(hasRedis() ? describe : describe.skip)('a lock in Redis', () => {
  let redis: TestRedis;
  const open: RedisLock[] = [];
  const locks = (clock?: ManualClock, url = redis.url) => {
    const made = new RedisLock({ url, namespace: 'cache' }, clock);
    open.push(made);
    return made;
  };
  /** Connections to it, but for the one that asks. */
  const connections = () => redis.cli('CLIENT', 'LIST').split('\n').length - 1;

  beforeAll(async () => void (redis = (await startRedis())!));
  beforeEach(() => void redis.cli('FLUSHALL'));
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()));
  });
  afterAll(() => redis?.stop());

  describe('whose Redis does not answer', () => {
    it.each(['frozen', 'killed'])(
      'is lost before its ttl is over when that is %s, and not while it could be renewed',
      async (fault) => {
        const clock = new ManualClock();
        const lock = (await locks(clock).acquire('report', { ttl: '1s' }))!;
        if (fault === 'frozen') redis.freeze();
        else await redis.kill();
        try {
          clock.advance(900);
          await turns();
          const before = lock.signal.aborted;
          clock.advance(99);
          await turns();
          expect([before, lock.signal.aborted]).toEqual([false, true]);
          expect(lock.signal.reason).toMatchObject({ code: 'CACHE_LOCK_LOST', lock: 'report' });
        } finally {
          if (fault === 'frozen') redis.thaw();
          else await redis.restart();
        }
      },
    );

    it('counts its ttl from before it was asked for, not from the answer', async () => {
      const clock = new ManualClock();
      const all = locks(clock);
      await all.run('warm up', () => undefined);
      redis.freeze();
      const asked = all.acquire('report', { ttl: '1s' });
      await turns();
      clock.stall(900);
      redis.thaw();
      const lock = (await asked)!;
      clock.stall(99);
      clock.advance(0);
      await turns();
      expect(lock.signal.aborted).toBe(true);
    });

    it('is held until then if it answers again', async () => {
      const clock = new ManualClock();
      const all = locks(clock);
      const lock = (await all.acquire('report', { ttl: '10m' })) as RedisHold;
      redis.freeze();
      clock.advance(200_000);
      redis.thaw();
      await eventually(() => lock['validUntil'] > 1_000 + 600_000);
      clock.advance(500_000);
      await turns();
      expect(lock.signal.aborted).toBe(false);
    });

    it('is not to be had now, and has no owner afterwards', async () => {
      const clock = new ManualClock();
      const all = locks(clock);
      await all.run('warm up', () => undefined);
      redis.freeze();
      const asked = all.acquire('report', { patience: 0, ttl: '1h' });
      await turns();
      clock.advance(1_000);
      expect(await asked).toBeUndefined();
      redis.thaw();
      expect((await locks().acquire('report'))?.name).toBe('report');
    });

    it('is asked for again under a new token, which takes over what the one before got', async () => {
      const clock = new ManualClock();
      const all = locks(clock);
      await all.run('warm up', () => undefined);
      redis.freeze();
      const asked = all.acquire('report', { ttl: '1h' });
      for (let attempt = 0; attempt < 3; attempt++) {
        await turns();
        clock.advance(1_000);
      }
      redis.thaw();
      let lock: RedisHold | undefined;
      void asked.then((got) => (lock = got as RedisHold));
      await eventually(() => {
        clock.advance(10);
        return lock !== undefined;
      });
      expect(redis.cli('GET', 'cache:k:{report}')).toBe(lock!['token']);
      await lock!.release();
      expect(redis.cli('EXISTS', 'cache:k:{report}')).toBe('0');
    });
  });

  describe('whose scripts Redis has forgotten', () => {
    it('is acquired, renewed and released all the same', async () => {
      const clock = new ManualClock();
      const forget = () => void redis.cli('SCRIPT', 'FLUSH');
      const all = locks(clock);
      forget();
      const lock = (await all.acquire('report', { ttl: '10m' })) as RedisHold;
      forget();
      clock.advance(200_000);
      await eventually(() => lock['validUntil'] > 1_000 + 600_000);
      forget();
      await lock.release();
      expect(redis.cli('EXISTS', 'cache:k:{report}')).toBe('0');
    });
  });

  describe('that somebody else waits for', () => {
    it('wakes the next process if the one that was first in line has ended', async () => {
      const [holder, gone, next] = [locks(), locks(), locks()];
      const lock = (await holder.acquire('report', { ttl: '1h' }))!;
      const inLine = () => Number(redis.cli('LLEN', 'cache:k:{report}:q'));
      void gone.acquire('report').catch(() => undefined);
      await eventually(() => inLine() === 1);
      const waiting = next.acquire('report');
      await eventually(() => inLine() === 2);
      gone['wakes']['subscription']['connection'].client.disconnect();
      await eventually(() => connections() === 4);
      await lock.release();
      expect((await waiting)?.name).toBe('report');
    });

    it('is asked for again by who missed the wake because it was not connected', async () => {
      const [holder, waiter] = [locks(), locks()];
      const lock = (await holder.acquire('report', { ttl: '1h' }))!;
      const waiting = waiter.acquire('report');
      await eventually(() => redis.cli('LLEN', 'cache:k:{report}:q') === '1');
      redis.cli('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await lock.release();
      expect((await waiting)?.name).toBe('report');
    });
  });

  describe('of an application that has ended', () => {
    it('is free, its holder was told, who waited was rejected, and no connection is left', async () => {
      const all = locks();
      const lock = (await all.acquire('report', { ttl: '1h' }))!;
      const waiting = all.acquire('report').catch((error: unknown) => error);
      await eventually(() => redis.cli('LLEN', 'cache:k:{report}:q') === '1');
      await all.close();
      expect(await waiting).toMatchObject({ code: 'CACHE_NOT_RUNNING' });
      expect(lock.signal.reason).toMatchObject({ code: 'CACHE_LOCK_LOST' });
      await expect(all.acquire('report')).rejects.toMatchObject({ code: 'CACHE_NOT_RUNNING' });
      await eventually(() => connections() === 0);
      expect(redis.cli('--scan')).toBe('cache:k:{report}:f');
    });

    it('says why it was not to be had where Redis does not answer', async () => {
      const message =
        "The lock 'report' was not to be had within 0ms: nothing listens at 127.0.0.1:1 (ECONNREFUSED); nothing was run. Fix: see whether Redis runs there, and whether the address is right.";
      const lost = locks(undefined, 'redis://127.0.0.1:1');
      for (const patience of [0, '100ms'] as const) {
        const tried = lost.run('report', () => 'it ran', { patience });
        await expect(tried).rejects.toMatchObject({
          code: 'CACHE_LOCK_BUSY',
          message: message.replace('0ms', patience === 0 ? '0ms' : patience),
        });
        expect(await lost.acquire('report', { patience })).toBeUndefined();
      }
      const [lock, other] = [locks(), locks()];
      await lock.run('report', async () => {
        await expect(other.run('report', () => 'it ran', { patience: 0 })).rejects.toThrow(
          'within 0ms; nothing was run. Fix: try again later, or raise the patience.',
        );
      });
    });

    it('leaves the client it was given as it was', async () => {
      const client = new Redis(redis.url, { keyPrefix: 'mine:' });
      const all = new RedisLock({ client, namespace: 'cache' });
      const lock = (await all.acquire('{report}'))!;
      expect(redis.cli('EXISTS', 'cache:k:{%7Breport%7D}')).toBe('1');
      await lock.release();
      await all.close();
      await eventually(() => connections() === 1);
      expect(await client.ping()).toBe('PONG');
      client.disconnect();
    });
  });

  describe('that Redis refuses', () => {
    it('is not waited for: the caller is told why, and what to do', async () => {
      redis.cli('SADD', 'cache:k:{report}', 'not a lock');
      await expect(locks().acquire('report')).rejects.toMatchObject({
        code: 'CACHE_REDIS_REFUSED',
        message: expect.stringMatching(
          /^Redis refused to run acquire-lock: WRONGTYPE .+ Fix: remove the keys of the namespace that something else has written, or choose another namespace\.$/,
        ),
      });
    });

    it('because of a wrong password is not waited for either', async () => {
      const guarded = (await startRedis())!;
      guarded.cli('CONFIG', 'SET', 'requirepass', 'secret');
      try {
        const url = guarded.url.replace('//', '//:wrong@');
        await expect(locks(undefined, url).acquire('report')).rejects.toMatchObject({
          code: 'CACHE_REDIS_REFUSED',
          message: expect.stringMatching(/WRONGPASS.+Fix: give the right user and password/),
        });
      } finally {
        await guarded.stop();
      }
    });
  });
});
