import fc from 'fast-check';
import { MemoryJournal } from '../../lib/write/behind/memory-journal.js';
import type { Entry, Segment } from '../../lib/write/behind/journal.js';
import { exactly, fold, pendingOf, shown, type Pending } from '../../lib/write/behind/pending.js';
import { holds } from '../support/property.js';

/** What the source says: a number, a bigint, or that there is nothing. */
type Base = number | bigint | null;
type Mutation =
  | { readonly op: 'add'; readonly by: number | bigint }
  | { readonly op: 'set'; readonly value: number | bigint }
  | { readonly op: 'remove' };

const SUMS = { entity: 'counter', merge: 'sum', revive: undefined } as const;
const whole = fc.oneof(
  fc.integer({ min: -9, max: 9 }),
  fc.maxSafeInteger(),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
);
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('add' as const), by: whole }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('set' as const), value: whole }) },
  { weight: 1, arbitrary: fc.constant({ op: 'remove' as const }) },
);
const mutations = fc.array(mutation, { minLength: 1, maxLength: 12 });
const base: fc.Arbitrary<Base> = fc.oneof(fc.constant(null), whole);

/** One mutation after the other, on exact numbers. */
function naive(base: bigint | null, changes: readonly Mutation[]): bigint | null {
  let value = base;
  for (const change of changes) {
    if (change.op === 'remove') value = null;
    else if (change.op === 'set') value = BigInt(change.value);
    else value = (value ?? 0n) + BigInt(change.by);
  }
  return value;
}

function folded(changes: readonly Mutation[]): Pending {
  let pending: Pending | undefined;
  for (const change of changes) pending = fold(pending, pendingOf(change, SUMS));
  return pending!;
}

/** As a flushing method writes an entry. */
function written(base: bigint | null, pending: Pending): bigint | null {
  switch (pending.op) {
    case 'add':
      return (base ?? 0n) + pending.by;
    case 'total':
      return BigInt(exactly(pending.total, pending.as));
    case 'remove':
      return null;
    case 'set':
      throw new Error('no sum');
  }
}

const exact = (base: Base) => (base === null ? null : BigInt(base));

describe('mutations that are folded into one', () => {
  it('have together the effect that they have one after the other, exactly, whatever their size', async () => {
    await holds(
      fc.property(base, mutations, (base, changes) => {
        expect(written(exact(base), folded(changes))).toBe(naive(exact(base), changes));
      }),
      10_000,
    );
  });

  it('are seen by readers as they will be written, in the type that the source gave', async () => {
    await holds(
      fc.property(base, mutations, (base, changes) => {
        const pending = folded(changes);
        const seen = shown(pending, base);
        const value = naive(exact(base), changes);
        if (value === null) return expect(seen).toBeNull();
        // Where the source says a number, readers get one, rounded if it must be.
        expect(seen).toBe(typeof seen === 'number' ? Number(value) : value);
        if (pending.op === 'add' && base !== null) expect(typeof seen).toBe(typeof base);
        else
          expect(typeof seen).toBe(
            'as' in pending && pending.as === 'number' ? 'number' : 'bigint',
          );
      }),
      10_000,
    );
  });

  it('can be folded in any groups', async () => {
    await holds(
      fc.property(mutations, fc.array(fc.nat({ max: 12 })), base, (changes, cuts, base) => {
        const parts = split(changes, cuts).map(folded);
        const all = parts.reduce<Pending | undefined>(
          (before, next) => fold(before, next),
          undefined,
        );
        expect(written(exact(base), all!)).toBe(naive(exact(base), changes));
        const oneByOne = parts.reduce((value, part) => written(value, part), exact(base));
        expect(oneByOne).toBe(naive(exact(base), changes));
      }),
      10_000,
    );
  });

  it('give nothing back that was removed, and keep a removal though something is added after it', async () => {
    const adds = fc.array(fc.record({ op: fc.constant('add' as const), by: whole }), {
      maxLength: 3,
    });
    await holds(
      fc.property(base, mutations, adds, (base, before, after) => {
        const pending = folded([...before, { op: 'remove' }, ...after]);
        // Nothing of `base` or `before` is in it: it does not depend on what is there.
        expect(pending.op).toBe(after.length === 0 ? 'remove' : 'total');
        expect(shown(pending, base)).toEqual(shown(pending, null));
        expect(written(exact(base), pending)).toBe(naive(null, after));
      }),
      2_000,
    );
  });

  it('keep only the last of what was set or removed', async () => {
    const last = { entity: 'profile', merge: 'lastWrite', revive: undefined } as const;
    const put = fc.option(fc.record({ name: fc.string() }));
    await holds(
      fc.property(fc.array(put, { minLength: 1 }), put, (values, base) => {
        const pending = values
          .map((value) => pendingOf(value === null ? { op: 'remove' } : { op: 'set', value }, last))
          .reduce<Pending | undefined>((before, next) => fold(before, next), undefined)!;
        expect(shown(pending, base)).toEqual(values.at(-1));
      }),
      1_000,
    );
  });

  it('are given as a number only where that is exact', async () => {
    await holds(
      fc.property(fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }), (sum) => {
        expect(exactly(sum, 'bigint')).toBe(sum);
        const given = exactly(sum, 'number');
        expect(BigInt(given)).toBe(sum);
        expect(typeof given).toBe(Number.isSafeInteger(Number(sum)) ? 'number' : 'bigint');
      }),
      2_000,
    );
  });
});

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('put' as const, 'put' as const, 'put' as const, 'put awaited' as const),
      id: fc.constantFrom('a', 'b', 'c'),
      mutation,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('seal' as const, 'acknowledge' as const, 'begin anew' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('cancel' as const), which: fc.nat({ max: 3 }) }),
  },
);

interface Accepted {
  readonly id: string;
  readonly seq: number;
  readonly mutation: Mutation;
  readonly awaited: boolean;
}

describe('the segments of a journal', () => {
  it('have together the effect of all that was accepted, each key in its order, however it is cut', async () => {
    await holds(
      fc.asyncProperty(
        fc.array(step, { maxLength: 25, size: 'max' }),
        fc.constantFrom(1, 2, 500),
        async (steps, maxBatch) => {
          const journal = new MemoryJournal(0, maxBatch, Infinity);
          const accepted: Accepted[] = [];
          const awaited: Segment[] = [];
          const source = new Map<string, bigint | null>();
          let [last, incarnation, number] = [0, '', 0];

          const write = async () => {
            const segment = await journal.head();
            if (segment === undefined) return false;
            // Without a gap or an overlap within a life; from 0 in a new one.
            const isNew = segment.incarnation !== incarnation;
            same(segment.previousSeq, isNew ? 0 : last);
            [last, incarnation] = [segment.lastSeq, segment.incarnation];
            expectWellFormed(segment, maxBatch);
            for (const { id, change } of segment.entries) {
              source.set(id, written(source.get(id) ?? null, change));
            }
            await journal.acknowledge(segment);
            // A second time there is nothing left to do.
            await journal.acknowledge(segment);
            return true;
          };
          const expectSeen = () => {
            for (const id of ['a', 'b', 'c']) {
              const pending = journal.pendingOf(id);
              const value = source.get(id) ?? null;
              const seen = pending === undefined ? value : written(value, pending);
              // Who waits for a mutation to be written is told of it then: until then nobody sees it.
              const open = accepted.filter(
                (one) => one.id === id && one.seq > last && !one.awaited,
              );
              const all = open.map((one) => one.mutation);
              same(seen, naive(value, all));
            }
          };

          for (const step of steps) {
            if (step.do === 'put' || step.do === 'put awaited') {
              const { id, mutation } = step;
              const operation = {
                id,
                key: id,
                change: pendingOf(mutation, SUMS),
                producer: 'p',
                number: ++number,
                incarnation: journal.incarnation,
              };
              if (step.do === 'put') {
                const put = await journal.put(operation, () => undefined);
                if (put.outcome !== 'accepted') throw new Error(put.outcome);
                accepted.push({ id, mutation, seq: put.seq, awaited: false });
                const again = await journal.put(operation, () => same('called', 'not'));
                same(again.outcome, 'duplicate');
              } else {
                const segment = await journal.putAwaited(operation);
                awaited.push(segment);
                accepted.push({ id, mutation, seq: segment.lastSeq, awaited: true });
              }
            } else if (step.do === 'seal') {
              await journal.seal();
            } else if (step.do === 'acknowledge') {
              await write();
            } else if (step.do === 'begin anew') {
              const before = journal.incarnation;
              await journal.beginAnew(before);
              const after = journal.incarnation;
              expect(after).not.toBe(before);
              await journal.beginAnew(before);
              same(journal.incarnation, after);
            } else if (step.do === 'cancel') {
              const given = awaited[step.which];
              if (given === undefined || given.lastSeq <= last) continue;
              await journal.cancel(given);
              await journal.cancel(given);
              const index = accepted.findIndex(({ seq }) => seq === given.lastSeq);
              if (index >= 0) accepted.splice(index, 1);
            }
            expectSeen();
          }
          await journal.seal();
          while (await write());
          for (const id of ['a', 'b', 'c']) {
            const all = accepted.filter((one) => one.id === id).map((one) => one.mutation);
            same(source.get(id) ?? null, naive(null, all));
          }
          expect([journal.size, journal.sealed]).toEqual([0, 0]);
        },
      ),
      3_000,
    );
  });
});

function expectWellFormed({ entries, previousSeq, lastSeq }: Segment, maxBatch: number): void {
  const seqs = entries.map(({ seq }: Entry) => seq);
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
  same(
    seqs.every((seq) => seq > previousSeq && seq <= lastSeq),
    true,
  );
  same(new Set(entries.map(({ id }) => id)).size, entries.length);
  expect(entries.length).toBeLessThanOrEqual(maxBatch);
}

/** `expect` takes longer than all the rest. */
function same(actual: unknown, expected: unknown): void {
  if (!Object.is(actual, expected)) expect(actual).toBe(expected);
}

function split<T>(all: readonly T[], cuts: readonly number[]): T[][] {
  const ends = [...new Set([...cuts, all.length])].filter((cut) => cut > 0 && cut <= all.length);
  ends.sort((a, b) => a - b);
  return ends.map((end, i) => all.slice(ends[i - 1] ?? 0, end));
}
