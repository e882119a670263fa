import {
  compileApps,
  PATIENCE_MS,
  until,
  type Child,
  type Processes,
} from '../support/fault-child.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';
import type { KeyvSettings } from './apps/keyv-sharing.js';

const CALLERS = 500;

(hasRedis() ? describe : describe.skip)('processes that share a Keyv in Redis', () => {
  let processes: Processes;
  let cache: TestRedis;
  let source: TestRedis;
  beforeAll(async () => {
    processes = await compileApps();
    [cache, source] = (await Promise.all([startRedis({ durable: true }), startRedis()])) as [
      TestRedis,
      TestRedis,
    ];
  }, PATIENCE_MS);
  afterEach(() => processes.stop());
  afterAll(async () => {
    await processes?.remove();
    await Promise.all([cache?.stop(), source?.stop()]);
  });

  async function start(settings: Partial<KeyvSettings> = {}): Promise<Child> {
    const child = processes.start('keyv-sharing', {
      cache: cache.url,
      source: source.url,
      loadMs: 200,
      locks: true,
      ...settings,
    } satisfies KeyvSettings);
    await child.said(/ready/);
    return child;
  }

  const both = (settings?: Partial<KeyvSettings>) =>
    Promise.all([start(settings), start(settings)]);
  const crowds = async (members: readonly Child[], key: string) => {
    const answers = await Promise.all(members.map((one) => one.ask('crowd', key, CALLERS)));
    return [...new Set((answers as string[][]).flat())];
  };
  const loadsOf = (key: string) => Number(source.cli('GET', `loads of ${key}`));

  /** Closes them; the Keyv is theirs until then, and nothing else is left open. */
  async function end(members: readonly Child[]) {
    for (const member of members) {
      expect(await member.ask('seen')).toMatchObject({ trouble: [] });
      expect(await member.ask('close')).toEqual({ usable: true, open: [] });
      expect([await member.ended(), member.errors()]).toEqual([0, '']);
    }
  }

  it(
    'load a row once under a lock of them all, however many ask for it at once',
    async () => {
      const members = await both();
      expect(await crowds(members, 'wanted')).toEqual(['wanted new']);
      expect(loadsOf('wanted')).toBe(1);
      await members[0].ask('change', 'wanted', 'changed');
      const later = await start();
      expect(await crowds([members[0], later], 'wanted')).toEqual(['wanted changed']);
      expect(loadsOf('wanted')).toBe(2);
      for (const member of members) expect(await member.ask('seen')).toMatchObject({ faults: [] });
      await end([...members, later]);
    },
    2 * PATIENCE_MS,
  );

  it(
    'load it each for itself where each has a lock of its own',
    async () => {
      const members = await both({ locks: false, loadMs: 1_000 });
      await crowds(members, 'apart');
      expect(loadsOf('apart')).toBe(2);
      await end(members);
    },
    2 * PATIENCE_MS,
  );

  it(
    'are answered by the source while the Keyv is gone, and by the Keyv when it is back',
    async () => {
      const members = await both();
      expect(await crowds(members, 'before')).toEqual(['before new']);
      await cache.kill();
      try {
        expect(await crowds(members, 'without')).toEqual(['without new']);
        expect(loadsOf('without')).toBeGreaterThan(0);
        const seen = await members[0].ask('seen');
        expect(seen).toMatchObject({ trouble: [], faults: ['CACHE_STORE_OUT_OF_REACH'] });
      } finally {
        await cache.restart();
      }
      let asked = 0;
      await until('the Keyv takes something', async () => {
        const key = `after-${asked++}`;
        await members[0].ask('crowd', key, 1);
        return members[0].ask('stored', key);
      });
      await end(members);
    },
    3 * PATIENCE_MS,
  );

  it(
    'end without it',
    async () => {
      const members = await both();
      await crowds(members, 'last');
      await cache.kill();
      try {
        for (const member of members) {
          expect(await member.ask('crowd', 'never', 3)).toEqual(['never new']);
          await member.ask('leave');
          expect(member.errors()).toBe('');
        }
      } finally {
        await cache.restart();
      }
    },
    2 * PATIENCE_MS,
  );
});
