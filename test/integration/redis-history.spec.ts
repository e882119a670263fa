import { jest } from '@jest/globals';
import { createHash } from 'node:crypto';
import type { EntryName, LeaseTerms } from '../../lib/store/cache-store.js';
import { EntryKeys } from '../../lib/store/redis/entry-keys.js';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { eventually } from '../support/engine.js';
import { until } from '../support/fault-child.js';
import { ManualClock } from '../support/manual-clock.js';
import { readAll } from '../support/read-all.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startPair } from '../support/redis-pair.js';
import { RedisProxy } from '../support/redis-proxy.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(120_000);

const LONG_MS = 600_000;
const USER: EntryName = { entity: 'user', id: '7' };
const OTHER: EntryName = { entity: 'user', id: '8' };
const TERMS: LeaseTerms = {
  leaseMs: LONG_MS,
  staleForMs: LONG_MS,
  staleOnErrorMs: LONG_MS,
  newerThan: 0,
};

(hasRedis() ? describe : describe.skip)(
  'a Redis that may lack the end of what was acknowledged',
  () => {
    let redis: TestRedis;
    let namespace: string;
    let tests = 0;
    const stores: RedisStore[] = [];
    const open = (url = redis.url, clock?: ManualClock) => {
      const store = new RedisStore({ url, namespace }, clock);
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
    const put = async (store: RedisStore, entry = USER) => {
      const lease = await store.claim(entry, LONG_MS);
      expect(await store.fill(lease, stored(lease.grantedAt), LONG_MS)).toBe('stored');
    };
    const granted = async (store: RedisStore, entry = USER, terms = TERMS) => {
      const answer = await store.lease(entry, terms);
      if (answer.outcome !== 'granted') throw new Error(answer.outcome);
      return answer;
    };
    /** As soon as there is a connection. */
    const readAgain = (store: RedisStore) =>
      until('it is read', () => store.read(USER).catch(() => undefined));
    const record = (entry = USER) => new EntryKeys(namespace).record(entry);
    /** As a replica does that becomes primary; the connections to it stay. */
    const demoteAndPromote = (server = redis) => {
      server.cli('REPLICAOF', '127.0.0.1', '1');
      server.cli('REPLICAOF', 'NO', 'ONE');
    };

    beforeAll(async () => void (redis = (await startRedis())!));
    afterAll(() => redis.stop());
    beforeEach(() => void (namespace = `history${++tests}`));
    afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())));

    it('has only what is doubtful, until it is loaded again', async () => {
      await put(open());
      await put(open(), OTHER);
      expect((await open().read(USER))?.isDoubtful).toBeUndefined();
      demoteAndPromote();
      const store = open();
      await put(store, OTHER);
      const [user, other] = await readAll(store, [USER, OTHER]);
      expect(user).toMatchObject({ isDoubtful: true, payload: Buffer.from('value') });
      expect(other?.isDoubtful).toBeUndefined();
      expect((await store.read(USER))?.isDoubtful).toBe(true);
      expect((await store.read(OTHER))?.isDoubtful).toBeUndefined();
    });

    it('is found out within a second, on a connection that stays', async () => {
      const clock = new ManualClock();
      const store = open(redis.url, clock);
      await put(store);
      const connections = () => redis.cli('CLIENT', 'LIST').match(/\bid=\d+/g);
      const before = connections();
      demoteAndPromote();
      clock.advance(1_001);
      expect((await store.read(USER))?.isDoubtful).toBe(true);
      expect(connections()).toEqual(expect.arrayContaining(before!.slice(0, -1)));
      await put(store);
      expect((await store.read(USER))?.isDoubtful).toBeUndefined();
    });

    it('is asked for its history once a second at most, however much is read', async () => {
      const clock = new ManualClock();
      const store = open(redis.url, clock);
      await store.read(USER);
      const asked = () =>
        Number(/cmdstat_info:calls=(\d+)/.exec(redis.cli('INFO', 'commandstats'))?.[1]);
      const before = asked();
      for (let second = 0; second < 3; second++) {
        clock.advance(1_001);
        for (let read = 0; read < 20; read++) await store.read(USER);
      }
      // One of them has been asked here.
      expect(asked() - before).toBe(3 + 1);
    });

    it('grants leases for what it has, and offers it to nobody as stale', async () => {
      const store = open();
      await put(store);
      expect(await store.lease(USER, TERMS)).toMatchObject({ outcome: 'fresh' });
      demoteAndPromote();
      expect((await granted(store)).stale).toBeUndefined();
      const held = await store.lease(USER, TERMS);
      expect(held).toMatchObject({ outcome: 'held', stale: undefined });
      if (held.outcome === 'held') held.leave();
    });

    it('offers it where loading has failed, to who accepts something stale then', async () => {
      const store = open();
      await put(store);
      demoteAndPromote();
      const { lease } = await granted(store);
      await store.fail(lease, LONG_MS);
      const cooling = await store.lease(USER, TERMS);
      expect(cooling).toMatchObject({ outcome: 'cooling', stale: { isDoubtful: true } });
      expect(await store.lease(USER, { ...TERMS, staleOnErrorMs: 0 })).toMatchObject({
        outcome: 'granted',
        stale: undefined,
      });
    });

    it.each(['granted', 'claimed'] as const)(
      'stores nothing under a lease that was %s before, and frees it',
      async (how) => {
        const store = open();
        await store.check();
        await eventually(() => store['waiters'].channel !== undefined);
        const lease =
          how === 'granted'
            ? (await granted(store, OTHER)).lease
            : await store.claim(OTHER, LONG_MS);
        demoteAndPromote();
        const held = await store.lease(OTHER, TERMS);
        expect(held).toMatchObject({ outcome: 'held' });
        expect(await store.fill(lease, stored(lease.grantedAt, 'old'), LONG_MS)).toBe('voided');
        if (held.outcome === 'held') await held.woken;
        expect(await store.read(OTHER)).toBeUndefined();
        const next = await granted(store, OTHER);
        expect(await store.fill(next.lease, stored(next.lease.grantedAt), LONG_MS)).toBe('stored');
        expect(await store.lease(OTHER, TERMS)).toMatchObject({ outcome: 'fresh' });
      },
    );

    it('because it was started from what it had written down earlier', async () => {
      const server = (await startRedis({ options: ['--dbfilename', 'old.rdb'] }))!;
      try {
        const store = open(server.url);
        await put(store);
        const { lease } = await granted(store, OTHER);
        server.cli('SAVE');
        await store.invalidate(USER);
        await store.invalidate(OTHER);
        await server.kill();
        await server.restart();
        expect(server.cli('EXISTS', record())).toBe('1');
        expect(await readAgain(store)).toMatchObject({ isDoubtful: true });
        expect(await store.fill(lease, stored(lease.grantedAt, 'old'), LONG_MS)).toBe('voided');
        expect((await granted(store)).stale).toBeUndefined();
      } finally {
        await Promise.all(stores.splice(0).map((store) => store.close()));
        await server.stop();
      }
    });

    it('because it took the place of a primary that had not told it everything', async () => {
      const pair = (await startPair())!;
      try {
        const store = open(pair.url);
        await put(store);
        const { lease } = await granted(store, OTHER);
        await pair.inStep();
        pair.loseTheRest();
        await store.invalidate(USER);
        await store.invalidate(OTHER);
        expect(pair.primary().cli('EXISTS', record())).toBe('0');
        await pair.failOver();
        expect(pair.primary().cli('EXISTS', record())).toBe('1');
        expect(await readAgain(store)).toMatchObject({ isDoubtful: true });
        expect(await store.fill(lease, stored(lease.grantedAt, 'old'), LONG_MS)).toBe('voided');
        expect((await granted(store)).stale).toBeUndefined();
      } finally {
        await Promise.all(stores.splice(0).map((store) => store.close()));
        await pair.stop();
      }
    });

    it('is borne where it says nothing of its history: nothing is doubtful there', async () => {
      const proxy = await RedisProxy.before(redis.port);
      proxy.rewrite = (replies) =>
        Buffer.from(
          replies.toString('latin1').replaceAll('master_replid', 'master_secret'),
          'latin1',
        );
      const store = open(proxy.url);
      const commands = store['commands'];
      const run = commands.run.bind(commands);
      // Scripts ask the server itself.
      commands.run = (script, ...rest) => {
        const text = script.text.replaceAll("redis.call('INFO', 'replication')", "''");
        return run(
          { name: script.name, text, sha: createHash('sha1').update(text).digest('hex') },
          ...rest,
        );
      };
      try {
        await put(store);
        const { lease } = await granted(store, OTHER);
        await store.log.append({ entries: [USER], tags: [] }, 'somebody', 60_000);
        const { end } = await store.log.poll(undefined);
        demoteAndPromote();
        expect((await store.read(USER))!.isDoubtful).toBeUndefined();
        expect(await store.lease(USER, TERMS)).toMatchObject({ outcome: 'fresh' });
        expect(await store.fill(lease, stored(lease.grantedAt), LONG_MS)).toBe('stored');
        expect(await store.log.poll(end)).toEqual({ end, missed: [] });
      } finally {
        await Promise.all(stores.splice(0).map((each) => each.close()));
        await proxy.close();
      }
    });
  },
);
