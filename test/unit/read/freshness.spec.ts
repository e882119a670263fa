import {
  bypass,
  entity,
  external,
  readThrough,
  type Defined,
  type ReadThroughOptions,
} from 'nestjs-cache-contract';
import { deferred, testEngine } from '../../support/engine.js';

const make = (options: Omit<ReadThroughOptions, 'ttl'> = {}, more: object = {}) =>
  entity<Defined>('thing', {
    maxStaleness: '1h',
    read: readThrough({ ttl: '10s', jitter: 0, ...options }),
    write: external(),
    ...more,
  });

const oops = () => {
  throw new Error('oops');
};

/** A loader that counts, and answers with the count. */
function counter() {
  const load = async () => ++load.runs;
  load.runs = 0;
  return load;
}

describe('freshness', () => {
  it('serves a value until its ttl and not a millisecond longer', async () => {
    const { clock, read } = testEngine();
    const [Things, load] = [make(), counter()];
    await read(Things, 'a', load);
    clock.advance(9_999);
    expect(await read(Things, 'a', load)).toBe(1);
    clock.advance(1);
    expect(await read(Things, 'a', load)).toBe(2);
  });

  it('counts the ttl from the start of the load, because the value may be that old', async () => {
    const { clock, read } = testEngine();
    const Things = make();
    const source = deferred<string>();
    const first = read(Things, 'a', () => source.promise);
    clock.advance(2_000);
    source.resolve('old');
    await first;
    clock.advance(7_999);
    expect(await read(Things, 'a', async () => 'new')).toBe('old');
    clock.advance(1);
    expect(await read(Things, 'a', async () => 'new')).toBe('new');
  });

  it('takes jitter off the ttl, so the ttl stays a bound', async () => {
    for (const [chance, ttl] of [
      [0, 10_000],
      [0.5, 9_000],
      [0.999999, 8_000],
    ] as const) {
      const { clock, read } = testEngine();
      const [Things, load] = [make({ jitter: 0.2 }), counter()];
      clock.chance = chance;
      await read(Things, 'a', load);
      clock.advance(ttl - 1);
      await read(Things, 'a', load);
      expect(load.runs).toBe(1);
      clock.advance(1);
      await read(Things, 'a', load);
      expect(load.runs).toBe(2);
    }
  });

  it('spreads entries filled together, because together they would expire together', async () => {
    const { clock, read } = testEngine();
    const [Things, load] = [make({ jitter: 0.5 }), counter()];
    for (let i = 0; i < 100; i++) {
      clock.chance = i / 100;
      await read(Things, `k${i}`, load);
    }
    clock.advance(7_500);
    for (let i = 0; i < 100; i++) await read(Things, `k${i}`, load);
    expect(load.runs).toBe(150);
  });

  it.each([0, '', false, null, NaN, 0n])('caches %p, because it is a value', async (value) => {
    const { read } = testEngine();
    const Things = make();
    let runs = 0;
    const load = async () => (runs++, value);
    expect(await read(Things, 'a', load)).toBe(value);
    expect(await read(Things, 'a', load)).toBe(value);
    expect(runs).toBe(1);
  });

  it('never caches undefined, because nothing was said', async () => {
    const { read } = testEngine();
    const Things = make();
    let runs = 0;
    const load = async () => void runs++;
    expect(await read(Things, 'a', load)).toBeUndefined();
    expect(await read(Things, 'a', load)).toBeUndefined();
    expect(runs).toBe(2);
  });
});

describe('absence', () => {
  const missing = new Error('not found');

  it('believes null for its own shorter time', async () => {
    const { clock, read } = testEngine();
    const Things = make({ negativeTtl: '2s' });
    expect(await read(Things, 'a', async () => null)).toBeNull();
    clock.advance(1_999);
    expect(await read(Things, 'a', async () => 'created')).toBeNull();
    clock.advance(1);
    expect(await read(Things, 'a', async () => 'created')).toBe('created');
  });

  it('throws the remembered error that means absence, and asks again after negativeTtl', async () => {
    const { clock, read, peek } = testEngine();
    const Things = make({ negativeTtl: '2s' }, { absentWhen: (e: unknown) => e === missing });
    let runs = 0;
    const load = async () => {
      runs++;
      throw missing;
    };
    await expect(read(Things, 'a', load)).rejects.toBe(missing);
    await expect(read(Things, 'a', load)).rejects.toBe(missing);
    expect(runs).toBe(1);
    expect(await peek(Things, 'a')).toBeUndefined();
    clock.advance(2_000);
    await expect(read(Things, 'a', load)).rejects.toBe(missing);
    expect(runs).toBe(2);
  });

  it.each([
    ['throws', oops],
    ['returns a promise', async () => true],
    ['returns what only looks true', () => 1],
  ])('treats an error as a failure when absentWhen %s, and tells of it once', async (_, says) => {
    const { read, warnings } = testEngine();
    const Things = make({}, { absentWhen: says });
    let runs = 0;
    const load = () => {
      runs++;
      return Promise.reject(missing);
    };
    await expect(read(Things, 'a', load)).rejects.toBe(missing);
    await expect(read(Things, 'a', load)).rejects.toBe(missing);
    expect(runs).toBe(2);
    expect(warnings).toEqual([expect.stringContaining("absentWhen of 'thing' threw, or returned")]);
  });
});

describe('a full table', () => {
  it('keeps what is read again and again, and lets go of what was read once', async () => {
    const { read, peek } = testEngine();
    const Things = make({ l1: { maxEntries: 10 } });
    for (let i = 0; i < 100; i++) {
      await read(Things, 'hot', async () => 'hot');
      await read(Things, `once${i}`, async () => i);
    }
    expect(await peek(Things, 'hot')).toBe('hot');
    expect(await peek(Things, 'once0')).toBeUndefined();
    expect(await peek(Things, 'once99')).toBe(99);
  });
});

describe('peek', () => {
  it('answers from the cache and never loads', async () => {
    const { clock, read, peek } = testEngine();
    const Things = make();
    expect(await peek(Things, 'a')).toBeUndefined();
    await read(Things, 'a', async () => 'here');
    expect(await peek(Things, 'a')).toBe('here');
    clock.advance(10_000);
    expect(await peek(Things, 'a')).toBeUndefined();
  });
});

describe('bypass', () => {
  it('asks the source at every call and joins nobody, because each call wants the truth of its own moment', async () => {
    const { read, peek } = testEngine();
    const Prices = entity<number>('price', { maxStaleness: 0, read: bypass(), write: external() });
    const load = counter();
    const answers = await Promise.all([read(Prices, 'a', load), read(Prices, 'a', load)]);
    expect(answers).toEqual([1, 2]);
    expect(await peek(Prices, 'a')).toBeUndefined();
  });
});
