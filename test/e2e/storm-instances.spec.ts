import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { someRedis } from '../../sample/src/storm/own-redis.js';
import { EXPIRIES } from '../../sample/src/storm/storm.js';
import { compileSample } from '../support/compiled-sample.js';
import { hasRedis, redisBinaries } from '../support/redis-binaries.js';
import { startRedis } from '../support/redis-server.js';

jest.setTimeout(120_000);

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

/** The cells of a row. */
const row = (printed: string, name: string) =>
  new RegExp(`^${name} +(\\S+) +(\\S+)$`, 'm').exec(printed)?.slice(1).map(Number);

const PER_PROCESS = EXPIRIES * INSTANCES;

(hasRedis() ? describe : describe.skip)('a hot key of several processes with Redis', () => {
  const expected = {
    queries: [EXPIRIES, PER_PROCESS],
    'refused connections': [0, 0],
    'failed readers': [0, 0],
  };
  it('costs one query per expiry for all of them, and one for each where they share nothing', async () => {
    const redis = (await startRedis())!;
    try {
      const env = { REDIS_URL: redis.url };
      const { code, printed, said } = await storm(['--instances', `${INSTANCES}`], env);
      expect([code, said]).toEqual([0, '']);
      const names = Object.keys(expected);
      expect(Object.fromEntries(names.map((name) => [name, row(printed, name)]))).toEqual(expected);
    } finally {
      await redis.stop();
    }
  });

  it('may have a server of its own from the PATH, which ends with it', async () => {
    const { server, env } = redisBinaries()!;
    const before = { ...process.env };
    process.env = { ...env, REDIS_URL: '', PATH: `${dirname(server)}:/bin:/usr/bin` };
    try {
      const own = (await someRedis())!;
      const client = new Redis(own.url, { retryStrategy: () => null });
      client.on('error', () => undefined);
      expect(await client.ping()).toBe('PONG');
      const ended = once(client, 'end');
      await own.end();
      await ended;
    } finally {
      process.env = before;
    }
  });
});

it('says what it needs where there is no such server', async () => {
  const { code, said } = await storm(['--instances', '2'], { PATH: sample.directory });
  expect([code, said]).toEqual([
    1,
    'Several instances need a Redis to share: set REDIS_URL, or install redis-server (Debian: apt-get install redis-server).\n',
  ]);
});

it.each([
  [['--writes', 'yes'], "Unexpected argument 'yes'"],
  [['--instance', '2'], "Unknown option '--instance'"],
  [['--instances'], "Option '--instances <value>' argument missing"],
])('says how it is called when it does not understand %j', async (args, problem) => {
  const { code, said } = await storm(args, {});
  expect(code).toBe(1);
  expect(said.startsWith(problem)).toBe(true);
  expect(said).toMatch(
    /\nWrite npm run storm -- --instances 4 --writes, or leave out one or both of them\.\n$/,
  );
});

it.each(['0', '17', 'four', '1.5'])('refuses to run as %s instances', async (count) => {
  const { code, said } = await storm([`--instances=${count}`], {});
  expect([code, said]).toEqual([1, `--instances takes a number from 1 to 16, got ${count}\n`]);
});
