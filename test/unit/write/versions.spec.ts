import 'reflect-metadata';
import {
  entity,
  EntityCache,
  invalidate,
  onCacheEvent,
  readThrough,
  staleWhileRevalidate,
  writeThrough,
  type Version,
} from 'nestjs-cache-contract';
import { testEngine } from '../../support/engine.js';

interface Row {
  readonly v: Version;
}
const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '1m', jitter: 0, negativeTtl: '5s' }),
  write: writeThrough(),
} as const;
const Rows = entity<Row | null>('row', { ...contract, version: ({ v }) => v });
const Lasting = entity<Row>('lasting', {
  ...contract,
  read: staleWhileRevalidate({ ttl: '1m', staleFor: '10m', jitter: 0 }),
  version: ({ v }) => v,
});

function setUp() {
  const test = testEngine();
  const cache = new EntityCache(test.engine);
  return {
    ...test,
    cache,
    load: (v: Version) => test.read(Rows, 'a', async () => ({ v })) as Promise<Row>,
    held: async () => (await cache.peek(Rows, 'a'))?.v,
  };
}

const kinds: [string, Version, Version][] = [
  ['numbers', 9, 10],
  ['negative numbers and fractions', -1, -0.5],
  ['bigints beyond the safe integers', 2n ** 64n, 2n ** 64n + 1n],
  ['dates', new Date(999), new Date(1_000)],
];

describe.each(kinds)('with versions that are %s', (_, older, newer) => {
  it('never replaces a newer value by an older one that is loaded again', async () => {
    const { read, cache, clock, engine } = setUp();
    const load = (v: Version) => read(Lasting, 'a', async () => ({ v }));
    await load(newer);
    for (const v of [older, newer]) {
      clock.advance(60_000);
      expect(await load(v)).toEqual({ v: newer });
      await engine.background.drain();
      // Refused, so the one that is held stays as old as it was.
      const { softExpiry } = engine.entities.stateOf(Lasting).table.get('a')!;
      expect(softExpiry > clock.monotonic()).toBe(v === newer);
    }
    expect(await cache.peek(Lasting, 'a')).toEqual({ v: newer });
  });

  it('replaces an older value by a newer one', async () => {
    const { clock, load, held } = setUp();
    await load(older);
    clock.advance(60_000);
    await load(newer);
    expect(await held()).toEqual(newer);
  });

  it('hands out what it refuses to store, because its reader asked the source', async () => {
    const { clock, load, held } = setUp();
    const outcomes: string[] = [];
    const stop = onCacheEvent('fill', ({ outcome }) => outcomes.push(outcome));
    await load(newer);
    clock.advance(60_000);
    expect(await load(older)).toEqual({ v: older });
    stop();
    expect(outcomes).toEqual(['stored', 'older version']);
    expect(await held()).toBeUndefined();
  });

  it('leaves nothing where a write brings an older value than the one that is held', async () => {
    const { cache, held, load } = setUp();
    await load(newer);
    await cache.prime(Rows, 'a', async () => ({ v: older }));
    expect(await held()).toBeUndefined();
    await cache.prime(Rows, 'a', async () => ({ v: newer }));
    expect(await held()).toEqual(newer);
  });

  describe('invalidate(entity, key, { atLeast })', () => {
    it('refuses older fills until one comes that is new enough', async () => {
      const { cache, load, held } = setUp();
      await load(older);
      expect(await cache.invalidate(Rows, 'a', { atLeast: newer })).toBe('acknowledged');
      expect(await held()).toBeUndefined();
      expect([await load(older), await held()]).toEqual([{ v: older }, undefined]);
      expect([await load(newer), await held()]).toEqual([{ v: newer }, newer]);
    });

    it('keeps a value that is new enough', async () => {
      const { cache, load, held } = setUp();
      await load(newer);
      await cache.of(Rows).invalidate('a', { atLeast: newer });
      expect(await held()).toEqual(newer);
      await cache.invalidate(Rows, 'a', { atLeast: older });
      expect(await held()).toEqual(newer);
    });

    it('is not lowered by a later one that asks for less', async () => {
      const { cache, load, held } = setUp();
      await cache.invalidate(Rows, 'a', { atLeast: newer });
      await cache.invalidate(Rows, 'a', { atLeast: older });
      await load(older);
      expect(await held()).toBeUndefined();
    });

    it('holds for a write too, and after an ordinary invalidation', async () => {
      const { cache, held } = setUp();
      await cache.invalidate(Rows, 'a', { atLeast: newer });
      await cache.invalidate(Rows, 'a');
      await cache.prime(Rows, 'a', async () => ({ v: older }));
      expect(await held()).toBeUndefined();
    });
  });
});

describe('versions', () => {
  it('give way to an ordinary invalidation, because what is loaded after it is what there is', async () => {
    const { cache, load, held } = setUp();
    await load(2);
    await cache.invalidate(Rows, 'a');
    await load(1);
    expect(await held()).toBe(1);
  });

  it('are of one key each', async () => {
    const { cache, read, load, held } = setUp();
    await cache.invalidate(Rows, 'b', { atLeast: 5 });
    await read(Rows, 'b', async () => ({ v: 9 }));
    await load(1);
    expect(await held()).toBe(1);
  });

  it('are what they were when the value was stored, though a Date can be changed', async () => {
    const { clock, load, held } = setUp();
    const mine = new Date(2_000);
    await load(mine);
    mine.setTime(9_000);
    clock.advance(60_000);
    await load(new Date(3_000));
    expect(await held()).toEqual(new Date(3_000));
  });

  it('of entities without them admit everything', async () => {
    const { cache, read } = setUp();
    const Plain = entity<number>('plain', { ...contract, write: invalidate() });
    await cache.invalidate(Plain, 'a', { atLeast: 5 });
    await read(Plain, 'a', async () => 1);
    expect(await cache.peek(Plain, 'a')).toBe(1);
  });

  it('that nobody remembers any more fall back to what an invalidation promises anyway', async () => {
    const { cache, load, held } = setUp();
    await load(1);
    await cache.invalidate(Rows, 'a', { atLeast: 2 });
    for (let n = 0; n < 10_000; n++) await cache.invalidate(Rows, `other ${n}`, { atLeast: 2 });
    expect(await held()).toBeUndefined();
    await load(1);
    expect(await held()).toBe(1);
  });

  it.each([
    ['NaN', NaN],
    ['an invalid Date', new Date(NaN)],
    ['text', 'v1'],
    ['text that looks like a number, which would compare as text', '10'],
    ['an object', {}],
    ['true', true],
    ['null', null],
    ['a promise', Promise.resolve(1)],
  ])('that are %s are told and treated as none', async (_, v) => {
    const { read, cache, warnings } = setUp();
    const Odd = entity<string>('odd', { ...contract, version: () => v as Version });
    await read(Odd, 'a', async () => 'x');
    expect(await cache.peek(Odd, 'a')).toBe('x');
    expect(warnings).toEqual([expect.stringContaining('CACHE_CALLBACK_FAILED')]);
    expect(warnings[0]).toContain("`version` of 'odd'");
  });

  it('that cannot be told because `version` throws are told and treated as none', async () => {
    const { read, cache, warnings } = setUp();
    const Odd = entity<string>('odd', {
      ...contract,
      version: () => {
        throw new Error('version failed');
      },
    });
    await read(Odd, 'a', async () => 'x');
    expect([await cache.peek(Odd, 'a'), warnings.length]).toEqual(['x', 1]);
  });

  it.each([
    ['NaN', NaN],
    ['an invalid Date', new Date(NaN)],
    ['text', '10'],
    ['null', null],
  ])(
    'asked for with `atLeast` that are %s are refused, because nothing would ever be new enough',
    async (_, v) => {
      const { cache, load, held } = setUp();
      await load(1);
      await expect(cache.invalidate(Rows, 'a', { atLeast: v as Version })).rejects.toMatchObject({
        code: 'CACHE_ARGUMENT_INVALID',
      });
      expect(await held()).toBe(1);
      await cache.invalidate(Rows, 'a');
      await load(1);
      expect(await held()).toBe(1);
    },
  );

  it('are not asked of what there is not', async () => {
    const { read, cache, warnings } = setUp();
    await read(Rows, 'a', async () => null);
    expect([await cache.peek(Rows, 'a'), warnings]).toEqual([null, []]);
  });
});
