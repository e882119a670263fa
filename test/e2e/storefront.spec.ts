import { setTimeout } from 'node:timers/promises';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Clock, EntityCache, onCacheEvent, type CacheEvents } from 'nestjs-cache-contract';
import { AppModule } from '../../sample/src/app.module.js';
import { ViewCounts } from '../../sample/src/counters/view-count.contract.js';
import { Database } from '../../sample/src/database/database.js';
import { SkippingClock } from '../../sample/src/storm/skipping-clock.js';

let app: INestApplication;
let url: string;
let clock: SkippingClock;

beforeEach(async () => {
  clock = new SkippingClock();
  const module = await Test.createTestingModule({ imports: [AppModule] })
    .overrideProvider(Clock)
    .useValue(clock)
    .compile();
  app = module.createNestApplication();
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  url = await app.getUrl();
});
afterEach(() => app.close());

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const ADA = { 'x-tenant': 'acme', 'x-user': 'ada' };
const BOB = { 'x-tenant': 'acme', 'x-user': 'bob' };

async function send(method: string, path: string, body?: object, headers = {}) {
  const response = await fetch(url + path, {
    method,
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: text === '' ? undefined : JSON.parse(text),
    retryAfter: response.headers.get('retry-after'),
  };
}
const get = (path: string, headers = {}) => send('GET', path, undefined, headers);
/** Behind the back of the application: another system, or a person. */
const inTheDatabase = (sql: string) => app.get(Database).query(sql);
/** Once nothing is loaded behind a caller any more. */
async function settled(): Promise<void> {
  while (app.get(Database).state().connectionsBusy > 0) await setTimeout(5);
}

/** How many queries the database was asked while `work` ran. */
async function queriesDuring(work: () => Promise<unknown>): Promise<number> {
  const before = (await get('/database')).body.queries;
  await work();
  return (await get('/database')).body.queries - before;
}
const times = <T>(count: number, call: () => Promise<T>) =>
  Promise.all(Array.from({ length: count }, call));

describe('reading', () => {
  it.each([
    ['a product', '/products/1', { id: 1, category: 'tea', title: 'Assam' }],
    ['a profile', '/profiles/u1', { id: 'u1', name: 'Ada' }],
    ['a view count', '/products/1/views', { views: 12 }],
    ['a stock', '/products/1/stock', { left: 5 }],
  ])('answers two reads of %s with one query', async (_, path, expected) => {
    const queries = await queriesDuring(async () => {
      expect(await get(path)).toMatchObject({ status: 200, body: expected });
      expect(await get(path)).toMatchObject({ status: 200, body: expected });
    });
    expect(queries).toBe(1);
  });

  it.each(['/products/1', '/profiles/u1', '/products/1/views'])(
    'answers 50 concurrent reads of %s with one query',
    async (path) => {
      const queries = await queriesDuring(async () => {
        const answers = await times(50, () => get(path));
        expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
      });
      expect(queries).toBe(1);
    },
  );

  it.each([
    ['product, told by null', '/products/99'],
    ['product of a view count, told by an error', '/products/99/views'],
    ['product of a stock, told by an error', '/products/99/stock'],
    ['profile, told by null', '/profiles/u99'],
  ])('answers 404 twice with one query for an unknown %s', async (_, path) => {
    const queries = await queriesDuring(async () => {
      expect((await get(path)).status).toBe(404);
      expect((await get(path)).status).toBe(404);
    });
    expect(queries).toBe(1);
  });

  it('asks the database for a price each time', async () => {
    const queries = await queriesDuring(async () => {
      expect((await get('/products/1/price')).body).toEqual({ cents: 690 });
      expect((await get('/products/1/price')).body).toEqual({ cents: 690 });
      expect((await get('/products/99/price')).status).toBe(404);
    });
    expect(queries).toBe(3);
  });
});

describe('reading several products', () => {
  const titles = async (ids: string) =>
    (await get(`/products?ids=${ids}`)).body.map((product: any) => product?.title ?? null);

  it('answers in the order of the ids, with one query for those that are not cached', async () => {
    await get('/products/2');
    const queries = await queriesDuring(async () => {
      expect(await titles('3,99,2,1,3')).toEqual([
        'Yirgacheffe',
        null,
        'Sencha',
        'Assam',
        'Yirgacheffe',
      ]);
    });
    expect(queries).toBe(1);
  });

  it('shares its entries with reads of one', async () => {
    await get('/products?ids=1,2,99');
    const queries = await queriesDuring(async () => {
      expect((await get('/products/1')).body.title).toBe('Assam');
      expect((await get('/products/99')).status).toBe(404);
      expect(await titles('2,1')).toEqual(['Sencha', 'Assam']);
    });
    expect(queries).toBe(0);
  });

  it('asks once for what many ask for at once, alone or together', async () => {
    await send('POST', '/database/delay/500');
    const queries = await queriesDuring(() =>
      Promise.all([
        ...Array.from({ length: 20 }, () => get('/products?ids=1,2,3')),
        ...Array.from({ length: 20 }, () => get('/products/2')),
      ]),
    );
    // Whoever comes first: a read of one, then of the other two, or a read of all three.
    expect(queries).toBeLessThanOrEqual(2);
  });
});

describe('a catalog that may be hours old', () => {
  beforeEach(async () => {
    await get('/products/1');
    await inTheDatabase(`UPDATE products SET title = 'Ceylon' WHERE id = 1`);
  });

  it('is not asked for within the hour', async () => {
    clock.skip(0.8 * HOUR);
    expect(await queriesDuring(() => get('/products/1'))).toBe(0);
  });

  it('answers at once after it, while one query fetches what is new', async () => {
    clock.skip(5 * HOUR);
    await send('POST', '/database/delay/1000');
    const queries = await queriesDuring(async () => {
      const answers = await times(50, () => get('/products/1'));
      expect(new Set(answers.map(({ body }) => body.title))).toEqual(new Set(['Assam']));
      await settled();
    });
    expect(queries).toBe(1);
    expect((await get('/products/1')).body.title).toBe('Ceylon');
  });

  it('is loaded before anybody is answered when it is too old for that', async () => {
    clock.skip(7 * HOUR);
    expect((await get('/products/1')).body.title).toBe('Ceylon');
  });

  it('is served for a day when the database does not answer, and no longer', async () => {
    await send('POST', '/database/delay/10000');
    clock.skip(22 * HOUR);
    expect((await get('/products/1')).body.title).toBe('Assam');
    clock.skip(2 * HOUR);
    expect((await get('/products/1')).status).toBe(503);
  }, 30_000);
});

describe('what a controller accepts', () => {
  const left = async () => (await get('/products/1/stock')).body.left;
  const available = async () => (await get('/public/products/1/availability')).body.available;

  it('answers the public with a stock that is minutes old, and fetches the new one', async () => {
    expect(await left()).toBe(5);
    await inTheDatabase('UPDATE products SET stock = 0');
    clock.skip(9 * MINUTE);
    const queries = await queriesDuring(async () => {
      expect(await available()).toBe(true);
      await settled();
    });
    expect(queries).toBe(1);
    expect(await available()).toBe(false);
  });

  it('does not answer the basket with it', async () => {
    expect(await available()).toBe(true);
    await inTheDatabase('UPDATE products SET stock = 0');
    clock.skip(9 * MINUTE);
    expect(await left()).toBe(0);
    expect(await queriesDuring(available)).toBe(0);
  });

  it('lets the public wait too when more than ten minutes have passed', async () => {
    expect(await available()).toBe(true);
    await inTheDatabase('UPDATE products SET stock = 0');
    clock.skip(11 * MINUTE);
    expect(await available()).toBe(false);
  });

  it('shows an administrator what is in the database, and everybody else what was cached', async () => {
    await get('/products/1');
    await inTheDatabase(`UPDATE products SET title = 'Ceylon' WHERE id = 1`);
    expect((await get('/admin/products/1', ADA)).body.title).toBe('Ceylon');
    expect((await get('/products/1')).body.title).toBe('Assam');
  });

  it('asks for the product and for the permission with each request of an administrator', async () => {
    const queries = await queriesDuring(async () => {
      for (let i = 0; i < 3; i++) expect((await get('/admin/products/1', ADA)).status).toBe(200);
    });
    expect(queries).toBe(3 * 2);
    expect((await get('/admin/products/99', ADA)).status).toBe(404);
  });
});

describe('writing', () => {
  it('shows a new name to the first read after a rename', async () => {
    await get('/profiles/u1');
    expect((await send('PATCH', '/profiles/u1', { name: 'Grace' })).status).toBe(204);
    expect((await get('/profiles/u1')).body).toEqual({ id: 'u1', name: 'Grace' });
  });

  it('shows a created profile to somebody who was told that there is none', async () => {
    expect((await get('/profiles/u3')).status).toBe(404);
    expect((await send('POST', '/profiles', { name: 'Hedy' })).body.id).toBe('u3');
    expect((await get('/profiles/u3')).body).toEqual({ id: 'u3', name: 'Hedy' });
  });

  it('shows a new title to the first read, and leaves other products cached', async () => {
    await get('/products/1');
    await get('/products/2');
    await send('PATCH', '/products/1', { title: 'Darjeeling' }, ADA);
    expect((await get('/products/1')).body.title).toBe('Darjeeling');
    expect(await queriesDuring(() => get('/products/2'))).toBe(0);
  });

  it('stores the new product: nobody has to load it', async () => {
    const answer = await send('PATCH', '/products/1', { title: 'Darjeeling' }, ADA);
    const expected = { id: 1, category: 'tea', title: 'Darjeeling' };
    expect(answer).toMatchObject({ status: 200, body: expected });
    const queries = await queriesDuring(async () => {
      expect((await get('/products/1')).body).toEqual(expected);
    });
    expect(queries).toBe(0);
  });

  it('shows no older title than the database has after two that overlapped', async () => {
    await Promise.all([
      send('PATCH', '/products/1', { title: 'Darjeeling' }, ADA),
      send('PATCH', '/products/1', { title: 'Ceylon' }, ADA),
    ]);
    const [row] = await inTheDatabase('SELECT title FROM products WHERE id = 1');
    expect((await get('/products/1')).body).toMatchObject(row as object);
  });

  it('shows a renamed category in all of its products', async () => {
    await get('/products/1');
    await get('/products/2');
    await send('PATCH', '/categories/tea', { name: 'leaves' }, ADA);
    expect((await get('/products/1')).body.category).toBe('leaves');
    expect((await get('/products/2')).body.category).toBe('leaves');
  });

  it('leaves the products of other categories cached when one is renamed', async () => {
    await get('/products?ids=1,2,3');
    await send('PATCH', '/categories/tea', { name: 'leaves' }, ADA);
    expect(await queriesDuring(() => get('/products/3'))).toBe(0);
    expect(await queriesDuring(() => get('/products?ids=1,2'))).toBe(1);
  });

  it('finds a product by its new category after it was renamed', async () => {
    await get('/products/1');
    await send('PATCH', '/categories/tea', { name: 'leaves' }, ADA);
    await send('PATCH', '/products/1', { title: 'Darjeeling' }, ADA);
    await send('PATCH', '/categories/leaves', { name: 'infusions' }, ADA);
    expect((await get('/products/1')).body.category).toBe('infusions');
  });

  it('answers 404 to whoever asks for a product that was discontinued', async () => {
    await get('/products/3');
    expect((await send('DELETE', '/products/3', undefined, ADA)).status).toBe(204);
    expect((await get('/products/3')).status).toBe(404);
  });

  it.each([
    ['PATCH', '/profiles/u99', { name: 'Nobody' }],
    ['PATCH', '/products/99', { title: 'Nothing' }],
    ['DELETE', '/products/99', undefined],
    ['POST', '/products/99/views', undefined],
    ['PUT', '/products/99/views/5', undefined],
  ])('answers 404 to a write of something unknown: %s %s', async (method, path, body) => {
    expect((await send(method, path, body, ADA)).status).toBe(404);
  });
});

describe('counting views', () => {
  const journal = () => app.get(EntityCache).journal(ViewCounts);
  const view = (id: number) => send('POST', `/products/${id}/views`);
  const shown = async (id: number) => (await get(`/products/${id}/views`)).body.views;
  const written = async (id: number) => {
    const [row] = await inTheDatabase(`SELECT views FROM products WHERE id = ${id}`);
    return (row as { views: number }).views;
  };
  /** From now on it is written when the test says so. */
  const nothingByItself = () => (clock.after = () => () => undefined);
  /** What became of the attempts to write, in their order. */
  const outcomesDuring = async (work: () => Promise<unknown>) => {
    const outcomes: CacheEvents['flush']['outcome'][] = [];
    const stop = onCacheEvent('flush', ({ outcome }) => outcomes.push(outcome));
    await work();
    stop();
    return outcomes;
  };

  it('accepts a view, shows it at once, and writes it with the others in one transaction', async () => {
    nothingByItself();
    await get('/products/3/views');
    const queries = await queriesDuring(async () => {
      expect(await view(3)).toMatchObject({
        status: 202,
        body: { seq: 1, shard: 0, durable: 'memory' },
      });
      await times(49, () => view(3));
      expect(await shown(3)).toBe(7 + 50);
    });
    expect(queries).toBe(0);
    expect(await written(3)).toBe(7);
    expect((await get('/counters')).body).toEqual({
      ...{ accepted: 50, pending: 50, flushed: 0, duplicates: 0, dead: 0 },
      deadLetters: [],
    });
    expect(await queriesDuring(() => journal().flush())).toBe(1);
    expect([await written(3), await shown(3)]).toEqual([57, 57]);
    expect((await get('/counters')).body).toMatchObject({ accepted: 50, pending: 0, flushed: 50 });
  });

  it('writes by itself what is accepted', async () => {
    const flushed = new Promise<void>((resolve) => {
      const stop = onCacheEvent('flush', () => {
        stop();
        resolve();
      });
    });
    await view(1);
    await flushed;
    expect(await written(1)).toBe(13);
  });

  it('counts a view once, although the answers to two commits were lost', async () => {
    nothingByItself();
    await times(3, () => view(1));
    await send('POST', '/database/lose-answers/2');
    const outcomes = await outcomesDuring(async () => {
      await expect(journal().flush()).rejects.toThrow('connection to the database was lost');
      expect(await written(1)).toBe(12 + 3);
      await expect(journal().flush()).rejects.toThrow('connection to the database was lost');
      await journal().flush();
    });
    expect(outcomes).toEqual(['failed', 'failed', 'duplicate']);
    expect(await written(1)).toBe(12 + 3);
    expect(await shown(1)).toBe(12 + 3);
    expect((await get('/counters')).body).toMatchObject({ accepted: 3, flushed: 3, duplicates: 1 });
  });

  it('keeps as a dead letter what cannot be written, and writes the rest', async () => {
    nothingByItself();
    await view(2);
    await view(3);
    await send('DELETE', '/products/3', undefined, ADA);
    await journal().flush();
    expect(await written(2)).toBe(41);
    expect((await get('/counters')).body).toMatchObject({
      ...{ accepted: 2, pending: 0, flushed: 1, dead: 1 },
      deadLetters: [{ key: 3, op: 'add', by: 1, reason: 'no product 3' }],
    });
    expect((await get('/products/3/views')).status).toBe(404);
    expect((await view(3)).status).toBe(404);
  });

  it('answers who corrects a count when it is written, after all that was accepted before', async () => {
    await times(3, () => view(1));
    expect((await send('PUT', '/products/1/views/5', undefined, BOB)).status).toBe(403);
    expect((await send('PUT', '/products/1/views/5', undefined, ADA)).status).toBe(204);
    expect([await written(1), await shown(1)]).toEqual([5, 5]);
    await view(1);
    await journal().flush();
    expect(await written(1)).toBe(6);
  });

  it('answers 503 to who corrects a count and loses the connection: it may be written, or not', async () => {
    await send('POST', '/database/lose-answers/1');
    const { status, body } = await send('PUT', '/products/1/views/5', undefined, ADA);
    expect([status, body.message]).toEqual([503, 'the connection to the database was lost']);
    expect([await written(1), await shown(1)]).toEqual([5, 5]);
  });

  it('writes what was accepted before the application ends', async () => {
    await times(3, () => view(1));
    const database = app.get(Database);
    const atTheEnd = new Promise<number>((resolve, reject) => {
      const look = () => written(1).then(resolve, reject);
      Object.assign(database, { onApplicationShutdown: look });
    });
    await app.close();
    Object.assign(database, { onApplicationShutdown: () => undefined });
    expect(await atTheEnd).toBe(12 + 3);
  });
});

describe('a transaction', () => {
  const retitle = `UPDATE products SET title = 'Ceylon' WHERE id = 1`;
  const title = async () => (await inTheDatabase('SELECT title FROM products WHERE id = 1'))[0];

  it('is undone as a whole when its work fails', async () => {
    const work = app.get(Database).transaction(async (tx) => {
      await tx.query(retitle);
      await tx.query('SELECT nonsense');
    });
    await expect(work).rejects.toThrow('nonsense');
    expect(await title()).toEqual({ title: 'Assam' });
  });

  it('lets no statement of anybody else in, nor another transaction', async () => {
    const steps: string[] = [];
    const step = async (name: string, work: Promise<unknown>) => {
      await work.catch(() => undefined);
      steps.push(name);
    };
    const database = app.get(Database);
    const failing = database.transaction(async (tx) => {
      await tx.query(retitle);
      await setTimeout(200);
      throw new Error('undo');
    });
    const view = `UPDATE products SET views = views + 1 WHERE id = 1`;
    await Promise.all([
      step('undone', failing),
      step('a statement', inTheDatabase(view)),
      step(
        'a transaction',
        database.transaction((tx) => tx.query(view)),
      ),
    ]);
    expect(steps).toEqual(['undone', 'a statement', 'a transaction']);
    expect(await title()).toEqual({ title: 'Assam' });
    expect(await inTheDatabase('SELECT views FROM products WHERE id = 1')).toEqual([{ views: 14 }]);
  });
});

describe('the guard', () => {
  const retitle = (headers: object) =>
    send('PATCH', '/products/1', { title: 'Darjeeling' }, headers);

  it('asks the database once for a permission that several requests need', async () => {
    const queries = await queriesDuring(async () => {
      for (let i = 0; i < 3; i++) expect((await retitle(ADA)).status).toBe(200);
    });
    expect(queries).toBe(1 + 3);
  });

  it('lets in after a grant and denies after a revoke, at once', async () => {
    const permission = '/users/bob/permissions/catalog:edit';
    expect((await retitle(BOB)).status).toBe(403);
    await send('PUT', permission, undefined, ADA);
    expect((await retitle(BOB)).status).toBe(200);
    await send('DELETE', permission, undefined, ADA);
    expect((await retitle(BOB)).status).toBe(403);
  });

  it('hears of a revoke by hand within seconds, and for an administrator at once', async () => {
    expect((await retitle(ADA)).status).toBe(200);
    await inTheDatabase('DELETE FROM permissions');
    expect((await get('/admin/products/1', ADA)).status).toBe(403);
    clock.skip(3_000);
    expect((await retitle(ADA)).status).toBe(403);
  });

  it('lets nobody in by an old permission when the database does not answer', async () => {
    expect((await retitle(ADA)).status).toBe(200);
    await send('POST', '/database/delay/10000');
    clock.skip(3_000);
    expect((await retitle(ADA)).status).toBe(503);
    expect((await get('/products/1')).status).toBe(200);
  });

  it('keeps tenants apart', async () => {
    expect((await retitle(ADA)).status).toBe(200);
    expect((await retitle({ ...ADA, 'x-tenant': 'other' })).status).toBe(403);
  });

  it('answers 401 to a caller who does not say who it is', async () => {
    expect((await retitle({})).status).toBe(401);
  });
});

describe('a slow database', () => {
  it('refuses an eleventh query while ten hold their connections', async () => {
    await send('POST', '/database/delay/2000');
    // Nobody keeps writes from coming all at once.
    const answers = await times(11, () => send('PATCH', '/profiles/u1', { name: 'Grace' }));
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([...Array<number>(10).fill(204), 503]);
    expect(answers.find(({ status }) => status === 503)!.body.message).toBe(
      'failed to acquire connection within 1000 ms',
    );
    expect((await get('/database')).body).toMatchObject({ refused: 1, connectionsBusy: 0 });
  });

  it('is asked by eight loads at a time, so that writes find a connection', async () => {
    await send('POST', '/database/delay/300');
    const prices = times(20, () => get('/products/1/price'));
    let [most, done] = [0, false];
    void prices.then(() => (done = true));
    while (!done) {
      most = Math.max(most, app.get(Database).state().connectionsBusy);
      await setTimeout(5);
    }
    expect(most).toBe(8);
    expect((await prices).map(({ status }) => status)).toEqual(Array(20).fill(200));
  });

  it('turns loads away when two hundred wait, and says when to try again', async () => {
    await send('POST', '/database/delay/200');
    const answers = await times(300, () => get('/products/1/price'));
    const turnedAway = answers.filter(({ status }) => status !== 200);
    expect(turnedAway.length).toBeGreaterThan(0);
    for (const { status, body, retryAfter } of turnedAway) {
      expect(status).toBe(503);
      expect(body.message).toMatch(/busy.* \d+ ms/);
      expect(Number(retryAfter)).toBeGreaterThanOrEqual(1);
    }
    const { queries, refused } = (await get('/database')).body;
    expect({ queries, refused }).toEqual({ queries: 300 - turnedAway.length, refused: 0 });
  }, 30_000);

  it('is spared by the cache: 50 reads of a product take one of its connections', async () => {
    await send('POST', '/database/delay/1000');
    const answers = await times(50, () => get('/products/1'));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect((await get('/database')).body).toMatchObject({ queries: 1, refused: 0 });
  });

  it('is spared by the journal: 50 views cost a read and a transaction', async () => {
    await send('POST', '/database/delay/500');
    const answers = await times(50, () => send('POST', '/products/1/views'));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    await app.get(EntityCache).journal(ViewCounts).flush();
    expect((await get('/database')).body).toMatchObject({ queries: 2, refused: 0 });
  });

  it('gets its connection back from a load that took too long', async () => {
    await send('POST', '/database/delay/10000');
    const { status, body } = await get('/users/ada/permissions', ADA);
    expect(status).toBe(503);
    expect(body.message).toBe('no answer within 2000 ms');
    expect((await get('/database')).body.connectionsBusy).toBe(0);
  });

  it('takes a connection over as soon as it is free', async () => {
    const queries = await queriesDuring(async () => {
      const answers = await times(30, () => get('/products/1/price'));
      expect(answers.every(({ status }) => status === 200)).toBe(true);
    });
    expect(queries).toBe(30);
  });
});

describe('input that makes no sense', () => {
  it.each([
    ['POST', '/database/delay/-1'],
    ['POST', '/database/delay/NaN'],
    ['POST', '/database/delay/1e3'],
    ['POST', '/database/delay/10001'],
    ['POST', '/database/delay/99999999999999999999'],
    ['POST', '/database/lose-answers/-1'],
    ['PUT', '/products/1/views/-1'],
    ['PUT', '/products/1/views/many'],
    ['GET', '/products/0'],
    ['GET', '/products/-0'],
    ['GET', '/products/one'],
    ['GET', '/products'],
    ['GET', '/products?ids='],
    ['GET', '/products?ids=1,,2'],
    ['GET', '/products?ids=1,two'],
    ['GET', `/products?ids=${Array(101).fill(1).join()}`],
    ['GET', '/admin/products/0'],
    ['GET', '/products/9007199254740993'],
    ['PATCH', '/profiles/u1'],
    ['POST', '/profiles'],
    ['PUT', '/users/bob/permissions/everything'],
  ])('answers 400 to %s %s', async (method, path) => {
    expect((await send(method, path, undefined, ADA)).status).toBe(400);
  });

  it.each([[{ name: '' }], [{ name: '   ' }], [{ name: 7 }], [{ name: 'x'.repeat(101) }]])(
    'answers 400 to a profile with %j',
    async (body) => {
      expect((await send('POST', '/profiles', body)).status).toBe(400);
    },
  );
});
