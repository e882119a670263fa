import { LuaScript } from '../../lib/connection/lua-script.js';
import { PATIENCE_MS, until } from '../support/fault-child.js';
import { startFleet, WELL, type RedisFleet } from '../support/fault-fleet.js';
import { micros, staleReads, type Write } from '../support/fault-history.js';
import { hasRedis } from '../support/redis-binaries.js';

const PROCESSES = 2;
const KEYS = ['row-0', 'row-1', 'row-2'];
const CHANGES = 60;
/** So long others may take to learn of a change; it is a moment, but a message may get lost. */
const TWO_SECONDS = 2_000_000;
const { text: SCRIPT } = new LuaScript(
  'invalidate-outside',
  new URL('../../lib/store/redis/redis-store.ts', import.meta.url).href,
);

(hasRedis() ? describe : describe.skip)(
  'processes whose rows somebody else changes as well',
  () => {
    let fleet: RedisFleet;
    beforeAll(async () => {
      fleet = await startFleet();
    }, PATIENCE_MS);
    afterAll(() => fleet?.remove());

    it(
      'serve none that is older than two seconds, and no old one in the end, if he sends the command',
      async () => {
        const members = await Promise.all(
          Array.from({ length: PROCESSES }, () => fleet.start({ copies: true })),
        );
        await Promise.all(members.map((member) => member.live(KEYS, 8, 400)));
        const writes: Write[] = [];
        for (let change = 0; change < CHANGES; change++) {
          const key = KEYS[change % KEYS.length]!;
          const version = Number(fleet.source.cli('INCR', key));
          const answer = fleet.cache.cli('EVAL', SCRIPT, '0', 'shop', 'row', key).split('\n');
          writes.push({ key, version, at: micros() });
          expect(answer[1]).toBe(`${PROCESSES}`);
        }
        const histories = await Promise.all(members.map((member) => member.finish()));
        expect(histories.flatMap(({ errors }) => errors)).toEqual([]);
        await until('all have heard', async () => {
          const wrong = KEYS.map(async (key) => {
            const version = Number(fleet.source.cli('GET', key));
            const rows = await Promise.all(members.map((member) => member.read(key)));
            return rows.some((row) => row.version !== version);
          });
          return !(await Promise.all(wrong)).includes(true);
        });
        const all = [...histories, { reads: [], writes }];
        expect(staleReads(all, undefined, TWO_SECONDS)).toEqual([]);
        const seen = await Promise.all(members.map((member) => member.seen()));
        const asked = seen.reduce((sum, { readsOfStore }) => sum + readsOfStore, 0);
        expect(histories.flatMap(({ reads }) => reads).length).toBeGreaterThan(asked);
        expect(await fleet.end()).toEqual(Array(PROCESSES).fill(WELL));
      },
      4 * PATIENCE_MS,
    );
  },
);
