import { entity, external, readThrough, staleWhileRevalidate } from 'nestjs-cache-contract';
import { deferred, testEngine } from '../../support/engine.js';
import { ManualClock } from '../../support/manual-clock.js';

const TTL_MS = 60_000;
const KEYS = 10_000;

const make = (earlyRefresh?: number) =>
  entity<number>('report', {
    maxStaleness: '1h',
    read: readThrough({
      ttl: TTL_MS,
      jitter: 0,
      loadTimeout: '1m',
      earlyRefresh,
      l1: { maxEntries: KEYS },
    }),
    write: external(),
  });

/** Draws that look random and are the same in every run (mulberry32). */
class SeededClock extends ManualClock {
  constructor(private seed: number) {
    super();
  }

  override random(): number {
    this.seed = (this.seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.seed ^ (this.seed >>> 15), 1 | this.seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Keys whose load took so long, `leftMs` before they expire; `reloaded` collects those that are loaded again. */
async function nearExpiry(
  clock: ManualClock,
  beta: number | undefined,
  loadMs: number,
  leftMs: number,
  keys = 1,
) {
  const { read, engine } = testEngine(clock);
  const Reports = make(beta);
  const names = Array.from({ length: keys }, (_, i) => `k${i}`);
  const source = deferred<number>();
  const filled = names.map((name) => read(Reports, name, () => source.promise));
  clock.advance(loadMs);
  source.resolve(1);
  await Promise.all(filled);
  clock.advance(TTL_MS - loadMs - leftMs);
  const reloaded: string[] = [];
  const ask = (name: string) =>
    read(Reports, name, () => (reloaded.push(name), deferred<number>().promise));
  return { names, ask, reloaded, read, Reports, engine };
}

describe('early refresh', () => {
  it('never happens unless asked for, whatever the chance', async () => {
    for (const beta of [undefined, 0]) {
      const clock = new ManualClock();
      clock.chance = 1 - Number.EPSILON;
      const { ask, reloaded } = await nearExpiry(clock, beta, 30_000, 1);
      expect(await ask('k0')).toBe(1);
      expect(reloaded).toEqual([]);
    }
  });

  it('happens exactly when the published formula says so: now - delta * beta * ln(rand) >= expiry', async () => {
    const seen = { early: 0, not: 0 };
    for (const beta of [1, 0.5, 4]) {
      for (const loadMs of [0, 1, 250, 2_000]) {
        for (const leftMs of [1, 100, 1_000, 5_000]) {
          for (let chance = 0; chance < 1; chance += 0.05) {
            const clock = new ManualClock();
            const { ask, reloaded } = await nearExpiry(clock, beta, loadMs, leftMs);
            clock.chance = chance;
            await ask('k0');
            const now = clock.monotonic();
            // The formula draws from (0, 1], a clock from [0, 1).
            const rand = 1 - chance;
            const early = now - loadMs * beta * Math.log(rand) >= now + leftMs;
            expect({ beta, loadMs, leftMs, chance, early: reloaded.length === 1 }).toEqual({
              beta,
              loadMs,
              leftMs,
              chance,
              early,
            });
            seen[early ? 'early' : 'not']++;
          }
        }
      }
    }
    expect(Math.min(seen.early, seen.not)).toBeGreaterThan(100);
  });

  it.each([
    { beta: 1, loadMs: 1_000, leftMs: 100 },
    { beta: 1, loadMs: 1_000, leftMs: 1_000 },
    { beta: 1, loadMs: 1_000, leftMs: 3_000 },
    { beta: 2, loadMs: 1_000, leftMs: 3_000 },
    { beta: 0.5, loadMs: 2_000, leftMs: 500 },
  ])(
    'has the published probability exp(-left / (delta * beta)) over 10,000 draws: %o',
    async ({ beta, loadMs, leftMs }) => {
      const clock = new SeededClock(1);
      const { names, ask, reloaded } = await nearExpiry(clock, beta, loadMs, leftMs, KEYS);
      await Promise.all(names.map(ask));
      const p = Math.exp(-leftMs / (loadMs * beta));
      // Four standard deviations of the binomial; the draws are always the same.
      const tolerance = 4 * Math.sqrt(KEYS * p * (1 - p));
      expect(Math.abs(reloaded.length - KEYS * p)).toBeLessThan(tolerance);
    },
  );

  it('answers the reader drawn at once, with the value that is still fresh', async () => {
    const clock = new ManualClock();
    const { ask, reloaded } = await nearExpiry(clock, 1, 1_000, 1);
    clock.chance = 0.999;
    expect(await ask('k0')).toBe(1);
    expect(reloaded).toEqual(['k0']);
  });

  it('loads once per key, however many readers are drawn', async () => {
    const clock = new ManualClock();
    const { ask, reloaded, engine } = await nearExpiry(clock, 1, 1_000, 1, 2);
    clock.chance = 0.999;
    const answers = await Promise.all(
      Array.from({ length: 10_000 }, (_, i) => ask(i % 2 === 0 ? 'k0' : 'k1')),
    );
    expect(new Set(answers)).toEqual(new Set([1]));
    expect(reloaded).toEqual(['k0', 'k1']);
    // Two loads and what follows them, two timers.
    expect(engine.background.size).toBeLessThanOrEqual(6);
  });

  it('has a new value in place before the old one expires, so that nobody waits', async () => {
    const clock = new ManualClock();
    const { read, Reports } = await nearExpiry(clock, 1, 1_000, 500);
    clock.chance = 0.999;
    expect(await read(Reports, 'k0', async () => 2)).toBe(1);
    await new Promise(setImmediate);
    clock.chance = 0;
    clock.advance(499);
    expect(await read(Reports, 'k0', async () => 3)).toBe(2);
    clock.advance(1);
    expect(await read(Reports, 'k0', async () => 3)).toBe(2);
  });

  it('rests after a failure like any refresh, and leaves the value in its place', async () => {
    const clock = new ManualClock();
    const { read, Reports } = await nearExpiry(clock, 1, 10_000, 1_000);
    clock.chance = 0.999;
    let loads = 0;
    const failing = async () => {
      loads++;
      throw new Error('connection refused');
    };
    for (const [ms, expected] of [
      [0, 1],
      [249, 1],
      [1, 2],
      [499, 2],
      [1, 3],
    ] as const) {
      clock.advance(ms);
      expect(await read(Reports, 'k0', failing)).toBe(1);
      await new Promise(setImmediate);
      expect(loads).toBe(expected);
    }
  });

  it('goes by the time the last load took, because that is what a reader would have to wait', async () => {
    const clock = new ManualClock();
    const { read, Reports } = await nearExpiry(clock, 1, 10_000, 0);
    clock.chance = 0.5;
    // This one takes no time: nothing is won by loading it early.
    expect(await read(Reports, 'k0', async () => 2)).toBe(2);
    clock.advance(TTL_MS - 1);
    let loads = 0;
    await read(Reports, 'k0', async () => ++loads);
    expect(loads).toBe(0);
  });

  it('is no option where stale values are served, because nobody waits there', () => {
    // @ts-expect-error earlyRefresh beside staleFor
    const read = staleWhileRevalidate({ ttl: '1m', staleFor: '1m', earlyRefresh: 1 });
    const Both = entity<number>('both', { maxStaleness: '1h', read, write: external() });
    const { engine } = testEngine();
    expect(() => engine.entities.stateOf(Both)).toThrow(/has no option `read.earlyRefresh`/);
  });
});
