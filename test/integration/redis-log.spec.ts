import { Redis } from 'ioredis';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { invalidationLogConformance } from '../conformance/invalidation-log.js';
import { hasRedis } from '../support/redis-binaries.js';
import { RedisProxy } from '../support/redis-proxy.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

/** Longer than any test. */
const KEEP_MS = 600_000;
const named = (id: string) => ({ entity: 'user', id });

(hasRedis() ? describe : describe.skip)('a log in Redis', () => {
  let redis: TestRedis;
  let admin: Redis;
  let tests = 0;
  let namespace: string;
  const stores: RedisStore[] = [];
  const open = (url = redis.url) => {
    const store = new RedisStore({ url, namespace });
    stores.push(store);
    return store.log;
  };
  const key = (name = '') => `${namespace}:1:log:{log}${name}`;

  beforeAll(async () => {
    redis = (await startRedis())!;
    admin = new Redis(redis.url);
  });
  beforeEach(() => (namespace = `log-${++tests}`));
  afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())));
  afterAll(async () => {
    admin.disconnect();
    await redis.stop();
  });

  invalidationLogConformance(async () => ({
    open: async () => open(),
    lose: async () => void (await admin.flushall()),
    close: async () => {},
  }));

  it('begins a new epoch when its server has another history than before, whatever it has of it', async () => {
    const log = open();
    await log.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
    const { end } = await log.poll(undefined);
    // As a replica does that becomes primary.
    await admin.call('REPLICAOF', '127.0.0.1', '1');
    await admin.call('REPLICAOF', 'NO', 'ONE');
    let answer = await log.poll(end).catch(() => undefined);
    while (answer === undefined) answer = await log.poll(end).catch(() => undefined);
    expect(answer.end.epoch).not.toBe(end.epoch);
    expect(answer.missed ?? []).toEqual([]);
  });

  it('gives no answer where it may not write, for another server may do so', async () => {
    const log = open();
    const { end } = await log.poll(undefined);
    for (const [begin, over] of [
      [
        ['CONFIG', 'SET', 'min-replicas-to-write', '1'],
        ['CONFIG', 'SET', 'min-replicas-to-write', '0'],
      ],
      [
        ['REPLICAOF', '127.0.0.1', '1'],
        ['REPLICAOF', 'NO', 'ONE'],
      ],
    ] as const) {
      redis.cli(...begin);
      try {
        await expect(log.poll(end)).rejects.toThrow();
        await expect(
          log.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS),
        ).rejects.toThrow();
      } finally {
        redis.cli(...over);
      }
    }
  });

  it('works where Redis is full', async () => {
    const log = open();
    const { end } = await log.poll(undefined);
    redis.cli('CONFIG', 'SET', 'maxmemory', '1');
    try {
      await log.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
      expect((await log.poll(end)).missed).toHaveLength(1);
    } finally {
      redis.cli('CONFIG', 'SET', 'maxmemory', '0');
    }
  });

  it('begins anew where something else lies in its place', async () => {
    const log = open();
    const { end } = await log.poll(undefined);
    await admin.set(key(), 'x');
    expect((await log.poll(end)).end.epoch).not.toBe(end.epoch);
    await log.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
  });

  it.each([
    { what: 'of another type', put: () => admin.set(key(':m'), 'x') },
    {
      what: 'whose last message has a number that will never be reached',
      put: () => admin.xadd(key(':m'), `${2n ** 63n}-1`, 'w', 'x', 'm', '[]'),
    },
  ])('begins anew where there are messages $what', async ({ put }) => {
    const log = open();
    const { end } = await log.poll(undefined);
    await put();
    const after = await log.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
    expect(after).toEqual({ epoch: expect.not.stringMatching(end.epoch) as string, seq: 1 });
    const { end: last, missed } = await log.poll({ ...after, seq: 0 });
    expect(last).toEqual(after);
    expect(missed).toHaveLength(1);
    // Who had heard something must not take it for what comes next.
    expect((await log.poll(end)).end.epoch).toBe(after.epoch);
  });

  it.each(['many', '-1', '1e3', `${2n ** 60n}`])(
    'begins anew where the number of its messages is %s',
    async (seq) => {
      const log = open();
      const { end } = await log.poll(undefined);
      await admin.hset(key(), 'seq', seq);
      const after = (await log.poll(end)).end;
      expect(after).toEqual({ epoch: expect.not.stringMatching(end.epoch) as string, seq: 0 });
    },
  );

  it('takes what is none of ours in the place of a tag for one that it does not know', async () => {
    const log = open();
    for (let i = 0; i < 3; i++) await log.append({ entries: [], tags: ['t:tea'] }, 'me', KEEP_MS);
    const { end } = await log.poll(undefined);
    for (const text of [
      '',
      'x',
      `${end.epoch}`,
      `${end.epoch} `,
      `${end.epoch} -1`,
      `${end.epoch} 1 1`,
      'other 1',
    ]) {
      await admin.set(key(':t:t:tea'), text);
      expect(await log.generations(['t:tea'], KEEP_MS)).toEqual({ end, generations: [3] });
    }
    await admin.del(key(':t:t:tea'));
    await admin.lpush(key(':t:t:tea'), 'x');
    expect(await log.generations(['t:tea'], KEEP_MS)).toEqual({ end, generations: [3] });
    expect(await admin.get(key(':t:t:tea'))).toBe(`${end.epoch} 3`);
  });

  it.each(['1000000', '9'.repeat(15), '9'.repeat(40), '-1', '1e3', 'nan', ''])(
    'does not believe that a tag was invalidated in message %s',
    async (number) => {
      const log = open();
      const { epoch } = await log.append({ entries: [], tags: ['t:tea'] }, 'me', KEEP_MS);
      await admin.set(key(':t:t:tea'), `${epoch} ${number}`);
      const { end, generations } = await log.generations(['t:tea'], KEEP_MS);
      expect(generations).toEqual([end.seq]);
    },
  );

  it('remembers tags for as long as it is told, from the last use on', async () => {
    const log = open();
    await log.append({ entries: [], tags: ['t:tea'] }, 'me', KEEP_MS);
    await admin.pexpire(key(':t:t:tea'), 1_000);
    await log.generations(['t:tea', 't:milk'], KEEP_MS);
    for (const name of [':t:t:tea', ':t:t:milk']) {
      expect(await admin.pttl(key(name))).toBeGreaterThan(KEEP_MS / 2);
    }
  });

  it('has nothing of what was in it in another history', async () => {
    const log = open();
    for (let i = 0; i < 3; i++)
      await log.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
    await admin.call('REPLICAOF', '127.0.0.1', '1');
    await admin.call('REPLICAOF', 'NO', 'ONE');
    for (;;)
      if (
        await log.append({ entries: [named('b')], tags: [] }, 'me', KEEP_MS).then(
          () => true,
          () => false,
        )
      )
        break;
    expect(await admin.xlen(key(':m'))).toBe(1);
  });

  it('is gone by itself, and has a bound', async () => {
    const log = open();
    for (let i = 0; i < 20; i++)
      await log.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
    for (const name of ['', ':m']) {
      expect(await admin.pttl(key(name))).toBeGreaterThan(3_000_000);
    }
    // As `MAXLEN ~` does it, in nodes of 100.
    await admin.call('XTRIM', key(':m'), 'MAXLEN', '5');
    const { end, missed } = await log.poll({ ...(await log.poll(undefined)).end, seq: 2 });
    expect(missed!.length).toBeLessThan(end.seq - 2);
  });

  it('has nothing to say of what nobody of ours wrote, and says that it is missing', async () => {
    const log = open();
    const heard: object[] = [];
    let asked = 0;
    log.listen({ onMessage: (message) => heard.push(message), onListening: () => asked++ });
    while (asked === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const { end } = await log.poll(undefined);
    for (const text of ['', 'hello', 'a 1 b {}', 'a 1 b [["x"]]', 'a b c []', '[]']) {
      await admin.publish(`${namespace}:1:log`, text);
    }
    while (asked < 7) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(heard).toEqual([]);
    await admin.hset(key(), 'seq', '1');
    await admin.xadd(key(':m'), '1-1', 'w', 'me', 'm', '{"__proto__":1}');
    expect((await log.poll({ ...end, seq: 0 })).missed).toBeUndefined();
  });

  it('is listened to again after its connection was lost, and says so', async () => {
    const proxy = await RedisProxy.before(redis.port);
    try {
      const log = open(proxy.url);
      let times = 0;
      const heard: object[] = [];
      log.listen({ onMessage: (message) => heard.push(message), onListening: () => times++ });
      while (times < 1) await new Promise((resolve) => setTimeout(resolve, 5));
      proxy.cut();
      while (times < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      await open().append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
      while (heard.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    } finally {
      await proxy.close();
    }
  });
});
