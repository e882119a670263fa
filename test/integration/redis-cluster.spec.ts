import { jest } from '@jest/globals';
import { Cluster } from 'ioredis';
import { entity, EntityCache, invalidate, readThrough } from 'nestjs-cache-contract';
import type { RedisSource } from '../../lib/connection/redis-source.js';
import { slotOf } from '../../lib/connection/slots.js';
import { RedisLock } from '../../lib/coordination/redis/redis-lock.js';
import type { LeaseTerms } from '../../lib/store/cache-store.js';
import { EntryKeys } from '../../lib/store/redis/entry-keys.js';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { SystemClock } from '../../lib/time/clock.js';
import { eventually, testEngine } from '../support/engine.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startCluster, type TestCluster } from '../support/redis-cluster.js';
import { readAll } from '../support/read-all.js';
import { RedisProxy } from '../support/redis-proxy.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(60_000);

const LONG_MS = 600_000;
const TERMS: LeaseTerms = { leaseMs: LONG_MS, staleForMs: 0, staleOnErrorMs: 0, newerThan: 0 };
const IDS = Array.from({ length: 60 }, (_, index) => `${index}`);

const Users = entity<{ id: string }>('user', {
  maxStaleness: { normal: '5s', incident: '1h' },
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
  // No copy in the process.
  prefer: 'error',
});

(hasRedis() ? describe : describe.skip)('a Redis Cluster', () => {
  let cluster: TestCluster;
  let namespace: string;
  let tests = 0;
  const opened: { close(): Promise<void> }[] = [];
  const open = (source: RedisSource = { nodes: cluster.urls }) => {
    const store = new RedisStore({ ...source, namespace, startWithout: false });
    opened.push(store);
    return store;
  };
  /** An application's view of it. */
  const cacheIn = (store: RedisStore) => {
    const { engine } = testEngine(new SystemClock(), undefined, store, 10_000);
    opened.push(engine);
    return new EntityCache(engine);
  };
  const user = (id: string) => ({ entity: 'user', id });
  const keyOf = (id: string) => new EntryKeys(namespace).record(user(id));
  const put = async (store: RedisStore, id: string) => {
    const answer = await store.lease(user(id), TERMS);
    if (answer.outcome !== 'granted') throw new Error(answer.outcome);
    const { lease } = answer;
    const times = { loadedAt: lease.grantedAt, softExpiry: lease.grantedAt + LONG_MS, loadMs: 1 };
    const stored = { ...times, payload: Buffer.from(id), schema: 0, version: 1 };
    expect(await store.fill(lease, stored, LONG_MS)).toBe('stored');
  };
  beforeAll(async () => {
    cluster = (await startCluster())!;
  });
  afterAll(() => cluster?.stop());
  beforeEach(() => void (namespace = `test${++tests}`));
  afterEach(() => Promise.all(opened.splice(0).map((one) => one.close())));

  it('is asked for many keys without a command that names keys of two nodes, or that searches', async () => {
    const store = open();
    await store.check();
    const cache = cacheIn(store);
    const loads: string[] = [];
    const load = async (ids: readonly string[]) => {
      loads.push(...ids);
      return ids.map((id) => ({ id }));
    };
    await cache.getMany(Users, IDS, load);
    await cache.get(Users, IDS[0]!, async () => ({ id: 'after all fills' }));
    const count = await cluster.counted(async () => {
      const found = await cache.getMany(Users, IDS, load);
      expect(found).toEqual(IDS.map((id) => ({ id })));
    });
    expect([...loads].sort()).toEqual([...IDS].sort());
    expect(count('get')).toBe(IDS.length);
    for (const name of ['mget', 'keys', 'scan', 'MOVED', 'CROSSSLOT']) expect(count(name)).toBe(0);
  });

  it('is known from one node, whichever that is', async () => {
    for (const url of cluster.urls) {
      const store = open({ nodes: ['redis://127.0.0.1:1', url] });
      const count = await cluster.counted(async () => {
        await store.check();
        for (const id of IDS.slice(0, 9)) await store.claim(user(id), LONG_MS);
      });
      expect(count('MOVED')).toBe(0);
    }
  });

  it('is found by a client of yours, which is neither used nor closed', async () => {
    const client = new Cluster([...cluster.urls], { lazyConnect: true, keyPrefix: 'mine:' });
    const store = open({ client });
    await store.check();
    await put(store, '7');
    expect(await open().read(user('7'))).toMatchObject({ payload: Buffer.from('7') });
    await store.close();
    expect(client.status).toBe('wait');
  });

  it('is told scripts by each node that does not know them', async () => {
    const store = open();
    for (const node of cluster.primaries()) node.cli('SCRIPT', 'FLUSH');
    for (const id of IDS) await put(store, id);
    const all = await readAll(store, IDS.map(user));
    expect(all.map((entry) => Buffer.from(entry!.payload!).toString())).toEqual(IDS);
  });

  it('has a clock in each node, and what a node has is judged by its own', async () => {
    const [ahead] = cluster.primaries();
    const proxy = await RedisProxy.before(ahead!.port);
    opened.push(proxy);
    // An hour, of what scripts and TIME say.
    proxy.rewrite = (replies) =>
      Buffer.from(
        replies
          .toString('latin1')
          .replace(/:(\d{16})\r\n/g, (_, micros) => `:${Number(micros) + 3_600e6}\r\n`)
          .replace(/\$10\r\n(\d{10})\r\n/g, (_, time) => `$10\r\n${Number(time) + 3_600}\r\n`),
        'latin1',
      );
    const port = Number(new URL(proxy.url).port);
    const client = new Cluster([...cluster.urls], {
      lazyConnect: true,
      natMap: { [`127.0.0.1:${ahead!.port}`]: { host: '127.0.0.1', port } },
    });
    const store = open({ client });
    const cache = cacheIn(store);
    const loads: string[] = [];
    const load = async (id: string) => {
      loads.push(id);
      return { id };
    };
    for (let times = 0; times < 3; times++) {
      for (const id of IDS) await cache.get(Users, id, () => load(id));
    }
    expect(loads).toEqual(IDS);
    const skews = new Set(IDS.map((id) => Math.round((store.now(user(id)) - Date.now()) / 60_000)));
    expect(skews).toEqual(new Set([0, 60]));
  });

  it('moves keys from node to node: who asks is sent on, or gets no answer while they are apart', async () => {
    const store = open();
    await store.check();
    const [id] = IDS;
    await put(store, id!);
    const slot = `${slotOf(keyOf(id!))}`;
    const from = cluster.ownerOf(keyOf(id!));
    const to = cluster.primaries().find((node) => node !== from)!;
    const [fromId, toId] = [from, to].map((node) => node.cli('CLUSTER', 'MYID'));
    to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId!);
    from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId!);
    // The record has gone there, and the lease would have to.
    from.cli('MIGRATE', '127.0.0.1', `${to.port}`, keyOf(id!), '0', '5000');
    const asked = await cluster.counted(async () => {
      // What the new node has not been told to forget it may not have heard of.
      const doubtful = { payload: Buffer.from(id!), isDoubtful: true };
      expect(await store.read(user(id!))).toMatchObject(doubtful);
      const all = await readAll(store, IDS.map(user));
      expect(all[0]).toMatchObject(doubtful);
    });
    expect(asked('ASK')).toBeGreaterThan(0);
    const apart = await cluster.counted(async () => {
      await expect(store.invalidate(user(id!))).rejects.toThrow('Redis did not run invalidate');
    });
    expect(apart('TRYAGAIN')).toBe(1);
    for (const node of [to, from, ...cluster.primaries()]) {
      node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', toId!);
    }
    const moved = await cluster.counted(async () => {
      await store.invalidate(user(id!));
      expect(await readAll(store, IDS.map(user))).toEqual(IDS.map(() => undefined));
      await put(store, id!);
      expect((await store.read(user(id!)))!.isDoubtful).toBeUndefined();
    });
    expect(moved('MOVED')).toBeGreaterThan(0);
    await eventually(() => store.placeOf(user(id!)) === `127.0.0.1:${to.port}`);
    const known = await cluster.counted(() => store.read(user(id!)));
    expect(known('MOVED')).toBe(0);
  });

  it('is checked node by node at the start', async () => {
    const [, modest] = cluster.primaries();
    for (const node of cluster.nodes) {
      node.cli('ACL', 'SETUSER', 'shop', 'reset', 'on', '>secret', '~*', '&*', '+@all');
    }
    const nodes = cluster.urls.map((url) => url.replace('//', '//shop:secret@'));
    await open({ nodes }).check();
    modest!.cli('ACL', 'SETUSER', 'shop', '-getrange');
    await expect(open({ nodes }).check()).rejects.toMatchObject({
      code: 'CACHE_REDIS_NOT_ALLOWED',
      message: expect.stringMatching(/refused GETRANGE \(NOPERM.*\+cluster\|slots/),
    });
    expect(modest!.cli('KEYS', `${namespace}:*`)).toBe('');
  });

  it('says which of its primaries may lose what they have acknowledged', async () => {
    const primaries = cluster.primaries();
    const configure = (node: TestRedis, replicas: string) =>
      node.cli('CONFIG', 'SET', 'min-replicas-to-write', replicas);
    const losing = async () => {
      const outcome = await open().check();
      if (outcome === 'ready') return [];
      const { mayLose } = outcome as { mayLose: string };
      return primaries.filter(({ port }) => mayLose.includes(`127.0.0.1:${port}`));
    };
    try {
      expect(await losing()).toEqual(primaries);
      for (const node of primaries.slice(1)) configure(node, '1');
      expect(await losing()).toEqual(primaries.slice(0, 1));
      configure(primaries[0]!, '1');
      expect(await losing()).toEqual([]);
    } finally {
      for (const node of primaries) configure(node, '0');
    }
  });

  it('needs no more rights than it asks for', async () => {
    for (const node of cluster.nodes) node.cli('ACL', 'SETUSER', 'shop', 'reset', 'on', '>secret');
    const nodes = cluster.urls.map((url) => url.replace('//', '//shop:secret@'));
    const allow = (...rights: string[]) => {
      for (const node of cluster.nodes) node.cli('ACL', 'SETUSER', 'shop', ...rights);
    };
    allow('+cluster|slots');
    const warned = jest.spyOn(console, 'warn').mockReturnValue();
    const error = (await open({ nodes })
      .check()
      .catch((reason: unknown) => reason)) as Error;
    warned.mockRestore();
    const [, rights] = /lacks of (.+), with ACL SETUSER/.exec(error.message)!;
    allow(...rights!.split(' '));
    const store = open({ nodes });
    await store.check();
    for (const id of IDS) await put(store, id);
    for (const id of IDS) await store.invalidate(user(id));
  });

  it('is told apart from one Redis at the start, either way', async () => {
    await expect(open({ url: cluster.urls[0]! }).check()).rejects.toThrow(
      'got a node of a Redis Cluster. Fix: write nodes instead of url',
    );
    const single: TestRedis = (await startRedis())!;
    opened.push({ close: () => single.stop() });
    await expect(open({ nodes: [single.url] }).check()).rejects.toThrow(
      'write url instead of nodes',
    );
  });

  it('wakes who waits at another node than the one that has the key', async () => {
    const [store, other] = [open(), open()];
    for (const one of [store, other]) {
      await one.check();
      await eventually(() => one['waiters'].channel !== undefined);
    }
    for (const id of IDS.slice(0, 9)) {
      const answer = await store.lease(user(id), TERMS);
      const held = await other.lease(user(id), TERMS);
      if (answer.outcome !== 'granted' || held.outcome !== 'held') throw new Error(held.outcome);
      await store.fail(answer.lease, 0);
      await held.woken;
    }
  });

  it('has locks, one holder at a time, with rising fences', async () => {
    const locks = [1, 2, 3].map(() => new RedisLock({ nodes: cluster.urls, namespace }));
    opened.push(...locks);
    let holders = 0;
    const fences = new Map<string, bigint[]>();
    await Promise.all(
      IDS.flatMap((_, index) => {
        const name = `name ${index % 4}`;
        return locks[index % 3]!.run(name, async ({ fence }) => {
          const of = fences.get(name) ?? [];
          fences.set(name, [...of, fence]);
          holders++;
          await new Promise(setImmediate);
          holders--;
        });
      }),
    );
    expect(holders).toBe(0);
    for (const of of fences.values()) {
      expect(of).toHaveLength(IDS.length / 4);
      expect(of).toEqual([...of].sort((one, next) => (one < next ? -1 : 1)));
    }
  });

  it('is left without a connection by who closes', async () => {
    const connections = () =>
      cluster.nodes.map((node) => Number(/connected_clients:(\d+)/.exec(node.cli('INFO'))![1]));
    await Promise.all(opened.splice(0).map((one) => one.close()));
    const before = connections();
    const [store, lock] = [open(), new RedisLock({ nodes: cluster.urls, namespace })];
    opened.push(lock);
    await store.check();
    for (const id of IDS) await put(store, id);
    await lock.run('a', () => undefined);
    expect(connections()).not.toEqual(before);
    // Also while it looks for nodes, and when it has just begun to.
    const early = open();
    const reading = early.read(user('1')).catch(() => 'rejected');
    await Promise.all(opened.splice(0).map((one) => one.close()));
    expect(await reading).toBe('rejected');
    await eventually(() => connections().join() === before.join());
  });
});
