import fc from 'fast-check';
import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { ManualClock } from '../support/manual-clock.js';
import { testEngine } from '../support/engine.js';
import { holds } from '../support/property.js';

const MISSING = new Error('missing');
const Things = entity<number | null>('thing', {
  maxStaleness: '10s',
  read: readThrough({ ttl: '10s', negativeTtl: '4s', jitter: 0.5, l1: { maxEntries: 3 } }),
  write: invalidate(),
  absentWhen: (error) => error === MISSING,
});

const key = fc.integer({ min: 1, max: 5 });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('read' as const), key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('write' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('change elsewhere' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget all' as const), key }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('remove' as const, 'hide' as const), key }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      key: fc.integer({ min: 1, max: 6_000 }),
    }),
  },
);

describe('random histories', () => {
  it('never answer with data older than maxStaleness, nor with data older than a write of this process', async () => {
    await holds(
      fc.asyncProperty(
        fc.array(step, { maxLength: 120 }),
        fc.array(fc.double({ min: 0, max: 0.99, noNaN: true }), { minLength: 1, maxLength: 20 }),
        async (steps, chances) => {
          const clock = new ManualClock();
          const { read, invalidate: drop, invalidateFamily } = testEngine(clock);
          // For each key: its value, and since when; and every value it had, until when.
          const source = new Map<
            number,
            { value: number | null | 'hidden'; past: { value: unknown; until: number }[] }
          >();
          let version = 0;
          const now = () => clock.monotonic();
          const change = (k: number, value: number | null | 'hidden') => {
            const row = source.get(k) ?? { value: null, past: [] };
            row.past.push({ value: row.value, until: now() });
            row.value = value;
            source.set(k, row);
          };
          const load = (k: number) => async () => {
            const value = source.get(k)?.value ?? null;
            if (value === 'hidden') throw MISSING;
            return value;
          };
          for (const [i, { do: action, key: k }] of steps.entries()) {
            clock.chance = chances[i % chances.length]!;
            if (action === 'wait') clock.advance(k);
            else if (action === 'forget all') void invalidateFamily(Things);
            else if (action === 'change elsewhere') change(k, ++version);
            else if (action === 'write') {
              change(k, ++version);
              source.get(k)!.past.length = 0; // after this no older value may be seen at all
              void drop(Things, k);
            } else if (action === 'remove' || action === 'hide')
              change(k, action === 'hide' ? 'hidden' : null);
            else {
              const got = await read(Things, k, load(k)).catch((error: unknown) =>
                error === MISSING ? 'hidden' : Promise.reject(error as Error),
              );
              const row = source.get(k) ?? { value: null, past: [] };
              const allowed = row.past.filter(
                ({ value, until }) =>
                  now() - until < (value === null || value === 'hidden' ? 4_000 : 10_000),
              );
              expect([row.value, ...allowed.map(({ value }) => value)]).toContain(got);
            }
          }
        },
      ),
      500,
    );
  });
});
