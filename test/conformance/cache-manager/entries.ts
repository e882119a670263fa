import { CONTRACT_TTL, outcome, type Case } from './case.js';

const KEY_INVALID = 'rejects: CACHE_KEY_INVALID';

export const CLEAR_IN_STORE = {
  what: '`clear` where processes share the entries in a store',
  theirs: 'removes all keys of the namespace of the Keyv',
  ours: 'clears the entity for all processes where they keep copies of it in front of Redis; else rejects with `CACHE_ARGUMENT_INVALID`',
  why: 'nobody knows all keys of a shared store',
};

const NO_KEY = {
  what: 'a key that is neither text nor a number, such as an object or an array',
  theirs: '`set` rejects with a TypeError, `get` gives `undefined`, or an array of it',
  ours: 'both reject with `CACHE_KEY_INVALID`',
  why: 'a key that cannot be meant is a mistake in reading, too',
};

/** What is set, read and deleted. */
export const entries: readonly Case[] = [
  {
    name: 'gives undefined for what was never set',
    run: ({ cache }) => cache.get('a'),
    gives: undefined,
  },
  {
    name: 'gives what was set, and set resolves to it',
    run: async ({ cache }) => [await cache.set('a', { n: 1 }), await cache.get('a')],
    gives: [{ n: 1 }, { n: 1 }],
  },
  {
    name: 'keeps 0, false, the empty text and null',
    run: async ({ cache }) => {
      const values = [0, false, '', null];
      for (const [i, value] of values.entries()) await cache.set(`${i}`, value);
      return cache.mget(['0', '1', '2', '3']);
    },
    gives: [0, false, '', null],
  },
  {
    name: 'forgets what is set to undefined',
    run: async ({ cache }) => [
      await cache.set('a', 1),
      await cache.set('a', undefined),
      await cache.get('a'),
    ],
    gives: [1, undefined, undefined],
  },
  {
    name: 'overwrites',
    run: async ({ cache }) => [
      await cache.set('a', 1),
      await cache.set('a', 2),
      await cache.get('a'),
    ],
    gives: [1, 2, 2],
  },
  {
    name: 'keeps the last of several that set a key at once',
    run: async ({ cache }) => {
      await Promise.all([1, 2, 3].map((value) => cache.set('a', value)));
      return cache.get('a');
    },
    gives: 3,
  },
  {
    name: 'gives many in the order of their keys, undefined for what is missing',
    run: async ({ cache }) => {
      await cache.mset([
        { key: 'a', value: 1 },
        { key: 'b', value: 2 },
      ]);
      return [await cache.mget(['b', 'x', 'a', 'b']), await cache.mget([])];
    },
    gives: [[2, undefined, 1, 2], []],
  },
  {
    name: 'sets many, and resolves to the list with the times that hold',
    options: { ttl: 5_000 },
    run: ({ cache }) =>
      cache.mset([
        { key: 'a', value: 1 },
        { key: 'b', value: 2, ttl: 7_000 },
      ]),
    gives: [
      { key: 'a', value: 1, ttl: 5_000 },
      { key: 'b', value: 2, ttl: 7_000 },
    ],
  },
  {
    name: 'deletes, and says true for what was not there too',
    run: async ({ cache }) => {
      await cache.set('a', 1);
      return [await cache.del('a'), await cache.get('a'), await cache.del('a')];
    },
    gives: [true, undefined, true],
  },
  {
    name: 'deletes many',
    run: async ({ cache }) => {
      await cache.mset(['a', 'b', 'c'].map((key) => ({ key, value: key })));
      return [await cache.mdel(['a', 'c', 'x']), await cache.mget(['a', 'b', 'c'])];
    },
    gives: [true, [undefined, 'b', undefined]],
  },
  {
    name: 'shows other processes what is set and deleted',
    run: async ({ cache, other, advance }) => {
      const keys = ['a', 'b'];
      await cache.mset(keys.map((key) => ({ key, value: 'old' })));
      const seen = [await other.mget(keys)];
      await cache.set('a', 'new');
      await cache.del('b');
      seen.push(await other.mget(keys));
      await advance(CONTRACT_TTL);
      return [...seen, await other.get('b')];
    },
    gives: [['old', 'old'], ['new', undefined], undefined],
    differs: {
      gives: [[undefined, undefined], [undefined, undefined], undefined],
      inStore: [['old', 'old'], ['old', 'old'], undefined],
      what: '`set` and `del`, seen from another process on the same store',
      theirs: 'are seen by its next call',
      ours: 'may be seen later, at the latest after the `ttl` of the contract; by its next call with [a contract without copies](#where-processes-share-a-store)',
      why: 'a process keeps a copy where `maxStaleness` bears one, and answers from it',
    },
  },
  {
    name: 'clears',
    run: async ({ cache }) => {
      await cache.mset(['a', 'b'].map((key) => ({ key, value: key })));
      return [await outcome(cache.clear()), await cache.mget(['a', 'b'])];
    },
    gives: [true, [undefined, undefined]],
    differs: {
      gives: [true, [undefined, undefined]],
      inStore: ['rejects: CACHE_ARGUMENT_INVALID', ['a', 'b']],
      ...CLEAR_IN_STORE,
    },
  },
  {
    name: 'refuses a number as a key',
    run: async ({ cache }) => [await outcome(cache.set(42 as never, 'x')), await cache.get('42')],
    gives: ['rejects: key.startsWith is not a function', undefined],
    differs: {
      gives: ['x', 'x'],
      what: 'a key that is a number',
      theirs: '`set` rejects with a TypeError, `get` gives `undefined`',
      ours: 'is the key of the same text',
      why: 'as in all entities',
    },
  },
  {
    name: 'takes keys of any text, names of object members included',
    run: async ({ cache }) => {
      const keys = ['__proto__', 'constructor', 'a:b', 'ü/%', ' ', 'x'.repeat(1_000)];
      for (const key of keys) await cache.set(key, key);
      return (await cache.mget(keys)).every((value, i) => value === keys[i]);
    },
    gives: true,
  },
  {
    name: 'takes the empty key',
    run: async ({ cache }) => [await outcome(cache.set('', 1)), await outcome(cache.get(''))],
    gives: [1, 1],
    differs: {
      gives: [KEY_INVALID, KEY_INVALID],
      what: 'a key that is empty',
      theirs: 'is a key',
      ours: 'rejects with `CACHE_KEY_INVALID`',
      why: 'it is a missing one: everybody who misses his own would get the same entry',
    },
  },
  {
    name: 'refuses to set under an object, and finds nothing there',
    run: async ({ cache }) => [
      await outcome(cache.set({ id: 1 } as never, 1)),
      await outcome(cache.get({ id: 1 } as never)),
    ],
    gives: ['rejects: key.startsWith is not a function', undefined],
    differs: { gives: [KEY_INVALID, KEY_INVALID], ...NO_KEY },
  },
  {
    name: 'refuses several keys where one is meant',
    run: async ({ cache }) => {
      const key = ['a', 'b'] as never;
      const changed = [await outcome(cache.set(key, 1)), await outcome(cache.wrap(key, () => 1))];
      const found = [await outcome(cache.get(key)), await outcome(cache.ttl(key))];
      return [...changed, ...found.map((one) => one === KEY_INVALID), await cache.get('a')];
    },
    gives: [
      'rejects: key.startsWith is not a function',
      'rejects: key.startsWith is not a function',
      false,
      false,
      undefined,
    ],
    differs: { gives: [KEY_INVALID, KEY_INVALID, true, true, undefined], ...NO_KEY },
  },
  {
    name: 'holds as much as is set',
    run: async ({ cache }) => {
      const keys = Array.from({ length: 1_100 }, (_, i) => `${i}`);
      await cache.mset(keys.map((key) => ({ key, value: 1 })));
      return (await cache.mget(keys)).filter((value) => value === 1).length;
    },
    gives: 1_100,
    differs: {
      gives: 1_000,
      inStore: 1_100,
      what: 'how many entries the process holds',
      theirs: 'as many as are set, until the memory is full',
      ours: '1000, or `l1: { maxEntries }` of the contract; the least useful one goes',
      why: 'every table is bounded',
    },
  },
  {
    name: 'works without its object',
    run: async ({ cache }) => {
      type Free = (this: void, key: string, value?: unknown) => Promise<unknown>;
      const { get, set, wrap } = cache as unknown as { [call in 'get' | 'set' | 'wrap']: Free };
      return [await set('a', 1), await get('a'), await wrap('b', () => 2)];
    },
    gives: [1, 1, 2],
  },
  {
    name: 'is of use after disconnect, which resolves to nothing',
    run: async ({ cache }) => {
      await cache.set('a', 1);
      return [await cache.disconnect(), await cache.get('a')];
    },
    gives: [undefined, 1],
    differs: {
      gives: [undefined, 1],
      what: '`disconnect`',
      theirs: 'disconnects the stores',
      ours: 'does nothing',
      why: 'the cache belongs to the application, and ends with it',
    },
  },
  {
    name: 'hides that its store takes nothing',
    run: async ({ cache, loseStore }) => {
      await cache.set('a', 1);
      loseStore();
      return [await outcome(cache.set('a', 2)), await cache.get('a'), await cache.del('a')];
    },
    gives: [2, 1, true],
    differs: {
      gives: [2, 2, true],
      inStore: [2, undefined, false],
      what: '`set`, `del` and `mdel` while a shared store takes nothing',
      theirs: 'resolve as if it were done; what is read later may be the old value',
      ours: "`set` resolves to its value, `del` to `false`; nobody in this process gets the old value, and the store is told once it answers. With `onUnacknowledged: 'fail'` in the contract all of them reject",
      why: 'an invalidation is promised when it is done',
    },
  },
  {
    name: 'has an id',
    options: { cacheId: 'mine' },
    run: ({ cache }) => cache.cacheId(),
    gives: 'mine',
    differs: {
      gives: 'legacy',
      what: '`cacheId`',
      theirs: 'chance, or an option',
      ours: 'the name of the entity',
      why: 'that is what keeps its entries apart from others',
    },
  },
  {
    name: 'shows its stores',
    run: ({ cache }) => cache.stores.length,
    gives: 1,
    differs: {
      gives: 0,
      what: '`stores`',
      theirs: 'the Keyv stores',
      ours: 'empty',
      why: 'there is no Keyv; where entries are kept says the contract, and what is read and stored the events',
    },
  },
];
