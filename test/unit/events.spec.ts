import { jest } from '@jest/globals';
import {
  entity,
  external,
  onCacheEvent,
  readThrough,
  type CacheEventName,
  type Defined,
} from 'nestjs-cache-contract';
import { channels } from '../../lib/events/events.js';
import { deferred, testEngine } from '../support/engine.js';

const MISSING = new Error('missing');
const Things = entity<Defined>('thing', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '10s', jitter: 0, loadTimeout: '2s', l1: { maxEntries: 2 } }),
  write: external(),
  absentWhen: (error) => error === MISSING,
});

/** Hears everything, in order. */
function listen() {
  const heard: { name: CacheEventName; [field: string]: unknown }[] = [];
  const ends = (Object.keys(channels) as CacheEventName[]).map((name) =>
    onCacheEvent(name, (event) => heard.push({ name, ...event })),
  );
  return {
    heard,
    names: () => heard.map(({ name }) => name),
    end: () => ends.forEach((end) => end()),
  };
}

describe('events', () => {
  let ear: ReturnType<typeof listen>;
  beforeEach(() => (ear = listen()));
  afterEach(() => ear.end());

  it('tells every outcome of a read', async () => {
    const { clock, read, invalidate } = testEngine();
    const source = deferred<number>();
    const first = read(Things, 'a', () => source.promise);
    const second = read(Things, 'a', () => source.promise);
    clock.advance(30);
    source.resolve(1);
    await Promise.all([first, second]);
    expect(ear.names()).toEqual(['miss', 'miss', 'join', 'load', 'fill']);
    expect(ear.heard[0]).toMatchObject({ namespace: 'test', entity: 'thing', reason: 'absent' });
    expect(ear.heard[3]).toMatchObject({ outcome: 'loaded', loadMs: 30 });
    expect(ear.heard[4]).toMatchObject({ outcome: 'stored' });
    ear.heard.length = 0;
    clock.advance(50);
    await read(Things, 'a', async () => 2);
    expect(ear.heard).toEqual([
      expect.objectContaining({ name: 'hit', ageMs: 80, savedMs: 30, absent: false }),
    ]);
    ear.heard.length = 0;
    clock.advance(10_000);
    await read(Things, 'a', async () => 2);
    expect(ear.heard[0]).toMatchObject({ name: 'miss', reason: 'expired' });
    ear.heard.length = 0;
    void invalidate(Things, 'a');
    expect(ear.heard).toEqual([expect.objectContaining({ name: 'invalidate', held: 1 })]);
  });

  it.each([
    ['loaded', async () => 1],
    ['absent', async () => null],
    ['absent', () => Promise.reject(MISSING)],
    ['undefined', async () => undefined],
    ['failed', () => Promise.reject(new Error('down'))],
  ])('tells how a load ended: %s', async (outcome, load) => {
    const { read } = testEngine();
    await read(Things, 'a', load).catch(() => undefined);
    expect(ear.heard.filter(({ name }) => name === 'load')).toEqual([
      expect.objectContaining({ outcome }),
    ]);
  });

  it('tells of a load that timed out', async () => {
    const { clock, read } = testEngine();
    const call = read(Things, 'a', () => new Promise(() => undefined)).catch(() => undefined);
    clock.advance(2_000);
    await call;
    expect(ear.heard.find(({ name }) => name === 'load')).toMatchObject({
      outcome: 'timed out',
      loadMs: 2_000,
    });
  });

  it('tells of a value that was not stored because its key was invalidated meanwhile', async () => {
    const { read, invalidate } = testEngine();
    const source = deferred<number>();
    const call = read(Things, 'a', () => source.promise);
    void invalidate(Things, 'a');
    source.resolve(1);
    await call;
    expect(ear.heard.at(-1)).toMatchObject({ name: 'fill', outcome: 'invalidated meanwhile' });
  });

  it('tells of an eviction and of an absorbed fault', async () => {
    const { read } = testEngine();
    for (const key of ['a', 'b', 'c']) await read(Things, key, async () => key);
    expect(ear.names()).toContain('evict');
    await read(Things, 'd', async () => () => 'a function');
    expect(ear.heard.at(-2)).toMatchObject({ name: 'fault', code: 'CACHE_VALUE_UNSTORABLE' });
    expect(ear.heard.at(-1)).toMatchObject({ name: 'fill', outcome: 'unstorable' });
  });

  it('never shows a key or a value, and ties together what is about one entry', async () => {
    const { read, invalidate } = testEngine();
    await read(Things, 'ada@example.org', async () => ({ password: 'hunter2' }));
    await read(Things, 'ada@example.org', async () => 'unused');
    await read(Things, 'bob@example.org', async () => new (class Secret {})());
    void invalidate(Things, 'ada@example.org');
    const told = JSON.stringify(ear.heard);
    expect(told).not.toContain('example.org');
    expect(told).not.toContain('hunter2');
    const entries = ear.heard.map(({ entry }) => entry).filter(Boolean);
    expect(new Set(entries).size).toBe(2);
  });
});

it('builds no event when nobody listens', async () => {
  const { engine, read } = testEngine();
  const built = jest.spyOn(engine.events, 'ofEntry');
  await read(Things, 'a', async () => 1);
  await read(Things, 'a', async () => 2);
  expect(built).not.toHaveBeenCalled();
});

it.each([
  [
    'a name it does not know',
    ['hits', () => undefined],
    /got 'hits' \(string\)\. Fix: write onCacheEvent\('hit'/,
  ],
  ['no listener', ['hit'], /expected a listener, got undefined/],
])('refuses %s, before it could harm anybody', (_, given, message) => {
  const listen_ = onCacheEvent as (...args: unknown[]) => unknown;
  expect(() => listen_(...given)).toThrow(message);
});
