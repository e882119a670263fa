import fc from 'fast-check';
import { Producers, WINDOW } from '../../../../lib/write/behind/producers.js';
import { MemoryJournal } from '../../../../lib/write/behind/memory-journal.js';
import type { Operation } from '../../../../lib/write/behind/journal.js';
import { holds } from '../../../support/property.js';

const operation = (number: number, producer = 'a'): Operation => ({
  id: '1',
  key: 1,
  change: { op: 'add', by: 1n, as: 'number' },
  producer,
  number,
  incarnation: 'one',
});
const remembered = (producers: Producers) => {
  const { windows } = producers as unknown as {
    windows: ReadonlyMap<string, { numbers: ReadonlySet<number> }>;
  };
  return [...windows.values()].map(({ numbers }) => numbers.size);
};

/** Numbers as a producer gives them whose operations go to several journals: with gaps, nearly in order. */
const histories = fc
  .array(fc.record({ gap: fc.nat({ max: 9 }), late: fc.nat({ max: WINDOW / 2 }) }), {
    minLength: 1,
    maxLength: 600,
  })
  .map((steps) => {
    let number = 0;
    const sent = steps.map(({ gap, late }) => ({ number: (number += 1 + gap), late }));
    return sent
      .map(({ number, late }) => ({ number, at: number + late }))
      .sort((a, b) => a.at - b.at || a.number - b.number)
      .map((operation) => operation.number);
  });

describe('operations that are sent again', () => {
  it('are recognised by their number, whatever the gaps, as long as not too many came since; and what is remembered is bounded', async () => {
    await holds(
      fc.property(histories, fc.infiniteStream(fc.nat({ max: WINDOW - 1 })), (numbers, back) => {
        const producers = new Producers();
        const accepted = new Set<number>();
        const wrong: unknown[] = [];
        const asked = (number: number, answer: string | undefined) => {
          const known = producers.knows(operation(number));
          if (known !== answer) wrong.push({ number, known, answer });
        };
        let newest = 0;
        for (const number of numbers) {
          // Each comes once: it is new, if it is not too old to tell.
          const tooOld = newest > 0 && number <= newest - WINDOW;
          asked(number, tooOld ? 'ambiguous' : undefined);
          if (tooOld) continue;
          producers.remember(operation(number));
          accepted.add(number);
          newest = Math.max(newest, number);
          // One of the window, sent again: recognised exactly if it was accepted.
          const again = newest - back.next().value!;
          asked(again, accepted.has(again) ? 'duplicate' : undefined);
          const [remember] = remembered(producers);
          if (remember! > 2 * WINDOW) wrong.push({ number, remember });
        }
        expect(wrong).toEqual([]);
        // Whatever is older is not taken for new.
        const old = [...accepted].filter((number) => number <= newest - WINDOW);
        expect(old.filter((number) => producers.knows(operation(number)) === undefined)).toEqual(
          [],
        );
      }),
      100,
    );
  });

  it('are remembered in bounded memory also where almost all of them go elsewhere', () => {
    const producers = new Producers();
    let most = 0;
    for (let number = 1; number < 100_000; number += 1 + (number % 7)) {
      producers.remember(operation(number));
      most = Math.max(most, remembered(producers)[0]!);
    }
    expect(most).toBeLessThanOrEqual(WINDOW);
  });

  it('are those of one producer: the numbers of another one say nothing', () => {
    const producers = new Producers();
    producers.remember(operation(1_000, 'a'));
    expect(producers.knows(operation(1_000, 'b'))).toBeUndefined();
    producers.remember(operation(1, 'b'));
    expect(producers.knows(operation(1, 'b'))).toBe('duplicate');
    expect(producers.knows(operation(1, 'a'))).toBe('ambiguous');
  });

  it('are accepted once by a journal, which says so', async () => {
    const journal = new MemoryJournal(0, 10, 100);
    const send = (number: number) =>
      journal.put({ ...operation(number), incarnation: journal.incarnation }, () => undefined);
    expect(await send(7)).toEqual({ outcome: 'accepted', seq: 1 });
    expect(await send(7)).toEqual({ outcome: 'duplicate' });
    expect(await send(7 + WINDOW)).toEqual({ outcome: 'accepted', seq: 2 });
    expect(await send(7)).toEqual({ outcome: 'ambiguous' });
    expect(journal.pendingOf('1')).toMatchObject({ by: 2n });
  });
});
