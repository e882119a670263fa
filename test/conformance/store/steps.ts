import fc from 'fast-check';
import type { EntryName } from '../../../lib/store/cache-store.js';

/** Who does something: by which process, to which entry. Most of it meets on one. */
const actor = {
  from: fc.constantFrom('store' as const, 'other' as const),
  on: fc.constantFrom(0, 0, 0, 1),
};
/** Counted back from the newest one: copies of what was sent long ago come as well. */
const which = fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat({ max: 6 }));
const version = fc.constantFrom(undefined, undefined, 1, 2, 3, 4);

/** Whatever may be done to a store. Seconds; what ends does so after an odd number of them. */
export const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const), ...actor }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('lease' as const),
      ...actor,
      lease: fc.constantFrom(5, 21),
      staleFor: fc.constantFrom(0, 4, 10),
      staleOnError: fc.constantFrom(0, 4, 30),
      newerThan: fc.constantFrom(
        'any' as const,
        'any' as const,
        'last' as const,
        'before' as const,
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('fill' as const),
      ...actor,
      which,
      version,
      absent: fc.boolean(),
      freshFor: fc.constantFrom(-1, 3, 9),
      keep: fc.constantFrom(3, 9, 41),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('fail' as const),
      ...actor,
      which,
      coolDown: fc.constantFrom(0, 5, 5),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('claim' as const),
      ...actor,
      lease: fc.constantFrom(5, 21),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('invalidate' as const),
      ...actor,
      atLeast: version,
      keep: fc.constantFrom(3, 21),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      seconds: fc.constantFrom(2, 2, 6, 20),
    }),
  },
);
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
export type StepThat<Do extends Step['do']> = Extract<Step, { do: Do }>;

export const ENTRIES: readonly EntryName[] = [
  { entity: 'user', id: '7' },
  { entity: 'user', id: '{7}' },
];
