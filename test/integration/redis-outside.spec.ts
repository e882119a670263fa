import fc from 'fast-check';
import { Redis } from 'ioredis';
import type { EntityKey, KeyPart } from 'nestjs-cache-contract';
import { LuaScript } from '../../lib/connection/lua-script.js';
import { idOf } from '../../lib/entry/key.js';
import type { LogMessage } from '../../lib/store/invalidation-log.js';
import type { StoredEntry } from '../../lib/store/cache-store.js';
import { EntryKeys } from '../../lib/store/redis/entry-keys.js';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { until } from '../support/fault-child.js';
import { holds } from '../support/property.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

const { text: SCRIPT } = new LuaScript(
  'invalidate-outside',
  new URL('../../lib/store/redis/redis-store.ts', import.meta.url).href,
);

const named = (key: EntityKey) => ({ entity: 'user', id: idOf(key, 'user') });
const stored = (version?: number): StoredEntry => ({
  payload: Buffer.from('value'),
  loadedAt: Date.now(),
  softExpiry: Date.now() + 60_000,
  loadMs: 1,
  schema: 0,
  version,
});
const TERMS = { leaseMs: 30_000, staleForMs: 0, staleOnErrorMs: 0, newerThan: -Infinity };

/** A key as the command takes it. */
function written(key: EntityKey): string {
  if (!Array.isArray(key)) return /^["[]/.test(String(key)) ? JSON.stringify(key) : String(key);
  const parts = (key as readonly KeyPart[]).map((part) =>
    typeof part === 'bigint' || (typeof part === 'number' && !Number.isSafeInteger(part))
      ? String(part)
      : part,
  );
  return JSON.stringify(parts);
}

const text = fc.oneof(
  fc.constantFrom('a', '%', '{', '}', '{a}', '%7B', 'a/b', '["a"]', '"', '[', '\\', '\u0000', '🙂'),
  fc.string({ unit: 'grapheme', maxLength: 8 }),
);
const part: fc.Arbitrary<KeyPart> = fc.oneof(
  text,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
  fc.bigInt(),
  fc.boolean(),
  fc.constant(null),
);
const anyKey = fc.oneof(
  text.filter((given) => given !== ''),
  fc.integer(),
  fc.array(part, { minLength: 1, maxLength: 4 }),
) as fc.Arbitrary<EntityKey>;

(hasRedis() ? describe : describe.skip)('the script for programs in other languages', () => {
  let redis: TestRedis;
  let client: Redis;
  let tests = 0;
  let namespace: string;
  const stores: RedisStore[] = [];
  const open = () => {
    const store = new RedisStore({ url: redis.url, namespace });
    stores.push(store);
    return store;
  };
  const send = (...keys: EntityKey[]) =>
    client.eval(SCRIPT, 0, namespace, 'user', ...keys.map(written));
  const nameOf = (kind: 'record' | 'lease' | 'floor', key: EntityKey) =>
    new EntryKeys(namespace)[kind](named(key));
  const LOG = () => `${namespace}:1:log:{log}`;
  const messages = async () => {
    const found = await client.xrange(`${LOG()}:m`, '-', '+');
    return found.map(([, [, writer, , entries]]) => ({ writer, entries: JSON.parse(entries!) }));
  };

  beforeAll(async () => {
    redis = (await startRedis())!;
    client = new Redis(redis.url);
  });
  beforeEach(() => (namespace = `outside-${++tests}`));
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()));
    redis.cli('FLUSHALL');
  });
  afterAll(async () => {
    client?.disconnect();
    await redis?.stop();
  });

  it('finds the entry of every key, and tells the processes of it by the name that they know', async () => {
    await holds(
      fc.asyncProperty(
        fc.uniqueArray(anyKey, { minLength: 1, selector: written }),
        async (keys) => {
          await client.del(`${LOG()}:m`);
          const ids = new Set(keys.map((key) => named(key).id));
          for (const key of keys) {
            await client.set(nameOf('record', key), 'value');
            await client.set(nameOf('lease', key), 'token');
          }
          expect(await send(...keys)).toEqual([ids.size, 0]);
          for (const key of keys) {
            expect(await client.exists(nameOf('record', key), nameOf('lease', key))).toBe(0);
          }
          const told = await messages();
          expect(told.flatMap(({ entries }) => entries)).toEqual(
            keys.map((key) => ['user', named(key).id]),
          );
        },
      ),
      50,
    );
  });

  it('leaves in Redis what a process leaves that invalidates', async () => {
    const left = async (invalidate: () => Promise<unknown>) => {
      redis.cli('FLUSHALL');
      const store = open();
      const lease = await store.claim(named('a'), 30_000);
      await store.fill(lease, stored(), 60_000);
      await store.claim(named('a'), 30_000);
      await store.invalidate(named('b'), { atLeast: 5, keepMs: 60_000 });
      await invalidate();
      const names = redis.cli('--scan').split('\n').sort();
      const lasting = names.map((name) => Math.round(Number(redis.cli('PTTL', name)) / 10_000));
      const log = redis.cli('HGET', LOG(), 'seq');
      return { names, lasting, log, messages: (await messages()).map(({ entries }) => entries) };
    };
    const inside = await left(async () => {
      const [store] = stores;
      await store!.invalidate(named('a'));
      await store!.log.append({ entries: [named('a')], tags: [] }, 'a process', 60_000);
    });
    expect(inside.names).toHaveLength(3);
    expect(await left(() => send('a'))).toEqual(inside);
  });

  it('is heard by every process, also by one that has missed the message', async () => {
    const [one, late] = [open().log, open().log];
    const heard: LogMessage[] = [];
    let isListening = false;
    one.listen({ onMessage: (said) => heard.push(said), onListening: () => (isListening = true) });
    await until('it listens', () => isListening);
    const { end } = await late.poll(undefined);
    expect(await send('a', 'b')).toEqual([0, 1]);
    const told = {
      epoch: end.epoch,
      seq: end.seq + 1,
      writer: 'outside',
      entries: [named('a'), named('b')],
      tags: [],
    };
    await until('it is heard', () => heard.length > 0);
    expect(heard).toEqual([told]);
    expect(await late.poll(end)).toEqual({
      end: { epoch: end.epoch, seq: end.seq + 1 },
      missed: [told],
    });
  });

  it('begins the log anew where it is lost, each time as another one', async () => {
    const epochs = new Set<string>();
    for (let time = 0; time < 20; time++) {
      redis.cli('FLUSHALL');
      await send('a');
      epochs.add(redis.cli('HGET', LOG(), 'epoch'));
    }
    expect(epochs.size).toBe(20);
    expect((await open().log.poll(undefined)).end).toEqual({ epoch: [...epochs].at(-1), seq: 1 });
  });

  it('keeps what was loaded before it from being stored after it, and wakes who waits for that load', async () => {
    const [loading, waiting] = [open(), open()];
    await waiting.check();
    await until('it can be woken', () => waiting['waiters'].channel !== undefined);
    const first = await loading.lease(named('a'), TERMS);
    if (first.outcome !== 'granted') throw new Error(first.outcome);
    const held = await waiting.lease(named('a'), TERMS);
    if (held.outcome !== 'held') throw new Error(held.outcome);
    await send('a');
    await held.woken;
    expect(await loading.fill(first.lease, stored(), 60_000)).toBe('voided');
    expect((await waiting.lease(named('a'), TERMS)).outcome).toBe('granted');
  });

  it('changes nothing about which versions may be stored', async () => {
    const store = open();
    await store.invalidate(named('a'), { atLeast: 5, keepMs: 60_000 });
    const floor = await client.getBuffer(nameOf('floor', 'a'));
    await send('a');
    expect(await client.getBuffer(nameOf('floor', 'a'))).toEqual(floor);
    const fill = async (version: number) =>
      store.fill(await store.claim(named('a'), 1_000), stored(version), 60_000);
    expect([await fill(4), await fill(5)]).toEqual(['older version', 'stored']);
    await send('a');
    expect(await fill(5)).toBe('stored');
  });

  it('tells a thousand in messages that no process takes long to read, and the log keeps its size', async () => {
    const keys = Array.from({ length: 1_000 }, (_, index) => index);
    await send(...keys);
    expect((await messages()).map(({ entries }) => entries.length)).toEqual(Array(10).fill(100));
    for (let time = 0; time < 120; time++) await send(...keys);
    expect(await client.xlen(`${LOG()}:m`)).toBeLessThan(1_200);
  });

  it('works while Redis is full', async () => {
    const store = open();
    await store.fill(await store.claim(named('a'), 1_000), stored(), 60_000);
    redis.cli('CONFIG', 'SET', 'maxmemory', '1');
    try {
      expect(await send('a')).toEqual([1, 0]);
    } finally {
      redis.cli('CONFIG', 'SET', 'maxmemory', '0');
    }
  });

  it('forgets and tells of the others where Redis refuses one of them, and says that it did', async () => {
    for (const key of ['a', 'c']) await client.set(nameOf('record', key), 'value');
    await client.lpush(nameOf('lease', 'b'), 'none of ours');
    await expect(send('a', 'b', 'c')).rejects.toThrow(
      /^ERR invalidate\.lua expected to invalidate 3 entries, and Redis refused 1 of them: WRONGTYPE .*Fix: .*send the command again\.$/,
    );
    expect(await client.exists(nameOf('record', 'a'), nameOf('record', 'c'))).toBe(0);
    expect((await messages()).flatMap(({ entries }) => entries)).toHaveLength(3);
  });

  it.each<[string, (string | Buffer)[], RegExp]>([
    [
      'no arguments',
      [],
      /expected as namespace 1 to 64 letters, .*got something else of 0 bytes\. Fix: .* redis-cli takes a comma between spaces before them/,
    ],
    ['a namespace with a colon', ['a:b', 'user', 'a'], /expected as namespace/],
    ['an entity with a space', ['shop', 'a user', 'a'], /expected as entity 1 to 64 letters/],
    ['an entity of 65 letters', ['shop', 'a'.repeat(65), 'a'], /as entity .* of 65 bytes/],
    ['no key', ['shop', 'user'], /expected 1 to 1000 keys, got 0/],
    ['1,001 keys', ['shop', 'user', ...Array(1_001).fill('a')], /1 to 1000 keys, got 1001/],
    ['an empty key', ['shop', 'user', 'a', ''], /that is not empty, .* as key 2 of 2/],
    ['a key that is no UTF-8', ['shop', 'user', Buffer.from([0xe9])], /expected UTF-8/],
    ['a lone surrogate', ['shop', 'user', Buffer.from([0xed, 0xa0, 0x80])], /expected UTF-8/],
    ['a long key', ['shop', 'user', '🙂'.repeat(129)], /at most 256 characters/],
    ['a long tuple', ['shop', 'user', JSON.stringify(['a'.repeat(256)])], /at most 256 char/],
    ['what only looks like JSON', ['shop', 'user', '[a'], /expected JSON where/],
    ['an empty tuple', ['shop', 'user', '[]'], /at least one part/],
    ['a tuple in a tuple', ['shop', 'user', '[["a"]]'], /as parts of a tuple/],
    ['an object in a tuple', ['shop', 'user', '[{"a":1}]'], /as parts of a tuple/],
    ['a fraction in a tuple', ['shop', 'user', '[0.5]'], /whole numbers up to/],
    ['a number that is not exact', ['shop', 'user', '[9007199254740993]'], /whole numbers up to/],
  ])('refuses %s, says what it expected, and has done nothing', async (_, args, expected) => {
    const answer = client.eval(SCRIPT, 0, ...args);
    await expect(answer).rejects.toThrow(/^ERR invalidate\.lua expected .+, got .+\. Fix: .+/);
    await expect(answer).rejects.toThrow(expected);
    expect(redis.cli('DBSIZE')).toBe('0');
  });

  it('takes a key of 256 characters, and a tuple of as many', async () => {
    const keys: EntityKey[] = ['🙂'.repeat(128), ['a'.repeat(255)]];
    for (const key of keys) await client.set(nameOf('record', key), 'value');
    expect(await send(...keys)).toEqual([2, 0]);
  });
});
