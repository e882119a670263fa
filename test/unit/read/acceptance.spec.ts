import {
  entity,
  EntityCache,
  external,
  guarded,
  readThrough,
  staleWhileRevalidate,
  type AnyEntity,
} from 'nestjs-cache-contract';
import { calls } from '../../../lib/read/call-context.js';
import { testEngine } from '../../support/engine.js';

const Inner = entity<number>('inner', {
  maxStaleness: '15m',
  read: readThrough({ ttl: '10s', jitter: 0 }),
  write: external(),
});
const Outer = entity<number>('outer', {
  maxStaleness: '10s',
  read: readThrough({ ttl: '10s', jitter: 0 }),
  write: external(),
});
const Menus = entity<number>('menu', {
  maxStaleness: { normal: '2h', incident: '1d' },
  read: staleWhileRevalidate({ ttl: '1h', staleFor: '1h', staleIfError: '12h', jitter: 0 }),
  write: external(),
});
const Permissions = entity<number>('permission', { ...guarded() });

function accepting(minutes: number) {
  const test = testEngine();
  const acceptsAll = minutes * 60_000;
  return {
    ...test,
    patiently: (of: AnyEntity, key: string, load: () => unknown) =>
      calls.run({ acceptsAll }, () => test.read(of, key, load)),
  };
}

describe('what a request accepts', () => {
  it('never goes beyond the contract, whatever was asked for', async () => {
    const { clock, read, patiently } = accepting(60);
    await read(Outer, 'a', async () => 1);
    await read(Permissions, 'a', async () => 1);
    clock.advance(11_000);
    expect(await patiently(Outer, 'a', async () => 2)).toBe(2);
    expect(await patiently(Permissions, 'a', async () => 2)).toBe(2);
  });

  it('does not get into a value that others share: its load reads as the contracts say', async () => {
    const { clock, read, patiently } = accepting(10);
    await read(Inner, 'a', async () => 1);
    clock.advance(60_000);
    const filled = await patiently(Outer, 'a', () => read(Inner, 'a', async () => 2));
    expect(filled).toBe(2);
  });

  it('is no less in trouble than what everybody gets', async () => {
    const { clock, read, patiently } = accepting(10);
    await read(Menus, 'a', async () => 1);
    clock.advance(3 * 3_600_000);
    const down = () => Promise.reject(new Error('down'));
    expect(await patiently(Menus, 'a', down)).toBe(1);
  });
});

describe('what cannot be kept', () => {
  it.each([
    ['nothing', async () => undefined],
    ['a function', async () => () => 1],
  ])('ends the old value it disproves, or every reader would ask again: %s', async (_, load) => {
    const { clock, read, peek } = testEngine();
    await read(Menus, 'a', async () => 1);
    clock.advance(90 * 60_000);
    expect(await read(Menus, 'a', load)).toBe(1);
    await new Promise(setImmediate);
    expect(await peek(Menus, 'a')).toBeUndefined();
  });
});

it('prime keeps to what its loader says, and to its time', async () => {
  const { clock, engine } = testEngine();
  const cache = new EntityCache(engine);
  await cache.prime(Menus, 'a', async ({ tags, ttl }) => {
    tags('t');
    ttl('5s');
    return 1;
  });
  expect(await cache.peek(Menus, 'a')).toBe(1);
  await cache.invalidateTag('t');
  expect(await cache.peek(Menus, 'a')).toBeUndefined();
  const hanging = cache.prime(Menus, 'b', () => new Promise<number>(() => undefined));
  clock.advance(3_000);
  await expect(hanging).rejects.toMatchObject({ code: 'CACHE_LOAD_TIMEOUT' });
});

it('getMany past the cache asks for each key once', async () => {
  const { engine } = testEngine();
  const cache = new EntityCache(engine);
  const asked: unknown[] = [];
  const values = await cache.context({ bypass: [Inner] }, () =>
    cache.getMany(Inner, ['a', 'a', 'b'], async (missing) => {
      asked.push(missing);
      return missing.map(() => 1);
    }),
  );
  expect([values, asked]).toEqual([[1, 1, 1], [['a', 'b']]]);
});
