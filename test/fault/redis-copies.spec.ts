import { Redis } from 'ioredis';
import { PATIENCE_MS, until } from '../support/fault-child.js';
import { startFleet, WELL, type RedisFleet } from '../support/fault-fleet.js';
import { staleReads } from '../support/fault-history.js';
import { hasRedis } from '../support/redis-binaries.js';
import { RedisProxy } from '../support/redis-proxy.js';

const PROCESSES = 3;
const READERS = 8;
const KEYS = Array.from({ length: 12 }, (_, index) => `row-${index}`);
/** So long a copy may be used by who hears of nothing. */
const LEASE_MICROS = 5_000_000;
/** What somebody does to them lasts until they have changed the source so often. */
const CHANGES = 30;

(hasRedis() ? describe : describe.skip)('processes with copies of what they share', () => {
  let fleet: RedisFleet;
  beforeAll(async () => {
    fleet = await startFleet();
  }, PATIENCE_MS);
  afterEach(() => fleet.stop());
  afterAll(() => fleet?.remove());

  it(
    'answer from them, and hear of all that changes',
    async () => {
      const members = await Promise.all(
        Array.from({ length: PROCESSES }, () => fleet.start({ copies: true })),
      );
      const [writer, ...others] = members as [(typeof members)[0], ...typeof members];
      await until('they have copies', async () => {
        await Promise.all(others.map((member) => member.read('calm')));
        const before = await Promise.all(others.map((member) => member.seen()));
        for (let i = 0; i < 20; i++) await Promise.all(others.map((member) => member.read('calm')));
        const after = await Promise.all(others.map((member) => member.seen()));
        return after.every(({ readsOfStore }, i) => readsOfStore === before[i]!.readsOfStore);
      });
      for (let version = 1; version <= 50; version++) {
        expect(await writer.change('calm')).toEqual({ version, outcome: 'acknowledged' });
        await until('all have heard of it', async () => {
          const rows = await Promise.all(others.map((member) => member.read('calm')));
          return rows.every((row) => row.version === version);
        });
      }
      expect(await fleet.end()).toEqual(Array(PROCESSES).fill(WELL));
    },
    2 * PATIENCE_MS,
  );

  it(
    'use none that is older than its lease, and have no old one in the end, whatever becomes of what they tell each other',
    async () => {
      const proxies = await Promise.all(
        Array.from({ length: PROCESSES }, () => RedisProxy.before(fleet.cache.port)),
      );
      const admin = new Redis(fleet.cache.url);
      const source = new Redis(fleet.source.url);
      try {
        const members = await Promise.all(
          proxies.map((proxy) =>
            fleet.start({ copies: true, cache: { url: proxy.url }, deadline: '1s' }),
          ),
        );
        const pids = await Promise.all(
          members.map(async (member) => (await member.read('own')).by),
        );
        await Promise.all(members.map((member) => member.live(KEYS, READERS, 400)));
        /** How often they have changed the source. */
        const changes = async () =>
          (await source.mget(KEYS)).reduce((sum, version) => sum + Number(version), 0);
        /** What they are told is lost, with such a chance. */
        const deaf = (chance: number) => {
          for (const proxy of proxies) {
            proxy.rewrite = (replies) =>
              replies.includes('shop:1:log') && Math.random() < chance ? Buffer.alloc(0) : replies;
          }
        };
        const troubles: (() => Promise<unknown>)[] = [
          async () => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
          async () => deaf(0.05),
          async () => deaf(1),
          // They do not have what they have missed.
          async () => admin.xtrim('shop:1:log:{log}:m', 'MAXLEN', 0),
          async () => deaf(0),
          async () => process.kill(pids[1]!, 'SIGSTOP'),
          async () => admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'),
          async () => process.kill(pids[1]!, 'SIGCONT'),
          async () => admin.flushall(),
          // Another history, as that of a replica that has become primary.
          async () => admin.call('REPLICAOF', '127.0.0.1', '1'),
          async () => admin.call('REPLICAOF', 'NO', 'ONE'),
          // One of them does not reach Redis.
          async () => (proxies[0]!.fate = () => 'held'),
          async () => {
            proxies[0]!.fate = () => 'through';
            proxies[0]!.cut();
          },
        ];
        for (const trouble of troubles) {
          await trouble();
          const before = await changes();
          await until('they go on', async () => (await changes()) >= before + CHANGES);
        }
        const histories = await Promise.all(members.map((member) => member.finish()));
        expect(histories.flatMap(({ errors }) => errors)).toEqual([]);
        const reads = histories.flatMap(({ reads }) => reads);
        expect(staleReads(histories, undefined, LEASE_MICROS)).toEqual([]);
        await until('none of them has an old one', async () => {
          const rows = await Promise.all(
            KEYS.map(async (key) => {
              const version = Number(fleet.source.cli('GET', key));
              const own = await Promise.all(members.map((member) => member.read(key)));
              return own.every((row) => row.version === version);
            }),
          );
          return rows.every(Boolean);
        });
        const seen = await Promise.all(members.map((member) => member.seen()));
        // Most were answered from a copy, and something of all that was noticed.
        const asked = seen.reduce((sum, { readsOfStore }) => sum + readsOfStore, 0);
        expect(reads.length).toBeGreaterThan(asked);
        expect(seen.every(({ faults }) => faults.CACHE_COPIES_DROPPED! > 0)).toBe(true);
        expect(await fleet.end()).toEqual(Array(PROCESSES).fill(WELL));
      } finally {
        admin.disconnect();
        source.disconnect();
        await Promise.all(proxies.map((proxy) => proxy.close()));
      }
    },
    4 * PATIENCE_MS,
  );
});
