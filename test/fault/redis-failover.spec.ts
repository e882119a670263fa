import { Redis } from 'ioredis';
import type { Row } from './apps/sharing.js';
import { EntryKeys } from '../../lib/store/redis/entry-keys.js';
import { PATIENCE_MS, until } from '../support/fault-child.js';
import { startFleetAt, WELL, type Fleet, type Member } from '../support/fault-fleet.js';
import { micros, staleReads, type Write } from '../support/fault-history.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startCluster, type TestCluster } from '../support/redis-cluster.js';
import { startPair } from '../support/redis-pair.js';
import { startRedis } from '../support/redis-server.js';
import { startSentinels, type TestSentinels } from '../support/redis-sentinels.js';

const PROCESSES = 3;
const READERS = 6;
/** As many as make it likely that each of three nodes has some. */
const KEYS = 15;

/** What was acknowledged then may be known to a server only that was no primary any longer. Microseconds. */
interface Unsafe {
  readonly from: number;
  readonly to: number;
}
/** They have changed every key so often before something happens, and so often after it. */
const CHANGES = 3;
const ROUNDS = 20;

const keysNamed = (name: string) => Array.from({ length: KEYS }, (_, index) => `${name}-${index}`);
const start = (fleet: Fleet) =>
  Promise.all(Array.from({ length: PROCESSES }, () => fleet.start({ delays: 3, mayLose: true })));

/** They read and write while something happens, and some time before and after. */
async function during(
  fleet: Fleet,
  keys: readonly string[],
  happens: () => Promise<Unsafe | undefined>,
) {
  const members = await start(fleet);
  await Promise.all(members.map((member) => member.live(keys, READERS)));
  await haveChanged(fleet, keys);
  const unsafe = await happens();
  const isLost = ({ at }: Write) => unsafe !== undefined && at > unsafe.from && at < unsafe.to;
  // Until what was pending is told, and what is stored is what everybody gets.
  await until('all of them use it again', () => shared(members, `probe-${Date.now()}`));
  await haveChanged(fleet, keys);
  const histories = await Promise.all(members.map((member) => member.finish()));
  // What was pending when they had finished is told soon; what is old after that stays so for its ttl.
  let stuck: string[] = [];
  await until('nobody has an old one', async () => {
    stuck = [];
    for (const key of keys) {
      const version = Number(fleet.source.cli('GET', key));
      for (const member of members) {
        await member.read(key);
        if ((await member.peek(key)) !== version) stuck.push(key);
      }
    }
    return stuck.length === 0;
  }).catch(() => undefined);
  const ends = await fleet.end();
  expect(ends).toEqual(Array(PROCESSES).fill(WELL));
  const writes = histories.flatMap((history) => history.writes);
  return {
    members,
    reads: histories.flatMap((history) => history.reads).length,
    acknowledged: writes.filter(({ pending }) => pending !== true).length,
    pending: writes.filter(({ pending }) => pending === true).length,
    stale: staleReads(histories, isLost),
    errors: histories.flatMap(({ errors }) => errors),
    stuck,
  };
}

async function haveChanged(fleet: Fleet, keys: readonly string[]): Promise<void> {
  const source = new Redis(fleet.source.url);
  try {
    const versions = async () => (await source.mget([...keys])).map(Number);
    const before = await versions();
    await until('they go on', async () =>
      (await versions()).every((version, index) => version >= before[index]! + CHANGES),
    );
  } finally {
    source.disconnect();
  }
}

/** Whether what one has loaded is what all others get. */
async function shared(members: readonly Member[], key: string): Promise<boolean> {
  const rows = [];
  for (const member of members) rows.push(await member.read(key));
  return new Set(rows.map(({ by }) => by)).size === 1;
}

(hasRedis() ? describe : describe.skip)('processes that share entries in a cluster', () => {
  let cluster: TestCluster;
  let fleet: Fleet;
  beforeAll(async () => {
    cluster = (await startCluster())!;
    fleet = await startFleetAt({ nodes: cluster.urls.slice(0, 2) });
  }, PATIENCE_MS);
  afterEach(() => fleet.stop());
  afterAll(async () => {
    await fleet?.remove();
    await cluster?.stop();
  });

  const ownerOf = (id: string) =>
    cluster.ownerOf(new EntryKeys('shop').record({ entity: 'row', id }));

  it(
    'never read what was invalidated before they asked, while a node hands over to its replica',
    async () => {
      const found = await during(fleet, keysNamed('handed over'), async () => {
        for (const primary of cluster.primaries()) await cluster.failOver(primary);
        // A replica takes over when it has all.
        return undefined;
      });
      expect(found).toMatchObject({ stale: [], errors: [], stuck: [] });
      expect(Math.min(found.reads, found.acknowledged)).toBeGreaterThan(100);
    },
    2 * PATIENCE_MS,
  );

  it(
    'nor while a node is killed and its replica takes its place, which may lack the last of what that node has acknowledged',
    async () => {
      const found = await during(fleet, keysNamed('killed'), async () => {
        const [victim] = cluster.primaries();
        await victim!.kill();
        await cluster.settled(cluster.nodes.filter((node) => node.isUp()));
        await victim!.restart();
        await cluster.settled();
        return undefined;
      });
      expect(found).toMatchObject({ stale: [], errors: [], stuck: [] });
      expect(Math.min(found.reads, found.acknowledged, found.pending)).toBeGreaterThan(0);
    },
    2 * PATIENCE_MS,
  );

  it.each(['killed', 'frozen'] as const)(
    'are served from the other nodes while one is %s, and by its replica afterwards',
    async (kind) => {
      const keys = keysNamed(`others while ${kind}`);
      const members = await start(fleet);
      for (const member of members) for (const key of keys) await member.read(key);
      const [victim] = cluster.primaries();
      const others = keys.filter((key) => ownerOf(key) !== victim);
      const own = keys.filter((key) => ownerOf(key) === victim);
      expect(Math.min(others.length, own.length)).toBeGreaterThan(0);
      const loads = () => others.map((key) => fleet.loadsOf(key));
      const before = loads();
      if (kind === 'killed') await victim!.kill();
      else victim!.freeze();
      for (let round = 0; round < ROUNDS; round++) {
        // One after another: more of them than it takes to give something up.
        for (let time = 0; time < 6; time++) {
          await Promise.all(members.map((member) => member.read(own[time % own.length]!)));
        }
        await Promise.all(members.flatMap((member) => others.map((key) => member.read(key))));
      }
      const loadedOwn = own.reduce((sum, key) => sum + fleet.loadsOf(key), 0);
      expect(loads()).toEqual(before);
      expect(loadedOwn).toBeGreaterThan(own.length);
      await cluster.settled(cluster.nodes.filter((node) => node.isUp()));
      await until('what its replica has is used', async () => {
        const row = await Promise.all(members.map((member) => member.read(own[0]!)));
        const loaded = fleet.loadsOf(own[0]!);
        const again = await Promise.all(members.map((member) => member.read(own[0]!)));
        return row.length === again.length && fleet.loadsOf(own[0]!) === loaded;
      });
      expect(await fleet.end()).toEqual(Array(PROCESSES).fill(WELL));
      if (kind === 'killed') await victim!.restart();
      else victim!.thaw();
      await cluster.settled();
    },
    2 * PATIENCE_MS,
  );
});

(hasRedis() ? describe : describe.skip)('processes whose Redis is watched by sentinels', () => {
  let watched: TestSentinels;
  let fleet: Fleet;
  beforeAll(async () => {
    watched = (await startSentinels({ password: 'of-servers', ofSentinels: 'of-sentinels' }))!;
    const { urls: sentinels, name } = watched;
    fleet = await startFleetAt({ sentinels, name, password: 'of-servers' });
  }, PATIENCE_MS);
  afterEach(() => fleet.stop());
  afterAll(async () => {
    await fleet?.remove();
    await watched?.stop();
  });

  it(
    'never read what was invalidated before they asked, while it hands over to its replica, but for what the old primary acknowledges after the new one took over',
    async () => {
      const found = await during(fleet, keysNamed('handed over'), async () => {
        const from = micros();
        await watched.failOver();
        return { from, to: micros() };
      });
      expect(found).toMatchObject({ stale: [], errors: [], stuck: [] });
      expect(Math.min(found.reads, found.acknowledged)).toBeGreaterThan(100);
    },
    2 * PATIENCE_MS,
  );

  it(
    'nor while it is killed and its replica takes its place, which may lack the last of what it has acknowledged',
    async () => {
      const found = await during(fleet, keysNamed('killed'), async () => {
        const victim = watched.primary();
        await victim.kill();
        await watched.anotherPrimary(victim);
        await victim.restart();
        await watched.settled();
        return undefined;
      });
      expect(found).toMatchObject({ stale: [], errors: [], stuck: [] });
      expect(Math.min(found.reads, found.acknowledged, found.pending)).toBeGreaterThan(0);
    },
    2 * PATIENCE_MS,
  );
});

/** What becomes of a Redis that had acknowledged an invalidation, so that nobody has it any longer. */
const LOSSES = {
  'fails over to a replica that has missed an invalidation': async () => {
    const pair = (await startPair())!;
    return {
      url: pair.url,
      // The entry is there as well as here.
      keep: () => pair.inStep(),
      lose: () => pair.loseTheRest(),
      comeBack: () => pair.failOver(),
      primary: () => pair.primary(),
      stop: () => pair.stop(),
    };
  },
  'is started from a file that is older than an invalidation': async () => {
    const server = (await startRedis())!;
    return {
      url: server.url,
      keep: async () => void server.cli('SAVE'),
      lose: () => undefined,
      comeBack: async () => {
        await server.kill();
        await server.restart();
      },
      primary: () => server,
      stop: () => server.stop(),
    };
  },
};

(hasRedis() ? describe : describe.skip)('processes whose Redis', () => {
  const record = new EntryKeys('shop').record({ entity: 'row', id: 'lost' });

  it.each(Object.entries(LOSSES))(
    '%s never read the old value, and load it once among them all',
    async (_what, open) => {
      const redis = await open();
      const fleet = await startFleetAt({ url: redis.url });
      try {
        const members = await Promise.all(
          Array.from({ length: PROCESSES }, () => fleet.start({ mayLose: true, loadMs: 50 })),
        );
        const [one] = members;
        const { version: old } = await one!.read('lost');
        await until('it is stored', () => redis.primary().cli('EXISTS', record) === '1');
        await redis.keep();
        redis.lose();
        const { version, outcome } = await one!.change('lost');
        expect([outcome, version]).toEqual(['acknowledged', old + 1]);
        expect(redis.primary().cli('EXISTS', record)).toBe('0');
        await redis.comeBack();
        // What was lost is the invalidation, not the entry.
        expect(redis.primary().cli('EXISTS', record)).toBe('1');
        await until('all of them use it again', () => shared(members, `probe-${Date.now()}`));
        const loads = fleet.loadsOf('lost');
        const crowds = await Promise.all(members.map((member) => member.crowd('lost', READERS)));
        const rows = [...new Set(crowds.flat())].map((row) => JSON.parse(row) as Row);
        expect(rows).toMatchObject([{ version }]);
        expect(fleet.loadsOf('lost')).toBe(loads + 1);
        for (const member of members) expect(await member.peek('lost')).toBe(version);
        expect(await fleet.end()).toEqual(Array(PROCESSES).fill(WELL));
      } finally {
        await fleet.remove();
        await redis.stop();
      }
    },
    2 * PATIENCE_MS,
  );

  it.each(
    (Object.keys(LOSSES) as (keyof typeof LOSSES)[]).flatMap((loss) =>
      (['key', 'tag', 'family'] as const).map((by) => [loss, by] as const),
    ),
  )(
    '%s have no copy of the old value that was invalidated by its %s',
    async (loss, by) => {
      const redis = await LOSSES[loss]();
      const fleet = await startFleetAt({ url: redis.url });
      try {
        const members = await Promise.all(
          Array.from({ length: PROCESSES }, () => fleet.start({ copies: true })),
        );
        const [one] = members;
        const { version: old } = await one!.read('lost');
        await until('it is stored', () => redis.primary().cli('EXISTS', record) === '1');
        for (const member of members) expect((await member.read('lost')).version).toBe(old);
        await redis.keep();
        redis.lose();
        const { version, outcome } = await one!.change('lost', by);
        expect([outcome, version]).toEqual(['acknowledged', old + 1]);
        await until('all have heard of it', async () => {
          const rows = await Promise.all(members.map((member) => member.read('lost')));
          return rows.every((row) => row.version === version);
        });
        await redis.comeBack();
        await until('all of them use it again', async () => {
          for (const member of members) {
            expect((await member.read('lost')).version).toBe(version);
          }
          return shared(members, `probe-${Date.now()}`);
        });
        await until('the new value is kept again', async () => {
          const kept = [];
          for (const member of members) {
            expect((await member.read('lost')).version).toBe(version);
            kept.push(await member.peek('lost'));
          }
          return kept.every((one) => one === version);
        });
        expect(await fleet.end()).toEqual(Array(PROCESSES).fill(WELL));
      } finally {
        await fleet.remove();
        await redis.stop();
      }
    },
    2 * PATIENCE_MS,
  );
});
