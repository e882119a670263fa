import { jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisLock } from '../../lib/coordination/redis/redis-lock.js';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { eventually } from '../support/engine.js';
import { hasRedis } from '../support/redis-binaries.js';
import { RedisProxy } from '../support/redis-proxy.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(120_000);

const LONG_MS = 600_000;
const USER = { entity: 'user', id: '7' };
const TERMS = { leaseMs: LONG_MS, staleForMs: 0, staleOnErrorMs: 0, newerThan: 0 };

(hasRedis() ? describe : describe.skip)('a check of Redis at the start', () => {
  let redis: TestRedis;
  let admin: Redis;
  let namespace: string;
  let tests = 0;
  const stores: RedisStore[] = [];
  const open = (url = redis.url, options: { startWithout?: boolean } = { startWithout: false }) => {
    const store = new RedisStore({ url, namespace, ...options });
    stores.push(store);
    return store;
  };

  beforeAll(async () => {
    redis = (await startRedis())!;
    admin = new Redis(redis.url);
  });
  afterAll(async () => {
    admin.disconnect();
    await redis.stop();
  });
  beforeEach(() => void (namespace = `server${++tests}`));
  afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())));

  const user = async (name: string, ...rules: string[]) => {
    await admin.acl('SETUSER', name, 'reset', 'on', '>secret', ...rules);
    return open(redis.url.replace('//', `//${name}:secret@`));
  };
  // The client says so when it may not ask for INFO.
  beforeEach(() => void jest.spyOn(console, 'warn').mockReturnValue());
  afterEach(() => void jest.restoreAllMocks());

  const ALL = ['~server*', '&server*', '+@all'];

  it('finds nothing missing in a Redis of today', () => open().check());

  it('finds nothing missing for a user who has what it asks for', async () => {
    const poor = await user('poor');
    const message = await poor.check().then(String, (error: Error) => error.message);
    const [, rights] = /lacks of (.+), with ACL SETUSER/.exec(message)!;
    await (await user('modest', ...rights!.split(' '))).check();
    const store = await user('modest2', ...rights!.split(' '));
    const lease = await store.claim(USER, LONG_MS);
    const { grantedAt } = lease;
    const times = { loadedAt: grantedAt, softExpiry: grantedAt + LONG_MS, loadMs: 1 };
    const stored = { ...times, payload: Buffer.of(1), schema: 0, version: 1 };
    expect(await store.fill(lease, stored, LONG_MS)).toBe('stored');
    expect(await store.lease(USER, TERMS)).toMatchObject({ outcome: 'fresh' });
    await store.invalidate(USER, { atLeast: 2, keepMs: LONG_MS });
    await eventually(() => store['waiters'].channel !== undefined);
    await store.lease(USER, TERMS);
    const held = await store.lease(USER, TERMS);
    expect(held).toMatchObject({ outcome: 'held' });
    await store.invalidate(USER);
    if (held.outcome === 'held') await held.woken;
  });

  it.each([
    ['EVALSHA', [...ALL, '-evalsha']],
    ['EVAL', [...ALL, '-eval']],
    ['HSET|GETRANGE', [...ALL, '-hset', '-getrange']],
    ['SET|DEL', [...ALL, '-set', '-del']],
    ['SUBSCRIBE', ['~server*', '+@all', 'resetchannels']],
    ['PUBLISH', [...ALL, '-publish']],
    ['GET', ['~other*', '&server*', '+@all']],
  ])('names what this user may not: %s', async (names, rules) => {
    const store = await user(`user${tests}`, ...rules);
    const error = (await store.check().catch((reason: unknown) => reason)) as Error;
    expect(error).toMatchObject({ code: 'CACHE_REDIS_NOT_ALLOWED', name: 'CacheRedisError' });
    for (const name of names.split('|')) expect(error.message).toContain(`${name} (NOPERM`);
    expect(error.message).toContain('+evalsha');
    expect(await admin.keys(`${namespace}:*`)).toEqual([]);
  });

  describe('where its database cannot be selected', () => {
    const NO_SELECT = ['~server*', '&server*', '+@all', '-select'];
    const refusal = (database: number, reason: string) =>
      `Redis refused to select database ${database}: ${reason}. Fix: choose a database that this Redis has, as path of the url or as db of the client, and allow this user +select; or leave it out for the first one.`;

    it('says so, and never writes to another one', async () => {
      const store = open(`${redis.url}/99`, {});
      const message = refusal(99, 'ERR DB index is out of range');
      for (const call of [store.check(), store.claim(USER, LONG_MS), store.check()]) {
        await expect(call).rejects.toMatchObject({ code: 'CACHE_REDIS_REFUSED', message });
      }
      expect(await admin.keys(`${namespace}:*`)).toEqual([]);
    });

    it('names the right that is missing, also of a client that was handed over', async () => {
      await admin.acl('SETUSER', 'first', 'reset', 'on', '>secret', ...NO_SELECT);
      const url = redis.url.replace('//', '//first:secret@');
      const client = new Redis(url, { db: 5, lazyConnect: true });
      const store = new RedisStore({ client, namespace });
      stores.push(store, open(`${url}/5`, {}));
      const message = refusal(5, "NOPERM this user has no permissions to run the 'select' command");
      for (const each of stores) await expect(each.check()).rejects.toThrow(message);
      await open(url).check();
    });

    it('names the right among all others that are missing', async () => {
      const rules = [...ALL, '-evalsha'];
      await admin.acl('SETUSER', 'third', 'reset', 'on', '>secret', ...rules);
      const url = redis.url.replace('//', '//third:secret@');
      await expect(open(`${url}/3`).check()).rejects.toThrow(
        '+unsubscribe +select, with ACL SETUSER',
      );
      await expect(open(url).check()).rejects.toThrow('+unsubscribe, with ACL SETUSER');
    });

    it('keeps locks from being taken in another one', async () => {
      const lock = new RedisLock({ url: `${redis.url}/99`, namespace });
      await expect(lock.acquire('report')).rejects.toThrow('Redis refused to select database 99');
      await lock.close();
    });
  });

  it('names a version that is too old', async () => {
    const proxy = await RedisProxy.before(redis.port);
    const [, version] = /redis_version:(\S+)/.exec(await admin.info('server'))!;
    const old = version!.replace(/^\d/, '6');
    proxy.rewrite = (replies) =>
      Buffer.from(replies.toString('latin1').replaceAll(version!, old), 'latin1');
    try {
      await expect(open(proxy.url).check()).rejects.toMatchObject({
        code: 'CACHE_REDIS_TOO_OLD',
        message: expect.stringMatching(/expected Redis 7\.0 or later, got 6\..*Fix: upgrade/),
      });
    } finally {
      await Promise.all(stores.splice(0).map((store) => store.close()));
      await proxy.close();
    }
  });

  it('says that Redis is out of reach, if it is', () =>
    expect(open('redis://127.0.0.1:1').check()).rejects.toThrow('Redis is out of reach'));

  it('bears that Redis is out of reach, unless told otherwise', () =>
    expect(open('redis://127.0.0.1:1', {}).check()).resolves.toMatchObject({
      outOfReach: expect.stringContaining('nothing listens at 127.0.0.1:1 (ECONNREFUSED). Fix: '),
    }));
});
