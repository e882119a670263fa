import { outcome, type Case } from './case.js';

class Account {
  cents = 5;
  isEmpty(): boolean {
    return this.cents === 0;
  }
}

/** Made before a test stops the time: a Date of its own kind. */
const AT = new Date(0);

/** What becomes of values that are more than text and numbers. */
export const values: readonly Case[] = [
  {
    name: 'gives plain data, Date, Map, Set and binary as they were',
    run: async ({ cache }) => {
      const value = {
        at: AT,
        map: new Map([['a', [1, 2]]]),
        set: new Set([1]),
        bytes: new Uint8Array([1, 2]),
        big: 10n,
      };
      await cache.set('a', value);
      const again = await cache.get<typeof value>('a');
      return [
        again!.at.getTime(),
        again!.map.get('a'),
        again!.set.has(1),
        again!.bytes[1],
        again!.big,
      ];
    },
    gives: [0, [1, 2], true, 2, 10n],
  },
  {
    name: 'keeps the object itself: who changes it after set changes what is cached',
    run: async ({ cache }) => {
      const value = { n: 1 };
      await cache.set('a', value);
      value.n = 2;
      return cache.get('a');
    },
    gives: { n: 2 },
    differs: {
      gives: { n: 1 },
      what: '`set`, and the object is changed afterwards',
      theirs: 'changes what is cached, in memory; not in Redis',
      ours: 'what is cached is a copy',
      why: 'what a caller gets does not depend on where it is kept',
    },
  },
  {
    name: 'gives the object itself: who changes it changes what others get',
    run: async ({ cache }) => {
      await cache.set('a', { n: 1 });
      const got = await cache.get<{ n: number }>('a');
      const change = async () => void (got!.n = 2);
      const said = (await outcome(change())) === undefined ? 'changed' : 'refused';
      return [said, await cache.get('a')];
    },
    gives: ['changed', { n: 2 }],
    differs: {
      gives: ['refused', { n: 1 }],
      what: 'a value from `get`, `mget` or `wrap` that is changed',
      theirs: 'is changed for everybody, in memory',
      ours: 'plain data is frozen: changing it throws; what holds a Date, Map, Set or binary is a copy',
      why: 'one request must not change what another gets',
    },
  },
  {
    name: 'gives instances of classes with their methods',
    run: async ({ cache }) => {
      const set = await cache.set('a', new Account());
      const got = await cache.get<Account>('a');
      return [set.isEmpty(), got?.isEmpty()];
    },
    gives: [false, false],
    differs: {
      gives: [false, undefined],
      what: 'an instance of a class, a function',
      theirs: 'is kept as it is in memory; Redis returns what JSON makes of it',
      ours: 'is returned and not kept, and a warning says so; instances are kept if the contract has `revive`',
      why: 'a store would lose its methods, and what its class hides',
    },
  },
  {
    name: 'refuses a symbol',
    run: async ({ cache }) => [
      await outcome(cache.set('a', Symbol.iterator)),
      await cache.get('a'),
    ],
    gives: ['rejects: symbol cannot be serialized', undefined],
    differs: {
      gives: [Symbol.iterator, undefined],
      what: 'a symbol',
      theirs: '`set` rejects',
      ours: 'is returned and not kept, and a warning says so',
      why: 'a value that cannot be kept is not the caller’s fault',
    },
  },
  {
    name: 'keeps an object that holds itself',
    run: async ({ cache }) => {
      const value: { self?: unknown } = {};
      value.self = value;
      const set = await cache.set('a', value);
      return [set === value, typeof (await cache.get('a'))];
    },
    gives: [true, 'object'],
    differs: {
      gives: [true, 'undefined'],
      what: 'an object that holds itself',
      theirs: 'is kept in memory',
      ours: 'is returned and not kept, and a warning says so',
      why: 'what is kept does not depend on where',
    },
  },
  {
    name: 'keeps a value of five million characters',
    run: async ({ cache }) => {
      await cache.set('a', 'x'.repeat(5_000_000));
      return typeof (await cache.get('a'));
    },
    gives: 'string',
    differs: {
      gives: 'string',
      inStore: 'undefined',
      what: 'a value of more than 4 MiB, where processes share the entries in a store',
      theirs: 'is kept, if the store takes it',
      ours: 'is returned and not kept; the event `fill` says `too large`',
      why: 'it would hold up what others ask of the store',
    },
  },
];
