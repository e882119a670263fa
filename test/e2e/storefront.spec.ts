import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { AppModule } from '../../sample/src/app.module.js';

let app: INestApplication;
let url: string;

beforeEach(async () => {
  const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
  app = module.createNestApplication();
  await app.listen(0, '127.0.0.1');
  url = await app.getUrl();
});
afterEach(() => app.close());

const ADA = { 'x-tenant': 'acme', 'x-user': 'ada' };
const BOB = { 'x-tenant': 'acme', 'x-user': 'bob' };

async function send(method: string, path: string, body?: object, headers = {}) {
  const response = await fetch(url + path, {
    method,
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}
const get = (path: string, headers = {}) => send('GET', path, undefined, headers);

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
  ])('answers two reads of %s with one query', async (_, path, expected) => {
    const queries = await queriesDuring(async () => {
      expect(await get(path)).toEqual({ status: 200, body: expected });
      expect(await get(path)).toEqual({ status: 200, body: expected });
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
    ['product, told by an error', '/products/99'],
    ['product of a view count', '/products/99/views'],
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

  it('shows a renamed category in all of its products', async () => {
    await get('/products/1');
    await get('/products/2');
    await send('PATCH', '/categories/tea', { name: 'leaves' }, ADA);
    expect((await get('/products/1')).body.category).toBe('leaves');
    expect((await get('/products/2')).body.category).toBe('leaves');
  });

  it('writes each view to the database, and lets the count that is read lag behind', async () => {
    await get('/products/3/views');
    const queries = await queriesDuring(() => times(5, () => send('POST', '/products/3/views')));
    expect(queries).toBe(5);
    expect(await queriesDuring(() => get('/products/3/views'))).toBe(0);
  });

  it.each([
    ['PATCH', '/profiles/u99', { name: 'Nobody' }],
    ['PATCH', '/products/99', { title: 'Nothing' }],
    ['POST', '/products/99/views', undefined],
  ])('answers 404 to a write of something unknown: %s %s', async (method, path, body) => {
    expect((await send(method, path, body, ADA)).status).toBe(404);
  });
});

describe('the guard', () => {
  const retitle = (headers: object) =>
    send('PATCH', '/products/1', { title: 'Darjeeling' }, headers);

  it('asks the database once for a permission that several requests need', async () => {
    const queries = await queriesDuring(async () => {
      for (let i = 0; i < 3; i++) expect((await retitle(ADA)).status).toBe(204);
    });
    expect(queries).toBe(1 + 3);
  });

  it('lets in after a grant and denies after a revoke, at once', async () => {
    const permission = '/users/bob/permissions/catalog:edit';
    expect((await retitle(BOB)).status).toBe(403);
    await send('PUT', permission, undefined, ADA);
    expect((await retitle(BOB)).status).toBe(204);
    await send('DELETE', permission, undefined, ADA);
    expect((await retitle(BOB)).status).toBe(403);
  });

  it('keeps tenants apart', async () => {
    expect((await retitle(ADA)).status).toBe(204);
    expect((await retitle({ ...ADA, 'x-tenant': 'other' })).status).toBe(403);
  });

  it('answers 401 to a caller who does not say who it is', async () => {
    expect((await retitle({})).status).toBe(401);
  });
});

describe('a slow database', () => {
  it('refuses an eleventh query while ten hold their connections', async () => {
    await send('POST', '/database/delay/2000');
    const answers = await times(11, () => get('/products/1/price'));
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([...Array<number>(10).fill(200), 503]);
    expect(answers.find(({ status }) => status === 503)!.body.message).toBe(
      'failed to acquire connection within 1000 ms',
    );
    expect((await get('/database')).body).toMatchObject({ refused: 1, connectionsBusy: 0 });
  });

  it('is spared by the cache: 50 reads of a product take one of its connections', async () => {
    await send('POST', '/database/delay/1000');
    const answers = await times(50, () => get('/products/1'));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect((await get('/database')).body).toMatchObject({ queries: 1, refused: 0 });
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
    ['GET', '/products/0'],
    ['GET', '/products/-0'],
    ['GET', '/products/one'],
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
