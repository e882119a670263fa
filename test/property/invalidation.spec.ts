import fc from 'fast-check';
import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { testEngine } from '../support/engine.js';
import { holds } from '../support/property.js';

const Users = entity<number>('user', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '1h' }),
  write: invalidate(),
});

/** Two keys, one hot: enough to meet, and to show that the other one is left alone. */
type Key = 'hot' | 'cold';

describe('invalidation', () => {
  it('is final: no call that starts after it resolved gets a value whose load started before it', async () => {
    await holds(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.constantFrom('hot', 'hot', 'cold'), { minLength: 2, maxLength: 4 }),
        fc.boolean(),
        async (scheduler, reads, wholeFamily) => {
          const { engine, read, invalidate: drop, invalidateFamily } = testEngine();
          // The source is a number per key. A load reads it at some moment of its run, and ends at another.
          const source = { hot: 0, cold: 0 };
          const finished = { hot: 0, cold: 0 };
          const load = (key: Key) => async () => {
            await scheduler.schedule(Promise.resolve(), `load of ${key} reaches the source`);
            const seen = source[key];
            await scheduler.schedule(Promise.resolve(), `load of ${key} returns ${seen}`);
            return seen;
          };
          const reader = async (key: Key, n: number) => {
            for (let i = 0; i < 3; i++) {
              await scheduler.schedule(Promise.resolve(), `reader ${n} calls`);
              const atLeast = finished[key];
              const got = (await read(Users, key, load(key))) as number;
              if (got < atLeast)
                throw new Error(`reader ${n} got ${key}=${got} after ${atLeast} was finished`);
            }
          };
          const writer = async () => {
            for (let i = 1; i <= 2; i++) {
              await scheduler.schedule(Promise.resolve(), 'writer begins');
              source.hot = i;
              await scheduler.schedule(Promise.resolve(), `writer committed ${i}`);
              if (wholeFamily) void invalidateFamily(Users);
              else void drop(Users, 'hot');
              finished.hot = i;
            }
          };
          const all = Promise.all([...reads.map(reader), writer()]);
          await scheduler.waitFor(all);
          // And nothing stale stays behind.
          expect(await read(Users, 'hot', async () => source.hot)).toBe(source.hot);
          expect(engine.background.size).toBe(0);
        },
      ),
      2_000,
    );
  });

  it('lets a caller that was already waiting have its value, but stores it for nobody', async () => {
    const { read, peek, invalidate: drop } = testEngine();
    let answer!: (value: number) => void;
    const waiting = read(Users, 'hot', () => new Promise<number>((resolve) => (answer = resolve)));
    void drop(Users, 'hot');
    const after = read(Users, 'hot', async () => 2);
    answer(1);
    expect(await waiting).toBe(1);
    expect(await after).toBe(2);
    expect(await peek(Users, 'hot')).toBe(2);
  });

  it('leaves other keys of the entity alone, unless it is the whole family', async () => {
    const { read, peek, invalidate: drop, invalidateFamily } = testEngine();
    await read(Users, 'hot', async () => 1);
    await read(Users, 'cold', async () => 1);
    void drop(Users, 'hot');
    expect([await peek(Users, 'hot'), await peek(Users, 'cold')]).toEqual([undefined, 1]);
    void invalidateFamily(Users);
    expect(await peek(Users, 'cold')).toBeUndefined();
  });
});
