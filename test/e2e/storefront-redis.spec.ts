import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Logger, type INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { EntityCache } from 'nestjs-cache-contract';
import { AppModule } from '../../sample/src/app.module.js';
import { Database } from '../../sample/src/database/database.js';
import { keptIn } from '../../sample/src/kept-in.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(60_000);

const ADA = { 'x-tenant': 'acme', 'x-user': 'ada' };
const BOB = { 'x-tenant': 'acme', 'x-user': 'bob' };

async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 20_000; !(await holds()); await setTimeout(10)) {
    if (Date.now() > deadline) throw new Error('it did not happen within 20 seconds');
  }
}

class Storefront {
  private constructor(
    private readonly app: INestApplication,
    private readonly url: string,
  ) {}

  static async open(): Promise<Storefront> {
    const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
    const app = module.createNestApplication();
    await app.listen(0, '127.0.0.1');
    return new Storefront(app, await app.getUrl());
  }

  async send(method: string, path: string, body?: object, headers = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }
  get = (path: string, headers = {}) => this.send('GET', path, undefined, headers);
  get queries(): number {
    return this.app.get(Database).state().queries;
  }
  keptIn = () => keptIn(this.app.get(EntityCache), process.env);
  close = () => this.app.close();
}

(hasRedis() ? describe : describe.skip)('two storefronts on one Redis', () => {
  const before = { ...process.env };
  let redis: TestRedis;
  let directory: string;
  let [one, other] = [undefined! as Storefront, undefined! as Storefront];
  const queries = () => one.queries + other.queries;
  const queriesDuring = async (work: () => Promise<unknown>) => {
    const begin = queries();
    await work();
    return queries() - begin;
  };

  beforeAll(async () => {
    redis = (await startRedis())!;
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });
  beforeEach(async () => {
    redis.cli('FLUSHALL');
    directory = mkdtempSync(join(tmpdir(), 'storefront-'));
    process.env.REDIS_URL = redis.url;
    process.env.DATABASE_FILE = join(directory, 'shop.db');
    one = await Storefront.open();
    other = await Storefront.open();
  });
  afterEach(async () => {
    await Promise.all([one.close(), other.close()]);
    rmSync(directory, { recursive: true, force: true });
  });
  afterAll(async () => {
    process.env = before;
    jest.restoreAllMocks();
    await redis?.stop();
  });

  it('say where their entries are', () => {
    expect(one.keptIn().split('\n')).toEqual([
      `Entries are kept in Redis at 127.0.0.1:${redis.port} (all storefronts on this Redis with this database share them).`,
      'In Redis: permission; there and in this process: profile, stock; in this process: product, view-count.',
    ]);
  });

  it('ask the database once for what is read through both', async () => {
    const paths = ['/profiles/u1', '/products/1/stock'];
    const read = () =>
      Promise.all(
        paths.flatMap((path) => [one, other].flatMap((shop) => [shop.get(path), shop.get(path)])),
      );
    expect(
      await queriesDuring(async () => {
        for (const { status } of await read()) expect(status).toBe(200);
        for (const { status } of await read()) expect(status).toBe(200);
      }),
    ).toBe(paths.length);
  });

  it('know at once of a permission that was granted or revoked through the other one', async () => {
    const edit = async () =>
      (await other.send('PATCH', '/products/1', { title: 'Ceylon' }, BOB)).status;
    const permission = '/users/bob/permissions/catalog:edit';
    expect(await edit()).toBe(403);
    await one.send('PUT', permission, undefined, ADA);
    expect(await edit()).toBe(200);
    await one.send('DELETE', permission, undefined, ADA);
    expect(await edit()).toBe(403);
  });

  it('show a new name to whoever has not kept the old one', async () => {
    await one.get('/profiles/u1');
    await one.send('PATCH', '/profiles/u1', { name: 'Grace' });
    expect((await one.get('/profiles/u1')).body.name).toBe('Grace');
    expect(await queriesDuring(() => other.get('/profiles/u1'))).toBe(0);
    expect((await other.get('/profiles/u1')).body.name).toBe('Grace');
  });

  it('keep products apart, which have tags', async () => {
    expect(
      await queriesDuring(() => Promise.all([one.get('/products/1'), other.get('/products/1')])),
    ).toBe(2);
  });

  it('leave nothing in Redis that does not end by itself', async () => {
    await one.get('/profiles/u1');
    await one.get('/products/1/stock');
    await one.get('/users/ada/permissions', ADA);
    const keys = () => redis.cli('--scan').split('\n').filter(Boolean);
    await eventually(() => keys().filter((key) => key.startsWith('storefront:1:v:')).length === 3);
    for (const key of keys()) expect([key, Number(redis.cli('PTTL', key))]).not.toEqual([key, -1]);
  });

  it.each(['frozen', 'dead'])(
    'answer while Redis is %s, and share again after it',
    async (state) => {
      await one.get('/users/ada/permissions', ADA);
      if (state === 'frozen') redis.freeze();
      else await redis.kill();
      try {
        for (const shop of [one, other]) {
          for (const path of ['/profiles/u1', '/products/1/stock', '/users/ada/permissions']) {
            expect(await shop.get(path, ADA)).toMatchObject({ status: 200 });
          }
        }
        expect((await one.send('PATCH', '/profiles/u1', { name: 'Grace' })).status).toBe(204);
        expect((await one.get('/profiles/u1')).body.name).toBe('Grace');
      } finally {
        if (state === 'frozen') redis.thaw();
        else await redis.restart();
      }
      const shared = async () =>
        (await queriesDuring(async () => {
          await one.get('/users/ada/permissions', ADA);
          await other.get('/users/ada/permissions', ADA);
        })) < 2;
      await eventually(shared);
    },
  );

  it('start without it', async () => {
    await redis.kill();
    const third = await Storefront.open();
    expect((await third.get('/profiles/u1')).body.name).toBe('Ada');
    await third.close();
    await redis.restart();
  });

  it('share nothing where each has a database in its own memory', async () => {
    delete process.env.DATABASE_FILE;
    const [third, fourth] = [await Storefront.open(), await Storefront.open()];
    await third.send('PATCH', '/profiles/u1', { name: 'Grace' });
    expect((await third.get('/profiles/u1')).body.name).toBe('Grace');
    expect((await fourth.get('/profiles/u1')).body.name).toBe('Ada');
    expect(third.keptIn()).toContain('for this process alone');
    await Promise.all([third.close(), fourth.close()]);
  });
});

it('a storefront without a Redis keeps its entries in its process', async () => {
  const { REDIS_URL } = process.env;
  delete process.env.REDIS_URL;
  const shop = await Storefront.open();
  expect(shop.keptIn()).toBe('Entries are kept in this process.');
  await shop.close();
  if (REDIS_URL !== undefined) process.env.REDIS_URL = REDIS_URL;
});
