import { CLEAR_IN_STORE } from './entries.js';
import { outcome, SECOND, settled, type AnyCache, type Case } from './case.js';

/** Everything that is told from now on. */
function told(cache: AnyCache, ...events: string[]): unknown[][] {
  const seen: unknown[][] = [];
  const names =
    events.length > 0
      ? events
      : ['get', 'mget', 'set', 'mset', 'del', 'mdel', 'clear', 'refresh', 'ttl'];
  for (const name of names) {
    cache.on(name as 'get', (about: unknown) => void seen.push([name, about]));
  }
  return seen;
}

const AS_OF_ONE_STORE = {
  what: 'the events `get`, `set` and `ttl`',
  theirs:
    '`get` and `set` name the store, `set` is told once for each store and once more; `ttl` is told',
  ours: 'each call is told once, without `store`; `ttl` is not told',
  why: 'there is one store',
};

/** What is told to listeners. */
export const listeners: readonly Case[] = [
  {
    name: 'tells of what is changed',
    run: async ({ cache }) => {
      const seen = told(cache, 'mset', 'del', 'mdel');
      await cache.mset([{ key: 'a', value: 1 }]);
      await cache.del('a');
      await cache.mdel(['a', 'b']);
      return seen;
    },
    gives: [
      ['mset', { list: [{ key: 'a', value: 1 }] }],
      ['del', { key: 'a' }],
      ['mdel', { keys: ['a', 'b'] }],
    ],
  },
  {
    name: 'tells that it was cleared, or why not',
    run: async ({ cache }) => {
      const seen = told(cache, 'clear');
      await outcome(cache.clear());
      return seen;
    },
    gives: [['clear', undefined]],
    differs: {
      gives: [['clear', undefined]],
      inStore: [['clear', expect.objectContaining({ code: 'CACHE_ARGUMENT_INVALID' })]],
      ...CLEAR_IN_STORE,
    },
  },
  {
    name: 'tells of what is set and found',
    run: async ({ cache }) => {
      const seen = told(cache, 'set', 'get', 'ttl');
      await cache.set('a', 1);
      await cache.get('a');
      await cache.ttl('a');
      return seen;
    },
    gives: [
      ['set', { key: 'a', value: 1, store: 'primary' }],
      ['set', { key: 'a', value: 1 }],
      ['get', { key: 'a', value: 1, store: 'primary' }],
      ['ttl', { key: 'a', value: { value: 1 } }],
    ],
    differs: {
      gives: [
        ['set', { key: 'a', value: 1 }],
        ['get', { key: 'a', value: 1 }],
      ],
      ...AS_OF_ONE_STORE,
    },
  },
  {
    name: 'tells nothing of a get that finds nothing, and of every mget',
    run: async ({ cache }) => {
      const seen = told(cache);
      await cache.get('x');
      await cache.mget(['x', 'y']);
      return seen;
    },
    gives: [['mget', { keys: ['x', 'y'], values: [undefined, undefined] }]],
  },
  {
    name: 'tells that wrap has set what it loaded, and nothing when it was there',
    run: async ({ cache }) => {
      const seen = told(cache);
      await cache.wrap('a', () => 1);
      const loaded = seen.length > 0 && seen.every(([name]) => name === 'set');
      seen.length = 0;
      await cache.wrap('a', () => 2);
      return [loaded, seen];
    },
    gives: [true, []],
  },
  {
    name: 'tells of a refresh with the new value, once it is kept',
    run: async ({ cache, advance }) => {
      let value = 0;
      const call = () => cache.wrap('a', () => ++value, 10 * SECOND, 5 * SECOND);
      await call();
      await advance(6 * SECOND);
      const seen = told(cache, 'refresh');
      let kept: Promise<unknown> | undefined;
      cache.on('refresh', () => void (kept = cache.get('a')));
      await call();
      await settled();
      return [seen, await kept];
    },
    gives: [[['refresh', { key: 'a', value: 2 }]], 2],
  },
  {
    name: 'tells of a refresh that failed with the error and the old value',
    run: async ({ cache, advance }) => {
      const error = new Error('away');
      let runs = 0;
      const load = () => {
        if (++runs > 1) throw error;
        return 'first';
      };
      const call = () => cache.wrap('a', async () => load(), 10 * SECOND, 5 * SECOND);
      await call();
      await advance(6 * SECOND);
      const seen = told(cache);
      await call();
      await settled();
      return seen;
    },
    gives: [['refresh', { key: 'a', value: 'first', error: new Error('away') }]],
  },
  {
    name: 'tells nothing to who has left',
    run: async ({ cache }) => {
      const seen: string[] = [];
      const listener = ({ key }: { key: string }) => void seen.push(key);
      cache.on('del', listener);
      await cache.del('a');
      cache.off('del', listener);
      await cache.del('b');
      return seen;
    },
    gives: ['a'],
  },
  {
    name: 'fails the call whose listener throws',
    run: async ({ cache }) => {
      cache.on('set', () => {
        throw new Error('listener');
      });
      return [await outcome(cache.set('a', 1)), await cache.get('a')];
    },
    gives: ['rejects: listener', 1],
    differs: {
      gives: [1, 1],
      what: 'a listener that throws',
      theirs: 'fails the call, or the process if it was a refresh',
      ours: 'is told as a fault, `CACHE_CALLBACK_FAILED`',
      why: 'who listens must not break who calls',
    },
  },
];
