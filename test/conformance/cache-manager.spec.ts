import { jest } from '@jest/globals';
import { createCache } from 'cache-manager';
import { entity, readThrough, writeThrough, type Defined } from 'nestjs-cache-contract';
import { Cache } from 'nestjs-cache-contract/cache-manager';
import { testEngine } from '../support/engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { MemoryStore } from '../support/memory-store/memory-store.js';
import { TroubledStore } from '../support/troubled-store.js';
import { CASES, describeCacheManager } from './cache-manager.js';
import {
  CONTRACT_TTL,
  settled,
  type Case,
  type Options,
  type Subject,
} from './cache-manager/case.js';

const Legacy = entity<Defined>('legacy', {
  maxStaleness: '1h',
  read: readThrough({ ttl: CONTRACT_TTL }),
  write: writeThrough(),
});

const START = Date.UTC(2026, 0, 1);
const ticks = [
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
] as const;

beforeEach(() => void jest.useFakeTimers({ now: START, doNotFake: [...ticks] }));
afterEach(() => void jest.useRealTimers());

function theirs(options: Options): Subject {
  const cache = createCache(options);
  const advance = async (ms: number) => void jest.setSystemTime(Date.now() + ms);
  const { store } = cache.stores[0]!.opts;
  const away = () => Promise.reject(new Error('away'));
  const loseStore = () => void Object.assign(store, { set: away, delete: away });
  const other = createCache({ ...options, stores: cache.stores });
  return { cache, other, advance, loseStore, chance: () => undefined };
}

const ours =
  (isShared: boolean) =>
  ({ ttl, refreshThreshold }: Options): Subject => {
    const clock = new ManualClock();
    const shared = new MemoryStore(clock);
    const store = isShared ? new TroubledStore(shared) : undefined;
    const [cache, other] = [store, isShared ? shared : undefined].map((way) => {
      const { engine } = testEngine(clock, undefined, way);
      return new Cache(engine, Legacy, { ttl, refreshThreshold });
    }) as [Cache, Cache];
    return {
      cache,
      other,
      async advance(ms) {
        jest.setSystemTime(Date.now() + ms);
        clock.advance(ms);
        await settled();
      },
      loseStore: () => store?.has('rejected', ['lease', 'fill', 'fail', 'claim', 'invalidate']),
      chance: (value) => void (clock.chance = value),
    };
  };

const here = ({ gives, differs }: Case) => (differs === undefined ? gives : differs.gives);
const inStore = (of: Case) =>
  of.differs !== undefined && 'inStore' in of.differs ? of.differs.inStore : here(of);

describeCacheManager('cache-manager itself', { create: theirs, expected: ({ gives }) => gives });
describeCacheManager('CACHE_MANAGER in the process', { create: ours(false), expected: here });
describeCacheManager('CACHE_MANAGER in a shared store', { create: ours(true), expected: inStore });

it('has a name of its own for every case', () => {
  const names = Object.values(CASES).flatMap((cases) => cases.map(({ name }) => name));
  expect(new Set(names).size).toBe(names.length);
});
