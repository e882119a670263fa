import 'reflect-metadata';
import { request as send } from 'node:http';
import type { INestApplication } from '@nestjs/common';
import { onCacheEvent, type CacheEvents } from 'nestjs-cache-contract';
import { PLACES, Source } from './apps/places.js';
import { PLATFORMS, serve, start } from './apps/start.js';

type Heard = { name: 'miss' | 'hit' | 'load' } & CacheEvents['miss' | 'hit' | 'load'];
let heard: Heard[] = [];
const stops: (() => void)[] = [];
beforeEach(() => {
  heard = [];
  for (const name of ['miss', 'hit', 'load'] as const) {
    stops.push(onCacheEvent(name, (event) => heard.push({ name, ...event })));
  }
});
afterEach(() => stops.splice(0).forEach((stop) => stop()));

const requests = () => [...new Set(heard.map(({ request }) => request))];
/** Guard, pipe and handler each miss and load an entry of their own; the first loads what the others then hit. */
const ALL = 10;

describe.each(PLATFORMS)('on %s', (platform) => {
  it.each([
    ['promise', 'promise'],
    ['of', 'of'],
    ['defer', 'defer'],
    ['promised-observable', 'promisedObservable'],
    ['sse', 'sse'],
  ])(
    'runs guard, pipe and a handler like %s within the context of the request, so that what they cause can be told',
    async (path, method) => {
      const { url } = await serve(platform, PLACES);
      const answer = await (await fetch(`${url}/${path}/a`)).text();
      expect(answer).toContain('a in the handler');
      expect(requests()).toEqual([expect.any(Number)]);
      const handler = `Places.${method}`;
      expect(heard.map(({ name, entity, handler }) => [name, entity, handler])).toEqual([
        ['miss', 'guarded', undefined],
        ['miss', 'shared', undefined],
        ['load', 'shared', undefined],
        ['load', 'guarded', undefined],
        ['miss', 'piped', handler],
        ['hit', 'shared', handler],
        ['load', 'piped', handler],
        ['miss', 'handled', handler],
        ['hit', 'shared', handler],
        ['load', 'handled', handler],
      ]);
    },
  );

  it.each<[string, string, (app: INestApplication) => void]>([
    ['a global prefix', '/api/promise/a', (app) => app.setGlobalPrefix('api')],
    ['a global prefix, at its root', '/api', (app) => app.setGlobalPrefix('api')],
    ['no prefix, at the root', '/', () => undefined],
    [
      'a global prefix that leaves the route out',
      '/promise/a',
      (app) => app.setGlobalPrefix('api', { exclude: ['promise/:id'] }),
    ],
  ])(
    'opens the context for guards with %s, because every route is covered',
    async (_, path, prepare) => {
      const { url } = await serve(platform, PLACES, prepare);
      expect((await fetch(url + path)).status).toBe(200);
      expect(heard.filter(({ entity }) => entity === 'guarded')).toHaveLength(2);
      expect(requests()).toEqual([expect.any(Number)]);
    },
  );

  it('keeps the context while a body arrives in pieces, because guards run after it was read', async () => {
    const { app, url } = await serve(platform, PLACES);
    const body = JSON.stringify({ text: 'hello' });
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const outgoing = send(`${url}/body/a`, { method: 'POST', headers });
    app.getHttpServer().once('request', () => setImmediate(() => outgoing.end(body.slice(5))));
    outgoing.write(body.slice(0, 5));
    const status = await new Promise((resolve, reject) => {
      outgoing.on('error', reject).on('response', (response) => {
        response.resume().on('end', () => resolve(response.statusCode));
      });
    });
    expect(status).toBe(201);
    expect(heard).toHaveLength(ALL);
    expect(requests()).toEqual([expect.any(Number)]);
  });

  it('does not mix the contexts of a hundred requests, though all are under way at once', async () => {
    const { app, url } = await serve(platform, PLACES);
    const ids = Array.from({ length: 100 }, (_, index) => `request-${index}`);
    const arrived = new Set<string>();
    let open!: () => void;
    const everybodyIsHere = new Promise<void>((resolve) => (open = resolve));
    app.get(Source).arrival = async (id) => {
      if (arrived.add(id).size === ids.length) open();
      await everybodyIsHere;
    };
    await Promise.all(ids.map(async (id) => (await fetch(`${url}/defer/${id}`)).text()));
    expect(heard).toHaveLength(ALL * ids.length);
    const requestsOf = new Map<string, Set<number | undefined>>();
    for (const { entry, request } of heard.filter(({ entity }) => entity === 'shared')) {
      requestsOf.set(entry, (requestsOf.get(entry) ?? new Set()).add(request));
    }
    // Guard, pipe and handler of a request ask for one shared entry: it knows one number.
    expect([...requestsOf.values()].map(({ size }) => size)).toEqual(ids.map(() => 1));
    expect(requests()).toHaveLength(ids.length);
  });
});

it('caches without a server as well, where no event names a request', async () => {
  const module = await start({ providers: [Source] });
  expect(await module.get(Source).handled('a')).toBe('a in the handler');
  expect(heard.map(({ request, handler }) => [request, handler])).toEqual(
    Array(4).fill([undefined, undefined]),
  );
});
