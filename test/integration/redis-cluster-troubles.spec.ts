import { jest } from '@jest/globals';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { EntryKeys } from '../../lib/store/redis/entry-keys.js';
import { Cluster } from 'ioredis';
import type { RedisSource } from '../../lib/connection/redis-source.js';
import type { ClusterNodes } from '../../lib/connection/cluster-nodes.js';
import type { StoreNode } from '../../lib/store/redis/store-node.js';
import { slotOf } from '../../lib/connection/slots.js';
import { RedisLock } from '../../lib/coordination/redis/redis-lock.js';
import { eventually } from '../support/engine.js';
import { hasRedis } from '../support/redis-binaries.js';
import { readAll } from '../support/read-all.js';
import { startCluster, until, type TestCluster } from '../support/redis-cluster.js';
import { startNode, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(60_000);

const LONG_MS = 600_000;

(hasRedis() ? describe : describe.skip)('one key of a Redis Cluster', () => {
  let cluster: TestCluster;
  let namespace: string;
  let tests = 0;
  const unreadable: string[] = [];
  const opened: { close(): Promise<void> }[] = [];
  const open = () => {
    const onUnreadable = ({ id }: { id: string }) => void unreadable.push(id);
    const store = new RedisStore({ nodes: cluster.urls, namespace, onUnreadable });
    opened.push(store);
    return store;
  };
  const user = (id: string) => ({ entity: 'user', id });
  const keyOf = (id: string) => new EntryKeys(namespace).record(user(id));
  /** Of so many entries with a slot each, which one node has. */
  const idsAt = (node: TestRedis, count: number) => {
    const ids = new Map<number, string>();
    for (let i = 0; ids.size < count; i++) {
      if (cluster.ownerOf(keyOf(`${i}`)) === node) ids.set(slotOf(keyOf(`${i}`)), `${i}`);
    }
    return [...ids.values()];
  };
  const put = async (store: RedisStore, id: string) => {
    const lease = await store.claim(user(id), LONG_MS);
    const times = {
      loadedAt: lease.grantedAt,
      softExpiry: lease.grantedAt + LONG_MS,
      loadMs: 1,
    };
    const stored = { ...times, payload: Buffer.from(id), schema: 0, version: undefined };
    expect(await store.fill(lease, stored, LONG_MS)).toBe('stored');
  };
  /** Where a slot moves to, with the record that is in it; what it returns ends the move there. */
  const migrate = (id: string, from: TestRedis, to: TestRedis) => {
    const slot = `${slotOf(keyOf(id))}`;
    const [fromId, toId] = [from, to].map((node) => node.cli('CLUSTER', 'MYID'));
    to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId!);
    from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId!);
    from.cli('MIGRATE', '127.0.0.1', `${to.port}`, keyOf(id), '0', '5000');
    return () => {
      for (const node of [to, from]) node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', toId!);
    };
  };
  beforeAll(async () => {
    cluster = (await startCluster())!;
  });
  afterAll(() => cluster?.stop());
  beforeEach(() => {
    namespace = `test${++tests}`;
    unreadable.length = 0;
  });
  afterEach(() => Promise.all(opened.splice(0).map((one) => one.close())));

  it('that holds what is not ours is told as such, and the others are read', async () => {
    const store = open();
    await store.check();
    const [bad, ...ids] = idsAt(cluster.primaries()[0]!, 5);
    for (const id of ids) await put(store, id);
    cluster.ownerOf(keyOf(bad!)).cli('HSET', keyOf(bad!), 'field', '1');
    const all = await readAll(store, [bad!, ...ids].map(user));
    expect(all.map((one) => one && Buffer.from(one.payload!).toString())).toEqual([
      undefined,
      ...ids,
    ]);
    expect(await store.read(user(bad!))).toBeUndefined();
    expect(unreadable).toEqual([bad, bad]);
  });

  it('that is on its way to a node which hangs keeps nobody else waiting', async () => {
    const store = open();
    await store.check();
    const [from, to] = cluster.primaries();
    const [moving, ...ids] = idsAt(from!, 5);
    for (const id of [moving!, ...ids]) await put(store, id);
    const end = migrate(moving!, from!, to!);
    to!.freeze();
    try {
      // It goes on to hang until after the others were read, and for good for all they know.
      const [sentOn, ...all] = await store.readAll([moving!, ...ids].map(user));
      expect(sentOn).toBeInstanceOf(Promise);
      expect(all).toEqual(ids.map((id) => expect.objectContaining({ payload: Buffer.from(id) })));
      const [alone] = await store.readAll([user(moving!)]);
      expect(alone).toBeInstanceOf(Promise);
      // What becomes of its invalidations does not count for those who stay, either.
      const [place, ...others] = [moving!, ...ids].map((id) => store.placeOf(user(id)));
      expect(new Set(others).size).toBe(1);
      expect(others).not.toContain(place);
    } finally {
      to!.thaw();
      end();
    }
  });

  it('that is on its way to a node which has none yet is asked for there on one connection', async () => {
    const [from] = cluster.primaries();
    const empty = await startNode([]);
    opened.push({ close: () => empty.stop() });
    from!.cli('CLUSTER', 'MEET', '127.0.0.1', `${empty.port}`);
    const known = `cluster_known_nodes:${cluster.nodes.length + 1}`;
    await until('the empty node is known', () =>
      [empty, ...cluster.nodes].every((node) => node.cli('CLUSTER', 'INFO').includes(known)),
    );
    const store = open();
    await store.check();
    const [moving, other] = idsAt(from!, 2);
    for (const id of [moving!, other!]) await put(store, id);
    migrate(moving!, from!, empty);
    const nodes = store['nodes'] as ClusterNodes<StoreNode>;
    const atEmpty = () => nodes['known'].get(`127.0.0.1:${empty.port}`);
    expect(await store.read(user(moving!))).toBeDefined();
    const connection = atEmpty();
    expect(connection).toBeDefined();
    for (let looks = 0; looks < 5; looks++) {
      await nodes['look']();
      expect(await store.read(user(moving!))).toBeDefined();
    }
    expect(atEmpty()).toBe(connection);
    // Nobody asks for it any more; that it is left says nothing of the cluster.
    for (let looks = 0; looks < 2; looks++) await nodes['look']();
    expect(atEmpty()).toBeUndefined();
    expect(nodes['leaving'].size).toBe(1);
    await Promise.all(nodes['leaving']);
    expect(nodes['stopLooking']).toBeUndefined();
    await store.close();
    for (const node of cluster.nodes) node.cli('CLUSTER', 'FORGET', empty.cli('CLUSTER', 'MYID'));
    from!.cli('CLUSTER', 'SETSLOT', `${slotOf(keyOf(moving!))}`, 'STABLE');
  });
});

(hasRedis() ? describe : describe.skip)('one node of a Redis Cluster', () => {
  let cluster: TestCluster;
  const outcomeOf = async (source: RedisSource) => {
    const store = new RedisStore(source);
    try {
      return await store.check();
    } finally {
      await store.close();
    }
  };
  beforeAll(async () => {
    cluster = (await startCluster())!;
  });
  afterAll(() => cluster?.stop());

  it('that is elsewhere for us is told as what the cluster announces', async () => {
    const [seed, other] = cluster.primaries();
    // Nobody listens there.
    const natMap = { [`127.0.0.1:${other!.port}`]: { host: '127.0.0.1', port: 1 } };
    const client = new Cluster([seed!.url], { lazyConnect: true, natMap });
    expect(await outcomeOf({ client })).toEqual({
      outOfReach: expect.stringMatching(
        /^nothing listens at the node 127\.0\.0\.1:1 announced by the cluster .* natMap/,
      ),
    });
  });

  it('that wants a password is named', async () => {
    const [, shy] = cluster.primaries();
    shy!.cli('CONFIG', 'SET', 'requirepass', 'secret');
    try {
      const seeds = cluster.nodes.filter((node) => node !== shy).map(({ url }) => url);
      await expect(outcomeOf({ nodes: seeds })).rejects.toThrow(
        `Redis refused to let the cache in at 127.0.0.1:${shy!.port}: NOAUTH`,
      );
    } finally {
      shy!.cli('-a', 'secret', 'CONFIG', 'SET', 'requirepass', '');
    }
  });

  it('that hangs has who asks it for a lock look for another one', async () => {
    const [mute] = cluster.primaries();
    const others = cluster.nodes.filter((node) => node !== mute);
    const lock = new RedisLock({ nodes: others.map(({ url }) => url), namespace: 'locks' });
    const names = Array.from({ length: 100 }, (_, index) => `name ${index}`);
    const name = names.find((one) => cluster.ownerOf(`locks:k:{${one}}`) === mute)!;
    await (await lock.acquire(name))!.release();
    const looks = () =>
      others.reduce((sum, node) => {
        const [, calls = 0] =
          /cluster\|slots:calls=(\d+)/.exec(node.cli('INFO', 'commandstats')) ?? [];
        return sum + Number(calls);
      }, 0);
    const before = looks();
    mute!.freeze();
    try {
      // Its connection is given up much later, and only its end would have had somebody look.
      expect(await lock.acquire(name, { patience: 0 })).toBeUndefined();
      const { client } = lock['nodes'].nodeOf(`locks:k:{${name}}`)!.connection;
      const ended = jest.fn();
      client.on('close', ended);
      await eventually(() => looks() > before);
      expect(ended).not.toHaveBeenCalled();
    } finally {
      mute!.thaw();
      await lock.close();
    }
  });
});
