import { jest } from '@jest/globals';
import { Redis } from 'ioredis';
import type { EntryName, LeaseTerms } from '../../lib/store/cache-store.js';
import { RedisStore, type RedisStoreOptions } from '../../lib/store/redis/redis-store.js';
import { hasRedis } from '../support/redis-binaries.js';
import { RedisProxy } from '../support/redis-proxy.js';
import { readAll } from '../support/read-all.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(120_000);

const LONG_MS = 600_000;
const USER: EntryName = { entity: 'user', id: '7' };
const TERMS: LeaseTerms = { leaseMs: LONG_MS, staleForMs: 0, staleOnErrorMs: 0, newerThan: 0 };
/** The server is there. */
const REFUSED = { answered: true };
const numbered = (id: unknown): EntryName => ({ entity: 'user', id: String(id) });

(hasRedis() ? describe : describe.skip)('a store in Redis', () => {
  let redis: TestRedis;
  let admin: Redis;
  let namespace: string;
  let tests = 0;
  const stores: RedisStore[] = [];
  const open = (options: Partial<RedisStoreOptions> = {}) => {
    const store = new RedisStore({ url: redis.url, namespace, ...options } as RedisStoreOptions);
    stores.push(store);
    return store;
  };
  const stored = (now: number, value = 'value') => ({
    payload: Buffer.from(value),
    loadedAt: now,
    softExpiry: now + LONG_MS,
    loadMs: 1,
    schema: 0,
    version: undefined,
  });
  const put = async (store: RedisStore, entry = USER, value?: string) => {
    const lease = await store.claim(entry, LONG_MS);
    expect(await store.fill(lease, stored(lease.grantedAt, value), LONG_MS)).toBe('stored');
  };
  const leased = async (store: RedisStore, entry = USER, terms: Partial<LeaseTerms> = {}) => {
    const answer = await store.lease(entry, { ...TERMS, ...terms });
    if (answer.outcome === 'held') answer.leave();
    return answer;
  };
  const until = async (call: () => Promise<unknown>) => {
    for (let done = false; !done;) {
      done = await call().then(
        () => true,
        () => new Promise((resolve) => setTimeout(resolve, 10)).then(() => false),
      );
    }
  };
  const calls = async () => {
    const stats = await admin.info('commandstats');
    const count = (name: string) =>
      Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    return { get: count('get'), mget: count('mget'), evalsha: count('evalsha') };
  };
  const text = (payload?: Uint8Array) => payload && Buffer.from(payload).toString();

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

  describe('reads', () => {
    it.each([
      ['100 keys as one MGET', 100, { get: 0, mget: 1 }],
      ['a lone key as GET', 1, { get: 1, mget: 0 }],
      ['1,200 keys as no more than fit', 1_200, { get: 0, mget: 3 }],
    ])('%s', async (_what, count, expected) => {
      const store = open();
      await put(store, numbered(0));
      const before = await calls();
      const names = Array.from({ length: count }, (_, i) => numbered(i));
      const reads = await readAll(store, names);
      const after = await calls();
      expect(reads.map((read) => text(read?.payload))).toEqual([
        'value',
        ...Array(count - 1).fill(undefined),
      ]);
      expect({ get: after.get - before.get, mget: after.mget - before.mget }).toEqual(expected);
    });

    it('never what was there before an invalidation that has been answered', async () => {
      const store = open();
      for (let i = 0; i < 100; i++) {
        await put(store);
        const early = store.read(USER);
        await Promise.all([early, store.invalidate(USER)]);
        expect(await store.read(USER)).toBeUndefined();
      }
    });
  });

  it('asks one command of Redis for each thing it does', async () => {
    const store = open();
    await put(store);
    const did = async (what: () => Promise<unknown>) => {
      const before = (await calls()).evalsha;
      await what();
      return (await calls()).evalsha - before;
    };
    const lease = await store.claim(USER, LONG_MS);
    expect([
      await did(() => store.claim(USER, LONG_MS)),
      await did(() => store.fail(lease, 9)),
      await did(() => store.fill(lease, stored(1), 9)),
      await did(() => store.invalidate(USER)),
      await did(() => leased(store)),
    ]).toEqual([1, 1, 1, 1, 1]);
  });

  it('gives every key an end', async () => {
    const store = open();
    await put(store, numbered(1));
    await leased(store, numbered(2));
    await leased(store, numbered(2));
    await store.claim(numbered(3), LONG_MS);
    const answer = await leased(store, numbered(4));
    if (answer.outcome === 'granted') await store.fail(answer.lease, LONG_MS);
    await store.invalidate(numbered(5), { atLeast: 5, keepMs: LONG_MS });
    const keys = await admin.keys(`${namespace}:*`);
    expect(keys).toHaveLength(5);
    expect(await Promise.all(keys.map((key) => admin.pttl(key)))).not.toContain(-1);
  });

  it('goes on when Redis has forgotten the scripts', async () => {
    const store = open();
    await put(store);
    await admin.script('FLUSH');
    await put(store, USER, 'again');
    await admin.script('FLUSH');
    expect(await leased(store)).toMatchObject({ outcome: 'fresh' });
    await admin.script('FLUSH');
    await store.invalidate(USER);
    expect(await store.read(USER)).toBeUndefined();
  });

  it.each([
    ['full', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
    [
      'without its replicas',
      ['CONFIG', 'SET', 'min-replicas-to-write', '1'],
      ['CONFIG', 'SET', 'min-replicas-to-write', '0'],
    ],
  ])('that is %s serves what it has, and refuses the rest', async (kind, begin, end) => {
    const store = open();
    await put(store);
    const loading = await leased(store, numbered(8));
    redis.cli(...begin);
    try {
      expect(text((await store.read(USER))?.payload)).toBe('value');
      expect(await leased(store)).toMatchObject({ outcome: 'fresh' });
      expect(await leased(store, numbered(9))).toEqual({ outcome: 'refused' });
      expect(await leased(store, numbered(8))).toEqual({ outcome: 'refused' });
      if (loading.outcome !== 'granted') throw new Error('nobody else wants it');
      await expect(store.fill(loading.lease, stored(1), LONG_MS)).rejects.toMatchObject(REFUSED);
      const invalidated = store.invalidate(USER);
      // Whoever is full may still be told to forget.
      if (kind === 'full') await invalidated;
      else await expect(invalidated).rejects.toMatchObject(REFUSED);
    } finally {
      redis.cli(...end);
    }
    const isFull = kind === 'full';
    expect((await store.read(USER)) === undefined).toBe(isFull);
    // Nobody waits for a lease whose holder could not use it.
    expect((await leased(store, numbered(8))).outcome).toBe(isFull ? 'granted' : 'held');
    expect((await leased(store, numbered(9))).outcome).toBe('granted');
  });

  it('that is a replica serves what it has, though connections to it are not replaced at each refusal', async () => {
    const store = open();
    await put(store);
    redis.cli('REPLICAOF', '127.0.0.1', '1');
    try {
      expect(await leased(store, numbered(9))).toEqual({ outcome: 'refused' });
      await until(() => store.read(USER));
      const connected = Number(redis.cli('INFO', 'stats').match(/connections_received:(\d+)/)![1]);
      for (let i = 0; i < 10; i++) {
        expect(await leased(store, numbered(`absent ${i}`))).toEqual({ outcome: 'refused' });
        await expect(store.invalidate(USER)).rejects.toMatchObject(REFUSED);
        expect(text((await store.read(USER))?.payload)).toBe('value');
        expect(await leased(store)).toMatchObject({ outcome: 'fresh' });
      }
      const now = Number(redis.cli('INFO', 'stats').match(/connections_received:(\d+)/)![1]);
      // Who asks has a connection of his own.
      expect(now - connected).toBe(1);
    } finally {
      redis.cli('REPLICAOF', 'NO', 'ONE');
    }
  });

  it('that is a replica since a moment ago is left for what its address leads to now, also by who only reads', async () => {
    const next = (await startRedis())!;
    const proxy = await RedisProxy.before(redis.port);
    try {
      const store = open({ url: proxy.url });
      await put(store);
      // Connections that there are stay where they are.
      redis.cli('REPLICAOF', '127.0.0.1', String(next.port));
      proxy.port = next.port;
      await until(async () => {
        await store.read(numbered(9));
        expect(await leased(store, numbered(9))).toMatchObject({ outcome: 'granted' });
      });
      expect(next.cli('EXISTS', `${namespace}:1:l:{user:9}`)).toBe('1');
    } finally {
      redis.cli('REPLICAOF', 'NO', 'ONE');
      await proxy.close();
      await next.stop();
    }
  });

  it('counts what is none of its own as absent, and tells of it', async () => {
    const unreadable: EntryName[] = [];
    const store = open({ onUnreadable: (entry) => unreadable.push(entry) });
    await put(store);
    const key = `${namespace}:1:v:{user:7}`;
    const good = (await admin.getBuffer(key))!;
    const bad = [
      Buffer.from('hello'),
      Buffer.alloc(0),
      good.subarray(0, 35),
      ...[0, 1].map((at) => Buffer.from(good).fill(0xff, at, at + 1)),
      ...[8, 16].map((at) => Buffer.from(good).fill(0xff, at, at + 8)),
      Buffer.concat([Buffer.from(good).fill(1, 1, 2), Buffer.from('payload')]),
    ];
    for (const bytes of bad) {
      await admin.set(key, bytes);
      expect(await store.read(USER)).toBeUndefined();
      expect(unreadable.splice(0)).toEqual([USER]);
      const answer = await leased(store, USER, { staleForMs: LONG_MS });
      expect(answer).toMatchObject({ outcome: 'granted', stale: undefined });
      await put(store);
      await admin.set(key, bytes);
      await store.invalidate(USER, { atLeast: 5, keepMs: 1 });
      expect(await admin.exists(key)).toBe(0);
    }
  });

  it('gives the lease back for what is too long to be stored', async () => {
    const store = open();
    const lease = await store.claim(USER, LONG_MS);
    const tooLong = { ...stored(lease.grantedAt), payload: Buffer.alloc(16 * 2 ** 20) };
    await expect(store.fill(lease, tooLong, LONG_MS)).rejects.toMatchObject({
      ...REFUSED,
      message: "An entry of 'user' is longer than 16777216 bytes",
    });
    expect(await leased(store)).toMatchObject({ outcome: 'granted' });
  });

  it('does not have a process wait to be woken that cannot hear it', async () => {
    const [holder, waiter] = [open(), open()];
    await holder.lease(USER, TERMS);
    waiter['waiters'].open = () => undefined;
    expect(await leased(waiter)).toMatchObject({ outcome: 'held' });
    expect(await admin.get(`${namespace}:1:l:{user:7}`)).toHaveLength(22);
  });

  it('rejects at once what Redis would be behind with, and all else in the end', async () => {
    const store = open();
    await put(store);
    redis.freeze();
    let settled = 0;
    const all = Array.from({ length: 10_500 }, () =>
      store.invalidate(USER).then(
        () => settled++,
        () => settled++,
      ),
    );
    try {
      await new Promise(setImmediate);
      expect(settled).toBe(500);
      // The connection is given up, and another one is wanted of a server that does not say a word.
      await Promise.all(all);
    } finally {
      redis.thaw();
    }
    await until(() => store.read(USER));
    await put(store, USER, 'again');
    expect(text((await store.read(USER))?.payload)).toBe('again');
  });

  it('leaves no connection and no timer, whatever it was doing', async () => {
    const clients = async () =>
      ((await admin.client('LIST')) as string).split('\n').filter((line) => line !== '').length;
    const before = await clients();
    const [idle, waiting, busy] = [open(), open(), open()];
    await put(waiting);
    await waiting.lease(numbered(1), TERMS);
    await waiting.lease(numbered(1), TERMS);
    const reads = Promise.allSettled([busy.read(USER), busy.lease(USER, TERMS)]);
    await Promise.all([idle, waiting, busy].map((store) => store.close()));
    await reads;
    for (const store of [idle, waiting, busy]) {
      await expect(store.read(USER)).rejects.toThrow('closed');
      await expect(store.invalidate(USER)).rejects.toThrow('closed');
    }
    for (let now = -1; now !== before;) now = await clients();
  });
});
