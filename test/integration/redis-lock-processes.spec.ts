import { jest } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { RedisLock } from '../../lib/coordination/redis/redis-lock.js';
import { compileLib } from '../support/compiled-lib.js';
import { startLockProcess, type LockProcess } from '../support/lock-process.js';
import { hasPostgres, startPostgres, type TestPostgres } from '../support/postgres.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(120_000);

const PROCESSES = 4;
const ROUNDS = 25;

(hasRedis() ? describe : describe.skip)('locks in Redis, of several processes', () => {
  let redis: TestRedis;
  let lib: Awaited<ReturnType<typeof compileLib>>;
  const started: LockProcess[] = [];
  const start = (app: string, settings: object = {}) => {
    const one = startLockProcess(lib.directory, app, { url: redis.url, ...settings });
    started.push(one);
    return one;
  };

  beforeAll(async () => {
    redis = (await startRedis())!;
    lib = await compileLib();
  });
  beforeEach(() => void redis.cli('FLUSHALL'));
  afterEach(async () => {
    for (const one of started) one.signal('SIGKILL');
    await Promise.all(started.splice(0).map(({ ended }) => ended));
  });
  afterAll(async () => {
    await redis?.stop();
    lib?.remove();
  });

  it('let one at a time in, and number all of them in their order', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'cache-contenders-'));
    try {
      const settings = { directory, rounds: ROUNDS };
      const contenders = Array.from({ length: PROCESSES }, () => start('contender', settings));
      const ends = await Promise.all(contenders.map(({ ended }) => ended));
      expect([ends, contenders.map(({ output }) => output())]).toEqual([
        Array(PROCESSES).fill(0),
        Array(PROCESSES).fill(''),
      ]);
      const fences = readFileSync(join(directory, 'fences'), 'utf8').trim().split('\n').map(BigInt);
      expect(fences).toHaveLength(PROCESSES * ROUNDS);
      expect(fences).toEqual([...new Set(fences)].sort((a, b) => (a < b ? -1 : 1)));
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    expect(redis.cli('--scan').split('\n')).toEqual(['cache:k:{stock}:f']);
  });

  it('pass to the next one when their holder is killed, and are in nobody’s way afterwards', async () => {
    const locks = new RedisLock({ url: redis.url, namespace: 'cache' });
    const holder = start('survivor');
    holder.tell('hold');
    await holder.said(/holds held/);
    const next = locks.acquire('held');
    holder.signal('SIGKILL');
    expect((await next)?.name).toBe('held');
    await locks.close();
  });

  (hasPostgres() ? describe : describe.skip)(
    'and a row in PostgreSQL that checks the fence',
    () => {
      let postgres: TestPostgres;
      let client: pg.Client;

      beforeAll(async () => {
        postgres = (await startPostgres())!;
        client = new pg.Client(postgres.url);
        await client.connect();
        await client.query('CREATE TABLE account (id text PRIMARY KEY, balance int, fence bigint)');
        await client.query("INSERT INTO account VALUES ('a1', 100, 0)");
      });
      afterAll(async () => {
        await client?.end();
        await postgres?.stop();
      });

      it('refuse the write of a holder that was stopped for longer than its ttl', async () => {
        const settings = { database: postgres.url, ttl: '1s' };
        const first = start('withdrawer', settings);
        const [, before] = await first.said(/holds (\d+)/);
        first.signal('SIGSTOP');
        const second = start('withdrawer', settings);
        const [, after] = await second.said(/holds (\d+)/);
        second.tell('70');
        await second.said(/wrote 1, told false/);
        first.tell('50');
        first.signal('SIGCONT');
        await first.said(/wrote 0, told true/);
        expect(BigInt(after!)).toBeGreaterThan(BigInt(before!));
        const { rows } = await client.query('SELECT balance FROM account');
        expect(rows).toEqual([{ balance: 70 }]);
      });
    },
  );

  describe('whatever Redis does', () => {
    it('end no process and print nothing while it is away, and go on when it is back', async () => {
      const survivor = start('survivor');
      survivor.tell('hold');
      await survivor.said(/holds held/);
      await redis.kill();
      survivor.tell('lost');
      await survivor.said(/lost CACHE_LOCK_LOST/);
      survivor.tell('ask');
      await survivor.said(/not to be had/);
      await redis.restart();
      const other = new RedisLock({ url: redis.url, namespace: 'cache' });
      expect((await other.acquire('held'))?.name).toBe('held');
      await other.close();
      survivor.tell('close');
      expect(await survivor.ended).toBe(0);
      const said = survivor.output().trim().replaceAll(/\d+/g, 'n').split('\n');
      expect(said.sort()).toEqual(
        ['got it n', 'holds held', 'lost CACHE_LOCK_LOST', 'not to be had', 'closed'].sort(),
      );
    });

    it('wait for it if it was away from the beginning', async () => {
      await redis.kill();
      const early = start('survivor');
      early.tell('ask');
      await early.said(/not to be had/);
      await redis.restart();
      await early.said(/got it/);
    });

    it.each(['there', 'away', 'frozen'])(
      'leave nothing that keeps a process running when it is %s',
      async (state) => {
        const survivor = start('survivor');
        survivor.tell('hold');
        await survivor.said(/holds held/);
        if (state === 'away') await redis.kill();
        if (state === 'frozen') redis.freeze();
        try {
          survivor.tell('close');
          expect(await survivor.ended).toBe(0);
        } finally {
          if (state === 'away') await redis.restart();
          if (state === 'frozen') redis.thaw();
        }
      },
    );
  });
});
