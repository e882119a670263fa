import { entity, external, readThrough, type Defined } from 'nestjs-cache-contract';
import { seal } from '../../../lib/entry/seal.js';
import { testEngine } from '../../support/engine.js';

const Things = entity<Defined>('thing', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m' }),
  write: external(),
});

class User {
  constructor(
    readonly id: string,
    readonly password: string,
  ) {}
  greet() {
    return `I am ${this.id}`;
  }
}
class Hidden {
  #content = 1;
  get content() {
    return this.#content;
  }
}
const Rootless = (() => {
  function Rootless() {}
  Rootless.prototype = Object.assign(Object.create(null), { greet: () => 1 }) as object;
  return Rootless as unknown;
})();
const circle: { self?: unknown } = {};
circle.self = circle;
const deep = () => {
  let data: unknown = 1;
  for (let i = 0; i < 10_000; i++) data = [data];
  return data;
};

describe('a value that cannot be kept', () => {
  it.each([
    [
      'a class instance',
      new User('u', 'secret'),
      'it is an instance of User. Fix: return plain data (and Date, Map, Set, bigint, Uint8Array), or give',
    ],
    [
      'an instance under a name that is data',
      { 'ada@example.com': new User('u', 's') },
      'an instance of User at […]',
    ],
    [
      'a class instance inside data',
      { rows: [new User('u', 's')] },
      'an instance of User at rows[0]',
    ],
    ['an instance whose content is private', { it: new Hidden() }, 'an instance of Hidden at it'],
    ['a function', { run: () => 1 }, 'a function at run'],
    ['a symbol', { kind: Symbol('k') }, 'a symbol at kind'],
    ['a field named by a symbol', { [Symbol('k')]: 1 }, 'a field whose name is a symbol'],
    ['a circle', circle, 'a reference to an object that contains it at self'],
    ['data nested without end', deep(), 'data nested deeper than 200 levels'],
    ['an Error', new TypeError('no'), 'an instance of TypeError'],
    ['a URL', { url: new URL('http://localhost') }, 'an instance of URL at url'],
    ['a RegExp', /x/, 'an instance of RegExp'],
    ['a Promise', { later: Promise.resolve(1) }, 'an instance of Promise at later'],
    ['a subclass of Map', new (class Prices extends Map {})(), 'an instance of Prices'],
    ['an array with named fields', Object.assign([1], { total: 1 }), 'an array with named fields'],
    [
      'an instance of a class without a root',
      new (Rootless as new () => object)(),
      'an instance of',
    ],
    ['a boxed number', { n: Object(1) as unknown }, 'an instance of Number at n'],
  ])('is returned as it is, not stored, and told of once: %s', async (_, value, found) => {
    const { read, peek, warnings } = testEngine();
    let runs = 0;
    const load = async () => (runs++, value);
    expect(await read(Things, 'a', load)).toBe(value);
    expect(await read(Things, 'a', load)).toBe(value);
    expect(runs).toBe(2);
    expect(await peek(Things, 'a')).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining('CACHE_VALUE_UNSTORABLE')]);
    expect(warnings[0]).toContain(found);
    expect(warnings[0]).not.toContain('secret');
    expect(warnings[0]).not.toContain('example.com');
  });

  it('is told of when it alone is larger than the table', async () => {
    const Small = entity<string>('small', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '1m', l1: { maxBytes: 2_048 } }),
      write: external(),
    });
    const { read, peek } = testEngine();
    await read(Small, 'big', async () => 'x'.repeat(2_000));
    await read(Small, 'little', async () => 'x'.repeat(20));
    expect(await peek(Small, 'big')).toBeUndefined();
    expect(await peek(Small, 'little')).toBe('x'.repeat(20));
  });
});

describe('revive', () => {
  const Users = entity<User | null>('user', {
    maxStaleness: '1m',
    read: readThrough({ ttl: '1m' }),
    write: external(),
    revive: ({ id, password }: { id: string; password: string }) => new User(id, password),
  });

  it('gives every caller an instance of its own, the one who loaded included', async () => {
    const { read } = testEngine();
    const original = new User('u', 's');
    const calls = [read(Users, 'u', async () => original), read(Users, 'u', async () => original)];
    const users = (await Promise.all([...calls, read(Users, 'u', async () => null)])) as User[];
    for (const user of users) {
      expect(user).toBeInstanceOf(User);
      expect(user.greet()).toBe('I am u');
    }
    expect(new Set([original, ...users]).size).toBe(4);
  });

  it('is not asked about null, and its own failure costs the entry, never the caller', async () => {
    const { read, warnings } = testEngine();
    expect(await read(Users, 'nobody', async () => null)).toBeNull();
    const Broken = entity<User>('broken', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '1m' }),
      write: external(),
      revive: () => {
        throw new Error('cannot');
      },
    });
    const original = new User('u', 's');
    expect(await read(Broken, 'u', async () => original)).toBe(original);
    expect(warnings).toEqual([expect.stringContaining('CACHE_VALUE_UNSTORABLE')]);
  });

  it('refuses what would be lost: an instance inside that keeps nothing in its fields', async () => {
    const { read, warnings } = testEngine();
    const user = Object.assign(new User('u', 's'), { site: new URL('http://localhost') });
    expect(await read(Users, 'u', async () => user)).toBe(user);
    expect(warnings).toEqual([expect.stringContaining('an instance of URL at site')]);
  });
});

describe('what the cache keeps', () => {
  it('shares no memory with the caller, small binaries included', async () => {
    const { read } = testEngine();
    const mine = (await read(Things, 'a', async () => Buffer.from('secret'))) as Buffer;
    new Uint8Array(mine.buffer).fill(120);
    const yours = (await read(Things, 'a', async () => Buffer.from('not asked'))) as Buffer;
    expect(yours.toString()).toBe('secret');
    expect(yours.buffer.byteLength).toBe(6);
  });

  it('is weighed so that an estimate errs upwards, whatever the shape of the data', () => {
    const dictionary = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`key${i}`, i]));
    for (const [value, least] of [
      [10n ** 10_000n, 4_000],
      [dictionary, 40_000],
      [new Set(Array.from({ length: 1_000 }, (_, i) => i)), 30_000],
      ['x'.repeat(1_000), 1_000],
    ] as const) {
      expect(seal(value, false).bytes).toBeGreaterThan(least);
    }
  });

  it('is walked once however often it is mentioned, because mentions multiply', () => {
    let value: unknown = { leaf: true };
    for (let i = 0; i < 100; i++) value = { a: value, b: value };
    expect(seal(value, false).bytes).toBeLessThan(100_000);
  });

  it('is no error that holds on to a whole response', async () => {
    const Rows = entity<string>('row', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '1m' }),
      write: external(),
      absentWhen: () => true,
    });
    const { read, warnings } = testEngine();
    let runs = 0;
    const heavy = Object.assign(new Error('404'), { response: { body: Buffer.alloc(100_000) } });
    const load = async () => {
      runs++;
      throw heavy;
    };
    await expect(read(Rows, 'a', load)).rejects.toBe(heavy);
    await expect(read(Rows, 'a', load)).rejects.toBe(heavy);
    expect(runs).toBe(2);
    expect(warnings[0]).toContain('throw a small error of your own');
  });

  it('costs its entry, and no caller, when revive fails later', async () => {
    let times = 0;
    const Users = entity<User>('user', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '1m' }),
      write: external(),
      revive: ({ id }: { id: string }) => {
        if (++times > 2) throw new Error('revive bug');
        return new User(id, '');
      },
    });
    const { read, peek, warnings } = testEngine();
    await read(Users, 'u', async () => new User('u', ''));
    const again = new User('again', '');
    expect(await read(Users, 'u', async () => again)).toBe(again);
    expect(await peek(Users, 'u')).toBeUndefined();
    expect(warnings[0]).toContain('CACHE_CALLBACK_FAILED');
  });
});

it('keeps data that mentions one object twice, because that is no circle', async () => {
  const { read, peek } = testEngine();
  const shared = { id: 1 };
  await read(Things, 'a', async () => ({ first: shared, list: [shared, shared] }));
  expect(await peek(Things, 'a')).toEqual({ first: { id: 1 }, list: [{ id: 1 }, { id: 1 }] });
});

it('keeps a field named __proto__ a field, because data from outside may hold one', async () => {
  const { read } = testEngine();
  const hostile: unknown = JSON.parse('{"__proto__": {"admin": true}}');
  const answer = (await read(Things, 'a', async () => hostile)) as { admin?: boolean };
  expect(answer.admin).toBeUndefined();
  expect(Object.keys(answer)).toEqual(['__proto__']);
});
