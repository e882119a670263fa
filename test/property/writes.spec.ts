import fc from 'fast-check';
import { entity, EntityCache, readThrough, writeThrough } from 'nestjs-cache-contract';
import { testEngine } from '../support/engine.js';
import { holds } from '../support/property.js';

const make = (maxEntries: number) =>
  entity<number>('user', {
    maxStaleness: '1h',
    read: readThrough({ ttl: '1h', l1: { maxEntries } }),
    write: writeThrough(),
  });

/** What goes on beside the writers and readers. */
const beside = fc.subarray(['an eviction', 'an invalidation', 'a failing write'] as const);
/** How a writer learns its key: from its arguments, or from what it wrote. */
const writers = fc.array(fc.constantFrom('key', 'keyOf'), { minLength: 2, maxLength: 3 });

describe('write-through', () => {
  it('leaves the newer value or none, never the older, on every interleaving of writers, loads, evictions and invalidations', async () => {
    await holds(
      fc.asyncProperty(
        fc.scheduler(),
        writers,
        fc.integer({ min: 1, max: 2 }),
        beside,
        async (scheduler, kinds, readers, also) => {
          const { engine, peek, read } = testEngine();
          const Users = make(also.includes('an eviction') ? 1 : 10);
          const cache = new EntityCache(engine);
          const state = engine.entities.stateOf(Users);
          const step = (name: string) => scheduler.schedule(Promise.resolve(), name);
          // The source is the number of the last commit; `settled` the newest one that a writer has told its caller of.
          let [source, settled] = [0, 0];
          const commit = async (name: string, answerIsLost = false) => {
            await step(`${name} reaches the source`);
            const mine = ++source;
            await step(`${name} committed ${mine}`);
            // eslint-disable-next-line @typescript-eslint/only-throw-error
            if (answerIsLost) throw mine;
            return mine;
          };
          const write = async (name: string, kind: string) => {
            await step(`${name} begins`);
            const token = engine.writer.begin(state, kind === 'key' ? 'hot' : undefined, undefined);
            const mine = await commit(name);
            void engine.writer.stored(token, 'hot', mine);
            settled = Math.max(settled, mine);
          };
          const load = async () => {
            await step('a load reaches the source');
            const seen = source;
            await step(`a load returns ${seen}`);
            return seen;
          };
          const reader = async (name: string) => {
            for (let i = 0; i < 3; i++) {
              await step(`${name} calls`);
              const atLeast = settled;
              const got = (await read(Users, 'hot', load)) as number;
              if (got < atLeast) throw new Error(`${name} got ${got} after ${atLeast} had settled`);
            }
          };
          const disturb = {
            'an eviction': async () => {
              await step('another key takes the place');
              await read(Users, 'cold', async () => -1);
            },
            'an invalidation': async () => {
              await step('an invalidation');
              const atLeast = source;
              await cache.invalidate(Users, 'hot');
              settled = Math.max(settled, atLeast);
            },
            'a failing write': async () => {
              await step('a failing write begins');
              const failing = engine.writer.begin(state, 'hot', undefined);
              const lost = await commit('a failing write', true).catch((n: number) => n);
              void engine.writer.failed(failing);
              settled = Math.max(settled, lost);
            },
          };
          await scheduler.waitFor(
            Promise.all([
              ...kinds.map((kind, n) => write(`writer ${n} (${kind})`, kind)),
              ...Array.from({ length: readers }, (_, n) => reader(`reader ${n}`)),
              ...also.map((what) => disturb[what]()),
            ]),
          );
          expect([undefined, source]).toContain(await peek(Users, 'hot'));
          expect(await read(Users, 'hot', async () => source)).toBe(source);
          expect([engine.background.size, state.tickets['open'].size]).toEqual([0, 0]);
        },
      ),
      3_000,
    );
  });

  it('stores what was written alone, on every interleaving with readers: none of them misses what was held', async () => {
    await holds(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 3 }),
        async (scheduler, readers) => {
          const { engine, read } = testEngine();
          const Users = make(10);
          const cache = new EntityCache(engine);
          const step = (name: string) => scheduler.schedule(Promise.resolve(), name);
          let loads = 0;
          const load = async () => ++loads;
          await cache.prime(Users, 'hot', async () => 0);
          const writer = async () => {
            for (let i = 1; i <= 2; i++) {
              await cache.prime(Users, 'hot', async () => {
                await step(`write ${i} commits`);
                return i;
              });
            }
          };
          const reader = async (n: number) => {
            let last = 0;
            for (let i = 0; i < 3; i++) {
              await step(`reader ${n} calls`);
              const got = (await read(Users, 'hot', load)) as number;
              if (got < last) throw new Error(`reader ${n} got ${got} after ${last}`);
              last = got;
            }
          };
          const all = Array.from({ length: readers }, (_, n) => reader(n));
          await scheduler.waitFor(Promise.all([writer(), ...all]));
          expect([await read(Users, 'hot', load), loads]).toEqual([2, 0]);
        },
      ),
      500,
    );
  });
});
