import { deferred } from '../../support/engine.js';
import { CONTRACT_TTL, counting, MINUTE, outcome, SECOND, settled, type Case } from './case.js';

/** What is loaded, and for how long it is kept. */
export const wrapping: readonly Case[] = [
  {
    name: 'runs the function once, and then answers with what it gave',
    run: async ({ cache }) => {
      const load = counting();
      return [await cache.wrap('a', load), await cache.wrap('a', load), await cache.get('a')];
    },
    gives: [1, 1, 1],
  },
  {
    name: 'runs it once for all who ask meanwhile',
    run: async ({ cache }) => {
      const load = counting();
      const calls = Array.from({ length: 100 }, () => cache.wrap('a', load));
      return [new Set(await Promise.all(calls)).size, load.runs];
    },
    gives: [1, 1],
  },
  {
    name: 'takes a function that returns at once',
    run: ({ cache }) => cache.wrap('a', () => 'x'),
    gives: 'x',
  },
  {
    name: 'answers with what was set',
    run: async ({ cache }) => {
      const load = counting();
      await cache.set('a', 'set');
      return [await cache.wrap<unknown>('a', load), load.runs];
    },
    gives: ['set', 0],
  },
  {
    name: 'rejects with the very error of the function, keeps nothing, and runs it again',
    run: async ({ cache }) => {
      const error = new RangeError('no');
      let runs = 0;
      const load = () => {
        runs++;
        throw error;
      };
      const caught = [];
      for (let i = 0; i < 2; i++) caught.push(await cache.wrap('a', load).catch((e: Error) => e));
      return [caught.every((e) => e === error), runs, await cache.get('a')];
    },
    gives: [true, 2, undefined],
  },
  {
    name: 'does not keep undefined, but null',
    run: async ({ cache }) => {
      const runs = { undefined: 0, null: 0 };
      for (let i = 0; i < 2; i++) {
        await cache.wrap('a', () => void runs.undefined++);
        await cache.wrap('b', () => (runs.null++, null));
      }
      return runs;
    },
    gives: { undefined: 2, null: 1 },
  },
  {
    name: 'keeps for the ttl, given as a number, of the value, or in an object',
    run: async ({ cache, advance }) => {
      await cache.wrap('a', () => 1, SECOND);
      await cache.wrap(
        'b',
        () => 2,
        (value) => value * SECOND,
      );
      await cache.wrap('c', () => 3, { ttl: 3 * SECOND });
      await cache.wrap('d', () => 4, { ttl: (value) => value * SECOND });
      const seen = [];
      for (let i = 0; i < 4; i++) {
        await advance(i === 0 ? 1_001 : SECOND);
        seen.push(await cache.mget(['a', 'b', 'c', 'd']));
      }
      return seen;
    },
    gives: [
      [undefined, 2, 3, 4],
      [undefined, undefined, 3, 4],
      [undefined, undefined, undefined, 4],
      [undefined, undefined, undefined, undefined],
    ],
  },
  {
    name: 'gives the value with its end, loaded or found, if asked for raw',
    run: async ({ cache, advance }) => {
      const load = counting();
      const call = () => cache.wrap('a', load, { ttl: 5 * SECOND, raw: true });
      const loaded = (await call())!;
      const ends = [loaded.expires! - Date.now()];
      await advance(SECOND);
      const found = (await call())!;
      ends.push(found.expires! - Date.now());
      return [loaded.value, found.value, ends];
    },
    gives: [1, 1, [5 * SECOND, 4 * SECOND]],
  },
  {
    name: 'gives no end of what has no ttl',
    run: async ({ cache }) => {
      const raw = () => cache.wrap('a', () => 1, { raw: true });
      return [await raw(), await raw()].map(
        (found) => found!.expires && found!.expires - Date.now(),
      );
    },
    gives: [NaN, undefined],
    differs: {
      gives: [CONTRACT_TTL, CONTRACT_TTL],
      what: '`ttl`, and `wrap` with `raw`, for what has no ttl of its own',
      theirs: '`undefined`, and `NaN` from the call that loads',
      ours: 'the end that the contract sets',
      why: 'everything ends',
    },
  },
  {
    name: 'answers at once with what is near its end, and loads it again behind the caller',
    run: async ({ cache, advance }) => {
      const load = counting();
      const call = () => cache.wrap('a', load, 10 * SECOND, 3 * SECOND);
      const seen = [await call()];
      await advance(6 * SECOND);
      seen.push(await call());
      await settled();
      const early = load.runs;
      await advance(2 * SECOND);
      seen.push(await call());
      await settled();
      seen.push(await call());
      return [seen, early, load.runs, (await cache.ttl('a'))! - Date.now()];
    },
    gives: [[1, 1, 1, 2], 1, 2, 10 * SECOND],
  },
  {
    name: 'loads it again once for many who ask',
    run: async ({ cache, advance }) => {
      const load = counting();
      const call = () => cache.wrap('a', load, { ttl: 10 * SECOND, refreshThreshold: 3 * SECOND });
      await call();
      await advance(8 * SECOND);
      const seen = await Promise.all(Array.from({ length: 20 }, call));
      await settled();
      return [new Set(seen), load.runs, await cache.get('a')];
    },
    gives: [new Set([1]), 2, 2],
  },
  {
    name: 'takes the threshold of the value, or of the options',
    options: { ttl: 10 * SECOND, refreshThreshold: 3 * SECOND },
    run: async ({ cache, advance }) => {
      const [byOptions, byValue] = [counting(), counting()];
      const call = async () => {
        await cache.wrap('a', byOptions);
        await cache.wrap('b', byValue, undefined, (value) => value * SECOND);
        await settled();
      };
      await call();
      await advance(8 * SECOND);
      await call();
      const runs = [byOptions.runs, byValue.runs];
      await advance(1_500);
      await call();
      return [runs, byValue.runs];
    },
    gives: [[2, 1], 2],
  },
  {
    name: 'does not load again what this very call has loaded',
    run: async ({ cache }) => {
      const load = counting();
      await Promise.all([1, 2, 3].map(() => cache.wrap('a', load, SECOND, MINUTE)));
      await settled();
      return load.runs;
    },
    gives: 1,
  },
  {
    name: 'keeps what is there if loading it again fails, and tries at the next call',
    run: async ({ cache, advance }) => {
      let runs = 0;
      const load = async () => {
        if (++runs > 1) throw new Error('away');
        return 'first';
      };
      const call = () => cache.wrap('a', load, 10 * SECOND, 5 * SECOND);
      await call();
      await advance(6 * SECOND);
      const seen = [];
      for (let i = 0; i < 5; i++) {
        seen.push(await call());
        await settled();
      }
      await advance(SECOND);
      await call();
      await settled();
      return [new Set(seen), runs];
    },
    gives: [new Set(['first']), 7],
    differs: {
      gives: [new Set(['first']), 3],
      what: '`wrap` after a refresh has failed',
      theirs: 'asks the source at every call',
      ours: 'leaves it alone for a pause of a quarter second, twice as long with each failure',
      why: 'a source in trouble is not asked by everybody',
    },
  },
  {
    name: 'puts what it loads over what is set meanwhile',
    run: async ({ cache }) => {
      const loading = deferred<string>();
      const call = cache.wrap('a', () => loading.promise);
      await settled();
      await cache.set('a', 'set');
      loading.resolve('loaded');
      return [await call, await cache.get('a')];
    },
    gives: ['loaded', 'loaded'],
    differs: {
      gives: ['loaded', 'set'],
      what: '`set` while `wrap` loads the key',
      theirs: 'is overwritten by what is loaded',
      ours: 'stays',
      why: 'what was read before the write is older',
    },
  },
  {
    name: 'stores what it loads though it is deleted meanwhile, and later callers wait for the same',
    run: async ({ cache }) => {
      const [first, second] = [deferred<string>(), deferred<string>()];
      const call = cache.wrap('a', () => first.promise);
      await settled();
      await cache.del('a');
      const later = cache.wrap('a', () => second.promise);
      first.resolve('old');
      second.resolve('new');
      return [await call, await later, await cache.get('a')];
    },
    gives: ['old', 'old', 'old'],
    differs: {
      gives: ['old', 'new', 'new'],
      what: '`del` while `wrap` loads the key',
      theirs: 'the old value is stored, and later calls get it',
      ours: 'later calls load again, and the old value is not stored',
      why: 'no call that starts after `del` gets a value that was loaded before it',
    },
  },
  {
    name: 'waits for itself where the function asks for its own key',
    run: async ({ cache }) => {
      let answer: unknown = 'never';
      void cache
        .wrap('a', () => cache.wrap('a', () => 'inner'))
        .then((value) => void (answer = value));
      await settled();
      return answer;
    },
    gives: 'never',
    differs: {
      gives: 'inner',
      what: '`wrap` inside `wrap` of the same key',
      theirs: 'never resolves',
      ours: 'runs its function',
      why: 'it would wait for itself',
    },
  },
  {
    name: 'waits for a function however long it takes',
    run: async ({ cache, advance }) => {
      const loading = deferred<string>();
      const call = outcome(cache.wrap('a', () => loading.promise));
      await settled();
      await advance(3_001);
      loading.resolve('late');
      return call;
    },
    gives: 'late',
    differs: {
      gives: 'rejects: CACHE_LOAD_TIMEOUT',
      what: '`wrap` with a function that takes longer than `loadTimeout`, 3 seconds unless the contract says more',
      theirs: 'waits',
      ours: 'rejects with `CACHE_LOAD_TIMEOUT`, and the key is free',
      why: 'whoever joins would get a value as old as the load',
    },
  },
];
