import { PATIENCE_MS } from '../support/fault-child.js';
import { startFleet, WELL, type Fleet } from '../support/fault-fleet.js';
import { staleReads } from '../support/fault-history.js';
import { hasRedis } from '../support/redis-binaries.js';
import type { Settings } from './apps/sharing.js';

const PROCESSES = 4;
const READERS = 10;
const READS = 80;
const DELAYS_MS = 6;

const CROWD_PROCESSES = 8;
const CALLERS = 500;

(hasRedis() ? describe : describe.skip)('processes that share entries in Redis', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await startFleet();
  }, PATIENCE_MS);
  afterEach(() => fleet.stop());
  afterAll(() => fleet?.remove());

  let rounds = 0;

  /** Each has readers and a writer of the same rows, and everything takes its time. */
  async function round(settings: Partial<Settings>, until: (stale: number) => boolean) {
    const members = await Promise.all(
      Array.from({ length: PROCESSES }, () =>
        // What is late is not what is looked for here.
        fleet.start({ deadline: '30s', loadTimeout: '10s', delays: DELAYS_MS, ...settings }),
      ),
    );
    const found = { reads: 0, stale: 0, staleAtTheEnd: 0, kept: 0, voided: 0, woken: 0 };
    do {
      const keys = Array.from({ length: 10 }, (_, index) => `row-${++rounds}-${index}`);
      const histories = await Promise.all(
        members.map((member) => member.mix(keys, READERS, READS)),
      );
      found.reads += histories.flatMap(({ reads }) => reads).length;
      found.stale += staleReads(histories).length;
      for (const key of keys) {
        const version = Number(fleet.source.cli('GET', key));
        const held = await Promise.all(members.map((member) => member.peek(key)));
        const kept = held.filter((version) => version !== undefined);
        found.kept += kept.length;
        found.staleAtTheEnd += kept.filter((one) => one !== version).length;
      }
    } while (!until(found.stale + found.staleAtTheEnd));
    for (const seen of await Promise.all(members.map((member) => member.seen()))) {
      found.voided += seen.voided;
      found.woken += seen.waits.woken;
      expect(seen.faults).toEqual({});
    }
    expect(await fleet.end()).toEqual(Array(PROCESSES).fill(WELL));
    return found;
  }

  it(
    'never read what was invalidated before they asked, whoever loads and writes meanwhile',
    async () => {
      const found = await round({}, () => true);
      expect(found).toMatchObject({
        reads: PROCESSES * READERS * READS,
        stale: 0,
        staleAtTheEnd: 0,
      });
      // There was something to be seen, and something to be kept out.
      expect(Math.min(found.kept, found.voided, found.woken)).toBeGreaterThan(0);
    },
    2 * PATIENCE_MS,
  );

  it(
    'would, were it not for the leases',
    async () => {
      const end = Date.now() + PATIENCE_MS;
      const found = await round({ withoutLeases: true }, (stale) => stale > 0 || Date.now() > end);
      expect(found.stale + found.staleAtTheEnd).toBeGreaterThan(0);
    },
    3 * PATIENCE_MS,
  );

  it(
    'load a row once, however many of them ask for it at once',
    async () => {
      const members = await Promise.all(
        Array.from({ length: CROWD_PROCESSES }, () =>
          fleet.start({ deadline: '30s', loadTimeout: '10s', loadMs: 200 }),
        ),
      );
      const rows = await Promise.all(members.map((member) => member.crowd('wanted', CALLERS)));
      expect(fleet.loadsOf('wanted')).toBe(1);
      expect(new Set(rows.flat()).size).toBe(1);
      const waits = (await Promise.all(members.map((member) => member.seen()))).map(
        ({ waits }) => waits,
      );
      const begun = waits.map(({ begun }) => begun);
      expect(waits.map(({ woken }) => woken)).toEqual(begun);
      expect(Math.max(...begun)).toBe(1);
      expect(await fleet.end()).toEqual(Array(CROWD_PROCESSES).fill(WELL));
    },
    2 * PATIENCE_MS,
  );
});
