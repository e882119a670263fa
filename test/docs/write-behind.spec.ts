import 'reflect-metadata';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Logger, Module } from '@nestjs/common';
import { jest } from '@jest/globals';
import { CacheModule, EntityCache, ledgerSchema } from 'nestjs-cache-contract';
import { Database } from '../../sample/src/database/database.js';
import {
  bootstrap,
  DeadViewsController,
  LastSeen,
  Presence,
  PresenceService,
  ShopLedger,
  ViewController,
  Views,
  ViewService,
  watch,
} from './snippets/write-behind.js';

const page = readFileSync(join(import.meta.dirname, '../../docs/write-behind.md'), 'utf8');

@Module({
  imports: [CacheModule.forRoot(), CacheModule.forFeature([Views])],
  controllers: [ViewController, DeadViewsController],
  providers: [Database, ShopLedger, ViewService, Presence, PresenceService],
})
class AppModule {}

let app: Awaited<ReturnType<typeof bootstrap>>;
let database: Database;
let cache: EntityCache;

beforeEach(async () => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
  jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
  app = await bootstrap(AppModule, 0);
  [database, cache] = [app.get(Database), app.get(EntityCache)];
});
afterEach(async () => {
  await app.close();
  jest.restoreAllMocks();
});

async function send(method: string, path: string, body?: object) {
  const response = await fetch(`${await app.getUrl()}/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}
const written = async (product: number) => {
  const [row] = await database.query<{ views: number }>(
    `SELECT views FROM products WHERE id = ${product}`,
  );
  return row?.views;
};

it('accepts, shows, writes later, and at once where a handler says so, as the page says', async () => {
  const gauges: string[] = [];
  const stop = watch(cache, (name, value) => {
    if (!name.includes('.flush.')) expect(value).toBe(0);
    gauges.push(name);
  });
  expect(await send('POST', 'products/1/views')).toEqual({
    status: 202,
    body: { seq: 1, shard: 0, durable: 'memory' },
  });
  expect(await app.get(ViewService).count(1)).toBe(13);
  await cache.journal(Views).flush();
  expect(await written(1)).toBe(13);
  expect((await send('PUT', 'products/1/views', { views: 5 })).status).toBe(204);
  expect(await written(1)).toBe(5);
  stop();
  expect((await send('PUT', 'products/99/views', { views: 5 })).status).toBe(422);
  expect(await cache.journal(Views).deadLetters()).toEqual([]);
  const flush = 'view.flush.applied';
  expect(gauges).toEqual(['view.pending', 'view.dead', 'view.duplicates', flush, flush]);
});

it('keeps what cannot be written, and writes it when it can be, or removes it, as the page says', async () => {
  const views = app.get(ViewService);
  await views.view(98);
  await views.view(99);
  await cache.journal(Views).flush();
  const { body } = await send('GET', 'admin/dead-views');
  expect(body).toMatchObject([
    { key: 98, op: 'add', by: 1, reason: 'no such product' },
    { key: 99, op: 'add', by: 1, reason: 'no such product' },
  ]);
  const [first, second] = body as [{ id: string }, { id: string }];
  await expect(cache.journal(Views).retry(first.id)).rejects.toMatchObject({
    code: 'CACHE_MUTATION_REJECTED',
  });
  await database.query(
    `INSERT INTO products (id, category, title, cents, stock) VALUES (98, 'tea', 'Pu-erh', 900, 1)`,
  );
  const retry = () => send('POST', 'admin/dead-views/retry', first);
  expect((await retry()).body).toEqual({ written: true });
  expect((await retry()).body).toEqual({ written: false });
  expect(await written(98)).toBe(1);
  expect((await send('POST', 'admin/dead-views/discard', second)).body).toEqual({ removed: true });
  expect((await send('GET', 'admin/dead-views')).body).toEqual([]);
});

it('writes the last of several values without a ledger, as the page says', async () => {
  const presence = app.get(PresenceService);
  const [first, last] = [new Date('2026-01-01'), new Date('2026-01-02')];
  await presence.seen('ada', first);
  await presence.seen('ada', last);
  expect(await presence.of('ada')).toEqual(last);
  expect(app.get(Presence).rows.size).toBe(0);
  await cache.journal(LastSeen).flush();
  expect(app.get(Presence).rows.get('ada')).toEqual(last);
});

it('has answers that are as stale at worst as the page says', () => {
  const table = page.split('## How stale, at worst')[1]!.split('\n## ')[0]!;
  const told = [...table.matchAll(/^\|[^|]+\| (\d+)s +\|/gm)].map(([, seconds]) => Number(seconds));
  const { worstStaleness } = cache.contract(Views);
  expect(worstStaleness.map(({ mode }) => mode)).toEqual([
    'changed here',
    'changed elsewhere',
    'accepted elsewhere',
  ]);
  expect(worstStaleness.map(({ ms }) => ms / 1_000)).toEqual(told);
});

it('tells the codes that the page names', () => {
  const lib = join(import.meta.dirname, '../../lib');
  const files = readdirSync(lib, { recursive: true, encoding: 'utf8' });
  const sources = files.filter((name) => name.endsWith('.ts')).map((name) => join(lib, name));
  const code = sources.map((source) => readFileSync(source, 'utf8')).join('');
  const named = new Set(page.match(/CACHE_[A-Z_]+/g));
  expect([...named].filter((name) => !code.includes(`'${name}'`))).toEqual([]);
});

it('has the tables that the page shows', () => {
  expect(page).toContain(`${ledgerSchema('postgres').join(';\n\n')};`);
});

it('may forget the rows of journals that are long gone, by the statement that the page shows', async () => {
  await app.get(ViewService).view(1);
  await cache.journal(Views).flush();
  const forget = /^DELETE FROM cache_ledger .*(?=; -- SQLite$)/m.exec(page)![0];
  const left = () => database.query('SELECT * FROM cache_ledger');
  await database.query(forget);
  expect(await left()).toHaveLength(1);
  await database.query(`UPDATE cache_ledger SET applied_at = datetime('now', '-31 days')`);
  await database.query(forget);
  expect(await left()).toHaveLength(0);
  // Too early does no harm.
  await app.get(ViewService).view(1);
  await cache.journal(Views).flush();
  expect(await written(1)).toBe(14);
});
