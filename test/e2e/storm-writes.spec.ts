import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { Staleness } from '../../sample/src/storm/staleness.js';
import { WRITES } from '../../sample/src/storm/with-writes.js';
import { compileSample } from '../support/compiled-sample.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis } from '../support/redis-server.js';

jest.setTimeout(180_000);

const INSTANCES = 3;

let sample: Awaited<ReturnType<typeof compileSample>>;
beforeAll(async () => void (sample = await compileSample()));
afterAll(() => sample?.remove());

/** `npm run storm -- …`, in an environment of these variables alone. */
async function storm(args: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [join(sample.directory, 'storm.js'), ...args], { env });
  let [printed, said] = ['', ''];
  child.stdout.on('data', (text) => (printed += text));
  child.stderr.on('data', (text) => (said += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, printed, said };
}

/** The cells of a row: with copies, and without. */
function row(printed: string, name: string): [copies: number, none: number] {
  const cells = new RegExp(`^${name} +(\\S+) +(\\S+)$`, 'm').exec(printed)!.slice(1);
  return cells.map((cell) => Number(cell.replaceAll(',', ''))) as [number, number];
}

(hasRedis() ? describe : describe.skip)('several processes that change what they all read', () => {
  it('answer with nothing that is older than the contract allows, and mostly without Redis', async () => {
    const redis = (await startRedis())!;
    try {
      const args = ['--instances', `${INSTANCES}`, '--writes'];
      const { code, printed, said } = await storm(args, { REDIS_URL: redis.url });
      expect([code, said]).toEqual([0, '']);
      expect(row(printed, 'writes')).toEqual([WRITES, WRITES]);
      expect(row(printed, 'failed')).toEqual([0, 0]);
      expect(row(printed, 'stale for longer than 2 s')).toEqual([0, 0]);
      const [saved, none] = row(printed, 'by a copy in the process');
      expect(saved).toBeGreaterThan(0);
      expect(none).toBe(0);
      expect(printed).toContain(`Copies saved ${saved.toLocaleString('en')} reads of Redis: `);
      const [answers] = row(printed, 'answers');
      expect(saved).toBeLessThanOrEqual(answers);
      const [some, all] = row(printed, 'commands to Redis');
      expect(some).toBeGreaterThan(0);
      expect(all).toBeGreaterThan(0);
      // While it lasts it says the same, of each of the two.
      const lasting = printed.match(
        /^[\d,]+ answers, \d+ writes: 0 answers stale for longer than/gm,
      );
      expect(lasting!.length).toBeGreaterThanOrEqual(2);
    } finally {
      await redis.stop();
    }
  });
});

it('says that one instance alone has nobody to be told of anything', async () => {
  const { code, said } = await storm(['--writes'], {});
  expect([code, said]).toEqual([
    1,
    '--writes is about what several instances see of each other: add --instances 4\n',
  ]);
});

describe('an answer', () => {
  const BOUND = 100;
  const counted = (reads: [number, number, number][], writes: [number, number, number][]) => {
    const staleness = new Staleness(BOUND);
    const nothing = { byCopy: 0, commands: 0, failed: 0, writesLeft: 0, boundMs: 0 };
    staleness.learn([{ ...nothing, reads, writes: [] }]);
    // Told of later, and by somebody else.
    staleness.learn([{ ...nothing, reads: [], writes }]);
    return staleness.stale;
  };

  it.each<[string, [version: number, at: number], { atAll: number; beyondBound: number }]>([
    ['of the newest version', [3, 1_000], { atAll: 0, beyondBound: 0 }],
    ['that was asked for before the write had settled', [1, 199], { atAll: 0, beyondBound: 0 }],
    ['that was asked for within the bound', [1, 250], { atAll: 1, beyondBound: 0 }],
    ['that was asked for after the bound', [1, 301], { atAll: 1, beyondBound: 1 }],
    ['of another version that is old too', [2, 1_000], { atAll: 1, beyondBound: 1 }],
  ])('%s is counted as it is', (_, [version, at], stale) => {
    const writes: [number, number, number][] = [
      [1, 3, 200],
      // Settled later, though it is older.
      [1, 2, 210],
      [2, 9, 100],
    ];
    expect(counted([[1, version, at]], writes)).toEqual(stale);
  });
});
