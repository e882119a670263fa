import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { jest } from '@jest/globals';
import { Logger, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EntityCache, type Entity, type KeyPart } from 'nestjs-cache-contract';
import { LuaScript } from '../../lib/connection/lua-script.js';
import { compile } from '../support/compiled-lib.js';
import { deferred } from '../support/engine.js';
import { until } from '../support/fault-child.js';
import { hasRedis, redisBinaries } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';
import {
  PriceConsumer,
  Prices,
  PriceService,
  PricesModule,
  raisePrices,
  rows,
} from './snippets/writers-outside.js';

jest.setTimeout(60_000);

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/writers-outside.md'), 'utf8');
const blocks = [...page.matchAll(/^```sh\n([^]*?)^```/gm)].map(([, block]) => block!);
const [ONE_COMMAND, FROM_A_FILE, KEYS] = blocks as [string, string, string];
const [LINE_OF_CLUSTER] = blocks[3]!.split('\n') as [string];
const [RIGHTS] = page.match(/^ACL SETUSER .+$/gm)!;

type Key = string | readonly [KeyPart, ...KeyPart[]];
/** The same entity, for keys of every kind. */
const OfAllKeys = Prices as unknown as Entity<number, Key>;

it('ships the script in one piece, as the library has it', () => {
  const { text } = new LuaScript(
    'invalidate-outside',
    new URL('../../lib/store/redis/redis-store.ts', import.meta.url).href,
  );
  const shipped = join(root, 'docs/invalidate.lua');
  if (process.env.UPDATE_DOCS === '1') writeFileSync(shipped, text);
  else expect(readFileSync(shipped, 'utf8')).toBe(text);
});

(hasRedis() ? describe : describe.skip)('writers outside, as the page says', () => {
  let redis: TestRedis;
  let directory: string;
  const apps: INestApplicationContext[] = [];
  const start = async () => {
    const app = await NestFactory.createApplicationContext(PricesModule);
    apps.push(app);
    return { app, prices: app.get(PriceService), cache: app.get(EntityCache) };
  };
  /** What somebody else types; resolves to what is printed. */
  const shell = (line: string, url = redis.url) => {
    const { cli, env } = redisBinaries()!;
    const PATH = `${dirname(cli)}:${env.PATH ?? process.env.PATH}`;
    const options = { cwd: directory, env: { ...env, PATH, REDIS_URL: url } };
    return new Promise<string>((resolve, reject) => {
      execFile('/bin/sh', ['-ec', line], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout.trim());
        else reject(new Error(`${stdout}${stderr}`));
      });
    });
  };
  /** Another process answers from a copy, which is the one that was loaded first. */
  const withCopies = async (...ids: string[]) => {
    const [one, other] = [await start(), await start()];
    const processes = [one, other];
    const read = (id: string) => Promise.all(processes.map(({ prices }) => prices.priceOf(id)));
    for (const id of ids) await read(id);
    await until('both have copies', async () => {
      redis.cli('CONFIG', 'RESETSTAT');
      for (const id of ids) await read(id);
      return !redis.cli('INFO', 'commandstats').includes('cmdstat_get:');
    });
    return { processes, read };
  };

  beforeAll(async () => {
    redis = (await startRedis())!;
    process.env.REDIS_URL = redis.url;
    directory = mkdtempSync(join(tmpdir(), 'cache-outside-'));
    mkdirSync(join(directory, 'node_modules'));
    symlinkSync(root, join(directory, 'node_modules/nestjs-cache-contract'), 'dir');
  });
  beforeEach(() => {
    redis.cli('FLUSHALL');
    rows.clear();
    for (const id of ['p1', 'p2', 'p3']) rows.set(id, 100);
    jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    jest.restoreAllMocks();
  });
  afterAll(async () => {
    rmSync(directory, { recursive: true, force: true });
    await redis?.stop();
  });

  it('a job has told everybody when it has ended', async () => {
    const { read } = await withCopies('p1', 'p2');
    await raisePrices(10);
    await until('both have heard', async () => (await read('p1')).every((price) => price === 110));
    await until('of all', async () => (await read('p2')).every((price) => price === 110));
  });

  it('a job in a process of its own ends by itself, and well', async () => {
    const { read } = await withCopies('p1');
    rows.set('p1', 7);
    const code = join(directory, 'code');
    await compile(['lib', 'test/docs/snippets'], code);
    const job = `
      import { raisePrices, rows } from './test/docs/snippets/writers-outside.js';
      rows.set('p1', 7);
      await raisePrices(0);`;
    const options = { cwd: code, env: { ...process.env, REDIS_URL: redis.url } };
    const args = ['--input-type=module', '-e', job];
    await new Promise<void>((resolve, reject) => {
      execFile(process.execPath, args, options, (error) => (error ? reject(error) : resolve()));
    });
    await until('both have heard', async () => (await read('p1')).every((price) => price === 7));
  });

  it('a process that ends has told what nobody waits for', async () => {
    const { read } = await withCopies('p1');
    rows.set('p1', 7);
    const { app, cache } = await start();
    const outcomes = Array.from({ length: 250 }, (_, i) =>
      cache.invalidate(Prices, i === 0 ? 'p1' : `other-${i}`),
    );
    await app.close();
    const names = redis.cli('XRANGE', 'shop:1:log:{log}:m', '-', '+').match(/"price","[^"]+"/g);
    expect(new Set(names).size).toBe(250);
    expect(redis.cli('EXISTS', 'shop:1:v:{price:p1}')).toBe('0');
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['acknowledged']));
    await until('both have heard', async () => (await read('p1')).every((price) => price === 7));
  });

  it('a consumer has its message delivered again while Redis does not know', async () => {
    const { app, prices } = await start();
    const consumer = new PriceConsumer(app.get(EntityCache));
    await prices.priceOf('p1');
    rows.set('p1', 7);
    await consumer.onPriceChanged({ id: 'p1' });
    expect(await prices.priceOf('p1')).toBe(7);
    redis.freeze();
    await expect(consumer.onPriceChanged({ id: 'p1' })).rejects.toThrow('deliver it again');
    redis.thaw();
    await until('it is delivered', () =>
      consumer.onPriceChanged({ id: 'p1' }).then(
        () => true,
        () => false,
      ),
    );
  });

  it('one command reaches the copies of all processes', async () => {
    const { read } = await withCopies('p1', 'p2');
    for (const id of ['p1', 'p2']) rows.set(id, 7);
    expect(await shell(ONE_COMMAND)).toBe('2\n2');
    for (const id of ['p1', 'p2']) {
      await until('both have heard', async () => (await read(id)).every((price) => price === 7));
    }
  });

  it('what is loaded while it is sent is not stored', async () => {
    const [one, other] = [await start(), await start()];
    const [begun, row] = [deferred<void>(), deferred<number>()];
    const loading = one.cache.get(Prices, 'p1', async () => {
      begun.resolve();
      return row.promise;
    });
    await begun.promise;
    expect(await shell(ONE_COMMAND)).toBe('0\n2');
    const next = other.cache.get(Prices, 'p1', async () => 2);
    expect(await next).toBe(2);
    row.resolve(1);
    expect(await loading).toBe(1);
    await until(
      'nobody has it',
      async () => (await one.cache.get(Prices, 'p1', async () => 3)) === 2,
    );
    expect(await other.cache.get(Prices, 'p1', async () => 3)).toBe(2);
  });

  it('and a file of keys as many of them as there are', async () => {
    const { read } = await withCopies('p1');
    rows.set('p1', 7);
    const changed = Array.from({ length: 1_200 }, (_, index) => `p${index}`);
    writeFileSync(join(directory, 'changed.txt'), `${changed.join('\n')}\n`);
    expect(await shell(FROM_A_FILE)).toBe('1\n2\n0\n2\n0\n2');
    await until('both have heard', async () => (await read('p1')).every((price) => price === 7));
  });

  it('keys are written as the table says', async () => {
    const { cache } = await start();
    const keys: Key[] = ['42', ['de', 42, true, null], '[draft] one'];
    for (const key of keys) await cache.get(OfAllKeys, key, async () => 1);
    const stored = () => redis.cli('--scan', '--pattern', 'shop:1:v:*').split('\n').filter(Boolean);
    await until('they are stored', () => stored().length === keys.length);
    expect(stored()).toContain(/`(shop:1:v:\{price:%D800.*?)`/.exec(page)![1]);
    expect((await shell(KEYS)).split('\n')[0]).toBe('3');
    expect(stored()).toEqual([]);
  });

  it('what it refuses ends the shell with an error that says what was expected', async () => {
    const wrong = ONE_COMMAND.replace('p1 p2', '"[p1"');
    await expect(shell(wrong)).rejects.toThrow(/ERR invalidate\.lua expected JSON .*Fix: /);
    redis.cli('REPLICAOF', '127.0.0.1', '1');
    await expect(shell(ONE_COMMAND)).rejects.toThrow('READONLY');
    redis.cli('REPLICAOF', 'NO', 'ONE');
    expect(await shell(ONE_COMMAND)).toBe('0\n0');
  });

  it('needs the rights of the page and no more, and reads no value', async () => {
    const rights = RIGHTS.replace('ACL ', '').split(' ');
    redis.cli('ACL', ...rights);
    const url = redis.url.replace('//', '//prices:password@');
    const prepare = () => {
      redis.cli('FLUSHALL');
      redis.cli('SET', 'shop:1:v:{price:p1}', 'value');
      redis.cli('SET', 'shop:1:l:{price:p1}', `${'x'.repeat(22)} shop:1:l:someone`);
    };
    prepare();
    expect(await shell(ONE_COMMAND, url)).toBe('1\n0');
    expect(redis.cli('--scan', '--pattern', '*price*')).toBe('');
    prepare();
    await expect(
      shell(`redis-cli -e -u "$REDIS_URL" get 'shop:1:v:{price:p1}'`, url),
    ).rejects.toThrow('NOPERM');
    for (const right of rights.filter((word) => word.startsWith('+'))) {
      prepare();
      redis.cli('ACL', 'SETUSER', 'prices', right.replace('+', '-'));
      await expect(shell(ONE_COMMAND, url)).rejects.toThrow(/NOPERM|can't run this command/);
      redis.cli('ACL', 'SETUSER', 'prices', right);
    }
    // As in a cluster.
    const named = LINE_OF_CLUSTER.replace('$NODE_URL" -c', '$REDIS_URL"');
    await expect(shell(named, url)).rejects.toThrow('NOPERM');
    redis.cli('ACL', 'SETUSER', 'prices', '~shop:1:v:*');
    await shell(named, url);
  });
});
