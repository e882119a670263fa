import { setTimeout } from 'node:timers/promises';
import { PATIENCE_MS, until } from '../support/fault-child.js';
import { startFleet, WELL, type RedisFleet, type Member } from '../support/fault-fleet.js';
import { hasRedis } from '../support/redis-binaries.js';

const PROCESSES = 3;
const CALLERS = 40;
/** Of what they ask their database at a time. */
const CAP = 10;
/** As long as nobody needs to be restarted. */
const OUTAGE_MS = 4_000;
const USED_AGAIN_WITHIN_MS = 10_000;
const HOT = Array.from({ length: 10 }, (_, index) => `hot-${index}`);

(hasRedis() ? describe : describe.skip)('processes whose Redis goes away', () => {
  let fleet: RedisFleet;
  beforeAll(async () => {
    fleet = await startFleet();
  }, PATIENCE_MS);
  afterEach(() => fleet.stop());
  afterAll(() => fleet?.remove());

  /** They have nothing set that could be left as it is. */
  const start = (processes: number) =>
    Promise.all(Array.from({ length: processes }, () => fleet.start({ loadMs: 5, cap: CAP })));

  const outages = {
    frozen: { begin: async () => fleet.cache.freeze(), end: async () => fleet.cache.thaw() },
    killed: { begin: () => fleet.cache.kill(), end: () => fleet.cache.restart() },
  };

  it.each(['frozen', 'killed'] as const)(
    'serve all their callers while it is %s, without crowding their database or Redis, and use it again when it is back',
    async (kind) => {
      const { begin, end } = outages[kind];
      const members = await start(PROCESSES);
      const seen = () => Promise.all(members.map((member) => member.seen()));
      await Promise.all(members.map((member) => member.begin(CALLERS, HOT)));
      await until('all of them use it', async () =>
        (await seen()).every(({ readsOfStore }) => readsOfStore > 100),
      );
      await begin();
      await setTimeout(OUTAGE_MS);
      const away = await seen();
      await end();
      const back = performance.now();
      await until('all of them use it again', async () =>
        (await seen()).every(({ readsOfStore }, i) => readsOfStore > away[i]!.readsOfStore + 100),
      );
      expect(performance.now() - back).toBeLessThan(USED_AGAIN_WITHIN_MS);
      const fared = await Promise.all(members.map((member) => member.stop()));
      expect(fared).toEqual(fared.map(({ calls }) => ({ calls, slow: 0, errors: [] })));
      for (const { mostQueued, mostLoads, faults } of await seen()) {
        expect(mostQueued).toBeLessThanOrEqual(CALLERS);
        expect(mostLoads).toBeLessThanOrEqual(CAP);
        // It was away for each of them, and that was told.
        expect(faults.CACHE_STORE_OUT_OF_REACH).toBeGreaterThan(0);
      }
      // What one loads now serves all.
      const rows = [];
      for (const member of members) rows.push(await member.read(`after it was ${kind}`));
      expect(rows).toEqual(Array(PROCESSES).fill(rows[0]));
      expect(await fleet.end()).toEqual(Array(PROCESSES).fill(WELL));
    },
    2 * PATIENCE_MS,
  );

  it.each(['frozen', 'killed'] as const)(
    'tell it of a change as soon as it is back after it was %s, and do not serve what was before it themselves',
    async (kind) => {
      const { begin, end } = outages[kind];
      const [writer, ...others] = (await start(PROCESSES)) as [Member, ...Member[]];
      const key = `changed while ${kind}`;
      const versions = (members: readonly Member[]) =>
        Promise.all(members.map(async (member) => (await member.read(key)).version));
      expect(await versions([writer, ...others])).toEqual(Array(PROCESSES).fill(0));
      await until('it is stored', async () => (await others[0]!.peek(key)) === 0);
      await begin();
      expect(await writer.change(key)).toEqual({ version: 1, outcome: 'pending' });
      expect(await versions([writer])).toEqual([1]);
      await end();
      const own = new Set<number>();
      await until('nobody serves what was before it', async () => {
        own.add((await writer.read(key)).version);
        return (await versions(others)).every((version) => version === 1);
      });
      expect([...own]).toEqual([1]);
      await until('it is stored again', async () => {
        await writer.read(key);
        return (await writer.peek(key)) === 1;
      });
      expect((await writer.seen()).faults.CACHE_INVALIDATION_PENDING).toBe(1);
      expect(await fleet.end()).toEqual(Array(PROCESSES).fill(WELL));
    },
    2 * PATIENCE_MS,
  );

  it.each(['there', 'frozen', 'killed'] as const)(
    'leave nothing open when they close, and end by themselves, while it is %s',
    async (state) => {
      const [member] = (await start(1)) as [Member];
      await member.begin(CALLERS, HOT);
      await until('it is used', async () => (await member.seen()).readsOfStore > 100);
      if (state !== 'there') await outages[state].begin();
      try {
        // Something is on its way, and something waits to be told.
        await member.change('last');
        await member.stop();
        expect(await fleet.end()).toEqual([WELL]);
      } finally {
        if (state !== 'there') await outages[state].end();
      }
    },
    PATIENCE_MS,
  );
});
