import { CONTRACT_TTL, MINUTE, outcome, SECOND, type Case } from './case.js';

const BOUND = {
  what: 'a ttl of 0 or none, or longer than the contract’s',
  theirs: 'for ever, or as long as it says',
  ours: 'the `ttl` of the contract; `CacheManagerModule.register({ ttl })` for calls without one',
  why: 'no answer is older than `maxStaleness`',
};

/** How long what is set is there. */
export const times: readonly Case[] = [
  {
    name: 'keeps a value until its ttl',
    run: async ({ cache, advance }) => {
      await cache.set('a', 1, SECOND);
      await advance(999);
      const before = await cache.get('a');
      await advance(2);
      return [before, await cache.get('a'), await cache.ttl('a')];
    },
    gives: [1, undefined, undefined],
  },
  {
    name: 'has it in the last millisecond',
    run: async ({ cache, advance }) => {
      await cache.set('a', 1, SECOND);
      await advance(SECOND);
      return cache.get('a');
    },
    gives: 1,
    differs: {
      gives: undefined,
      what: 'an entry at the very end of its ttl',
      theirs: 'is there for one millisecond more',
      ours: 'is gone',
      why: 'a ttl is a bound',
    },
  },
  {
    name: 'keeps what is set without a ttl for that of the options',
    options: { ttl: 2 * SECOND },
    run: async ({ cache, advance }) => {
      await cache.set('a', 1);
      await cache.set('b', 2, 5 * SECOND);
      await cache.mset([{ key: 'c', value: 3 }]);
      await cache.wrap('d', () => 4);
      await advance(1_999);
      const before = await cache.mget(['a', 'b', 'c', 'd']);
      await advance(2);
      return [before, await cache.mget(['a', 'b', 'c', 'd'])];
    },
    gives: [
      [1, 2, 3, 4],
      [undefined, 2, undefined, undefined],
    ],
  },
  {
    name: 'takes 0 for no ttl, whatever the options say',
    options: { ttl: 2 * SECOND },
    run: async ({ cache, advance }) => {
      await cache.set('a', 1, 0);
      await advance(CONTRACT_TTL - 1);
      const before = await cache.get('a');
      await advance(2);
      return [before, await cache.get('a')];
    },
    gives: [1, 1],
    differs: { gives: [1, undefined], ...BOUND },
  },
  {
    name: 'keeps what has no ttl, and what has a long one',
    run: async ({ cache, advance }) => {
      await cache.set('a', 1);
      await cache.set('b', 2, 60 * MINUTE);
      await cache.set('c', 3, Infinity);
      await advance(CONTRACT_TTL + 1);
      return cache.mget(['a', 'b', 'c']);
    },
    gives: [1, 2, 3],
    differs: { gives: [undefined, undefined, undefined], ...BOUND },
  },
  {
    name: 'forgets what has expired before it is set',
    run: async ({ cache }) => {
      await cache.set('a', 1);
      await cache.set('a', 2, -1);
      return cache.get('a');
    },
    gives: undefined,
  },
  {
    name: 'does not leave the ttl of a value to the one that replaces it',
    run: async ({ cache, advance }) => {
      await cache.set('a', 1, SECOND);
      await cache.set('a', 2, 3 * SECOND);
      await advance(2 * SECOND);
      return cache.get('a');
    },
    gives: 2,
  },
  {
    name: 'keeps a value whose ttl is text, or not a number',
    run: async ({ cache, advance }) => {
      const calls = ['5s', NaN].map((ttl) => outcome(cache.set('a', 1, ttl as number)));
      const said = await Promise.all(calls);
      await advance(6 * SECOND);
      return [...said, await cache.get('a')];
    },
    gives: [1, 1, 1],
    differs: {
      gives: ['rejects: CACHE_ARGUMENT_INVALID', 'rejects: CACHE_ARGUMENT_INVALID', undefined],
      what: 'a ttl that is no number, such as `NaN`',
      theirs: 'is taken for none: for ever',
      ours: 'rejects with `CACHE_ARGUMENT_INVALID`',
      why: 'it was meant to be something else',
    },
  },
  {
    name: 'says up to when a value is there',
    run: async ({ cache, advance }) => {
      await cache.set('a', 1, 5 * SECOND);
      await advance(SECOND);
      return [(await cache.ttl('a'))! - Date.now(), await cache.ttl('x')];
    },
    gives: [4 * SECOND, undefined],
  },
  {
    name: 'says nothing about the end of what has none',
    run: async ({ cache }) => {
      await cache.set('a', 1);
      const expires = await cache.ttl('a');
      return expires && expires - Date.now();
    },
    gives: undefined,
    differs: { gives: CONTRACT_TTL, ...BOUND },
  },
  {
    name: 'ends entries that were set at once at the same time',
    run: async ({ cache, advance, chance }) => {
      chance(0.99);
      await cache.set('a', 1, 10 * SECOND);
      await advance(9_500);
      return cache.get('a');
    },
    gives: 1,
    differs: {
      gives: undefined,
      what: 'an entry shortly before the end of its ttl',
      theirs: 'is there',
      ours: 'may be gone, up to a tenth earlier: `jitter: 0` keeps it to the end',
      why: 'entries that are filled together should not expire together',
    },
  },
  {
    name: 'keeps null as long as other values',
    run: async ({ cache, advance }) => {
      await cache.set('a', null);
      await advance(11 * SECOND);
      return cache.get('a');
    },
    gives: null,
    differs: {
      gives: undefined,
      what: '`null`',
      theirs: 'is kept like other values',
      ours: 'is kept for `negativeTtl`, 10 seconds unless the contract says more',
      why: 'what was absent may have been created since',
    },
  },
];
