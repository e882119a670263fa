import { jest } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EntryName, Lease, LeaseAnswer } from '../../lib/store/cache-store.js';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { eventually } from '../support/engine.js';
import { hasRedis } from '../support/redis-binaries.js';
import { RedisProxy, type Fate } from '../support/redis-proxy.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(120_000);

const KEEP_MS = 600_000;
const USER: EntryName = { entity: 'user', id: '7' };
const TERMS = { leaseMs: 60_000, staleForMs: 0, staleOnErrorMs: 0, newerThan: 0 };

(hasRedis() ? describe : describe.skip)('a store in Redis behind a bad network', () => {
  let redis: TestRedis;
  let proxy: RedisProxy;
  let namespace: string;
  let tests = 0;
  const stores: RedisStore[] = [];
  const open = (url: string) => {
    const store = new RedisStore({ url, namespace });
    stores.push(store);
    return store;
  };
  const fill = (from: RedisStore, lease: Lease, value: number) =>
    from.fill(
      lease,
      {
        payload: Buffer.from(`${value}`),
        loadedAt: lease.grantedAt,
        softExpiry: lease.grantedAt + KEEP_MS,
        loadMs: 1,
        schema: 0,
        version: undefined,
      },
      KEEP_MS,
    );
  const isLease = (commands: Buffer) => commands.includes(':l:{user:7}') && isScript(commands);
  const isScript = (commands: Buffer) => commands.includes('EVALSHA');
  /** The scripts are known to Redis: what is sent next is what is executed. */
  const warmUp = async (store: RedisStore) => {
    const entry = { entity: 'warm', id: 'up' };
    const lease = await store.claim(entry, 1_000);
    await fill(store, lease, 0);
    await store.fail(lease, 0);
    await store.invalidate(entry);
    await store.lease(entry, TERMS);
  };
  const granted = (answer: LeaseAnswer): Lease => {
    expect(answer).toMatchObject({ outcome: 'granted' });
    return (answer as Extract<LeaseAnswer, { outcome: 'granted' }>).lease;
  };

  beforeAll(async () => void (redis = (await startRedis())!));
  afterAll(() => redis.stop());
  beforeEach(async () => {
    namespace = `faults${++tests}`;
    proxy = await RedisProxy.before(redis.port);
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await proxy.close();
  });

  /** The next chunk that matters has this fate, and all others go through. */
  const once = (fate: Fate, matters: (commands: Buffer) => boolean) => {
    let done = false;
    proxy.fate = (commands) => {
      if (done || !matters(commands)) return 'through';
      done = true;
      return fate;
    };
    return eventually(() => done);
  };

  it('asks again for a lease whose answer was lost, and takes over the one it has got', async () => {
    const [store, direct] = [open(proxy.url), open(redis.url)];
    await warmUp(store);
    const lost = once('lost', isLease);
    const answer = store.lease(USER, TERMS);
    await lost;
    // Executed, and not told.
    await eventually(() => redis.cli('EXISTS', `${namespace}:1:l:{user:7}`) === '1');
    proxy.cut();
    const lease = granted(await answer);
    expect(await direct.lease(USER, TERMS)).toMatchObject({ outcome: 'held' });
    expect(await fill(store, lease, 1)).toBe('stored');
  });

  it('does not have a lease brought back by a late copy of what asked for it', async () => {
    const [store, direct] = [open(proxy.url), open(redis.url)];
    await warmUp(store);
    const held = once('held', isLease);
    const answer = store.lease(USER, TERMS);
    await held;
    proxy.cut();
    const lease = granted(await answer);
    // What it loads is what the source said before the invalidation.
    await direct.invalidate(USER);
    expect(proxy.pending).toBeGreaterThan(0);
    await proxy.deliverLate();
    expect(await fill(store, lease, 0)).toBe('voided');
    expect(await direct.read(USER)).toBeUndefined();
  });

  it.each(['fill', 'claim', 'fail', 'invalidate'] as const)(
    'does not send a second time what the answer to was lost: %s',
    async (what) => {
      const store = open(proxy.url);
      await warmUp(store);
      const lease = granted(await store.lease(USER, TERMS));
      let sent = 0;
      proxy.fate = (commands) => {
        if (!isScript(commands)) return 'through';
        sent++;
        return 'lost';
      };
      const calls = {
        fill: () => fill(store, lease, 1),
        claim: () => store.claim(USER, 1_000),
        fail: () => store.fail(lease, 1_000),
        invalidate: () => store.invalidate(USER),
      };
      const outcome = calls[what]().then(
        () => 'answered',
        () => 'rejected',
      );
      await eventually(() => sent === 1);
      proxy.cut();
      expect(await outcome).toBe('rejected');
      proxy.fate = () => 'through';
      await eventually(() => store['nodes'].only!.connection.client.status === 'ready');
      expect(await store.read({ entity: 'another', id: '1' })).toBeUndefined();
      expect(sent).toBe(1);
    },
  );

  it.each([1, 2, 3, 4, 5, 6])(
    'never has what was read before an invalidation stored after it, and one lease in force at most (history %i)',
    async (seed) => {
      let state = seed * 2_654_435_761;
      const random = () => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return state / 2 ** 32;
      };
      const names = ['1', '2', '3'].map((id) => ({ entity: 'user', id }));
      const through = [open(proxy.url), open(proxy.url)];
      const direct = open(redis.url);
      await Promise.all([...through, direct].map(warmUp));
      const source = new Map(names.map(({ id }) => [id, 0]));
      const invalidated = new Map(source);
      const latest = new Map<string, Lease>();
      const seen = { stored: 0, voided: 0, lost: 0, stale: 0, late: 0 };
      proxy.fate = (commands) => {
        if (!isScript(commands)) return 'through';
        const chance = random();
        if (chance < 0.03) return 'held';
        if (chance < 0.05) return 'lost';
        return chance < 0.08 ? 'twice' : 'through';
      };

      const pick = <T>(of: readonly T[]) => of[Math.floor(random() * of.length)]!;
      const reader = async () => {
        const [store, name] = [pick(through), pick(names)];
        const answer = await store.lease(name, { ...TERMS, leaseMs: 500 });
        if (answer.outcome === 'held') answer.leave();
        if (answer.outcome !== 'granted') return;
        const { lease } = answer;
        const last = latest.get(name.id);
        if (last === undefined || last.grantedAt < lease.grantedAt) latest.set(name.id, lease);
        const value = source.get(name.id)!;
        await sleep(random() * 20);
        const wasSuperseded = latest.get(name.id)!.grantedAt > lease.grantedAt;
        const outcome = await fill(store, lease, value);
        seen[outcome === 'stored' ? 'stored' : 'voided']++;
        if (wasSuperseded) expect(outcome).toBe('voided');
      };
      const writer = async () => {
        const name = pick(names);
        const value = source.get(name.id)! + 1;
        source.set(name.id, value);
        const store = pick(through);
        for (let done = false; !done;) {
          done = await store.invalidate(name).then(
            () => true,
            () => sleep(5).then(() => false),
          );
        }
        invalidated.set(name.id, Math.max(invalidated.get(name.id)!, value));
      };
      const check = async (name: EntryName) => {
        const least = invalidated.get(name.id)!;
        const stored = await direct.read(name);
        if (stored !== undefined && Number(Buffer.from(stored.payload!)) < least) seen.stale++;
      };
      const end = Date.now() + 3_000;
      const repeat = async (task: () => Promise<void>) => {
        while (Date.now() < end) {
          await task().catch((error: unknown) => {
            if ((error as Error).constructor.name === 'JestAssertionError') throw error;
            seen.lost++;
          });
          await sleep(random() * 4);
        }
      };
      let over = false;
      const all = Promise.all([
        ...Array.from({ length: 12 }, () => repeat(reader)),
        ...Array.from({ length: 2 }, () => repeat(writer)),
        repeat(() => check(pick(names))),
      ]).finally(() => (over = true));
      while (!over) {
        await sleep(100);
        proxy.cut();
        await sleep(20);
        seen.late += proxy.pending;
        await proxy.deliverLate();
      }
      await all;
      proxy.cut();
      await proxy.deliverLate();
      for (const name of names) await check(name);
      expect(seen.stale).toBe(0);
      // It has been a bad network, and not so bad that nothing came of it.
      for (const count of [seen.stored, seen.voided, seen.lost, seen.late]) {
        expect(count).toBeGreaterThan(3);
      }
    },
  );
});
