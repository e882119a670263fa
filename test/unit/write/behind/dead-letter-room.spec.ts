import { add, counter, entity, EntityCache, set, writeBehind } from 'nestjs-cache-contract';
import type { FlushBatch, FlushEntry } from '../../../../lib/write/behind/flush-batch.js';
import { testEngine } from '../../../support/engine.js';

const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

/** Without a ledger. `bad` keys are rejected or, as the method likes, thrown for. */
function open(how: 'rejects' | 'throws', options: object = {}) {
  const Views = entity<number, number>('view', {
    ...counter(),
    maxStaleness: '1h',
    write: writeBehind({
      merge: 'sum',
      retry: { attempts: 2, delay: '100ms', maxDelay: '100ms' },
      ...options,
    }),
  });
  const { engine, clock } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const bad = new Set<number>();
  const target = { away: false };
  const calls: { id: string; entries: readonly FlushEntry<typeof Views>[] }[] = [];
  const rows = new Map<number, bigint>();
  engine.behindOf(Views).bind({
    ledger: undefined,
    flush: ({ id, entries }: FlushBatch<typeof Views>) => {
      calls.push({ id, entries });
      if (target.away) throw new Error('no such table');
      const refused = entries.filter(({ key }) => bad.has(key));
      if (how === 'throws' && refused.length > 0) throw new RangeError('does not fit');
      for (const entry of entries) {
        if (refused.includes(entry)) continue;
        const { key } = entry;
        if (entry.op === 'add') rows.set(key, (rows.get(key) ?? 0n) + entry.by);
        else rows.set(key, BigInt(entry.value));
      }
      return { rejected: refused.map(({ key }) => ({ key, reason: 'closed' })) };
    },
  });
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 50) {
      clock.advance(50);
      await turns(5);
    }
  };
  const letters = async () => (await cache.journal().deadLetters()).map(({ key }) => key);
  return { behind: engine.behindOf(Views), cache, bad, target, calls, rows, pass, letters };
}

describe('where no more dead letters fit into memory', () => {
  it.each(['rejects', 'throws'] as const)(
    'nothing of a batch is written before there is room for what of it may be bad, so that the good is not written over and over (the method %s)',
    async (how) => {
      const { cache, bad, rows, pass, letters, calls } = open(how, { maxPending: 3 });
      for (const key of [1, 2]) bad.add(key);
      await cache.mutate(1, add(1));
      await cache.mutate(2, add(1));
      await cache.mutate(9, add(1));
      await pass(2_000);
      expect(await letters()).toEqual([1, 2]);
      const [asked, written] = [calls.length, rows.get(9)];
      bad.add(4);
      await cache.mutate(3, add(1));
      await cache.mutate(4, add(1));
      await pass(5_000);
      expect([calls.length, rows.get(3)]).toEqual([asked, undefined]);
      expect(cache.journal().status()).toMatchObject({ pending: 2, dead: 2 });
      const [letter] = await cache.journal().deadLetters();
      await cache.journal().discard(letter!.id);
      await pass(5_000);
      // One that throws is written with others that the method had not come to.
      expect([rows.get(3), rows.get(9)]).toEqual([1n, written]);
      // It is buried when something behind it could be written, or at once.
      expect(await letters()).toEqual([2, 4]);
    },
  );

  // It is refused, though its caller would be told and nothing of it kept.
  it('a mutation whose caller waits is written: it needs no room', async () => {
    const { behind, cache, bad, rows } = open('rejects', { maxPending: 1 });
    bad.add(1);
    await cache.mutate(1, add(1));
    await cache.journal().flush();
    await behind.acceptWritten('2', 2, add(5));
    expect(rows.get(2)).toBe(5n);
  });
});

describe('without a ledger, a batch of which no entry can be written', () => {
  it('is kept while nothing can be written at all, however long that is', async () => {
    const { cache, target, rows, pass, letters } = open('throws');
    target.away = true;
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(2));
    await pass(2_000);
    for (const key of [3, 4, 5, 6, 7, 8, 9]) await cache.mutate(key, add(key));
    await pass(5_000);
    expect([await letters(), cache.journal().status().pending]).toEqual([[], 9]);
    target.away = false;
    await pass(5_000);
    expect([await letters(), rows.size, cache.journal().status().pending]).toEqual([[], 9, 0]);
  });

  it('is kept until something behind it could be written, of which a sum is asked with nothing to add', async () => {
    const { cache, bad, rows, calls, pass, letters } = open('throws');
    bad.add(1).add(2);
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(2));
    await pass(2_000);
    expect([await letters(), cache.journal().status().pending]).toEqual([[], 2]);
    const before = calls.length;
    await cache.mutate(3, add(30));
    await pass(2_000);
    expect([await letters(), rows]).toEqual([[1, 2], new Map([[3, 30n]])]);
    const witnessed = calls.slice(before).flatMap(({ entries }) => entries);
    const ofThree = witnessed.filter(({ key }) => key === 3);
    expect(ofThree.map((entry) => entry.op === 'add' && entry.by)).toEqual([0n, 30n]);
  });

  it('is asked for entry by entry under ids of their own, which are the same at each attempt', async () => {
    const { cache, bad, calls, pass } = open('throws');
    bad.add(1).add(2);
    await cache.mutate(1, add(1));
    await cache.mutate(2, set(2));
    await pass(3_000);
    const whole = new Set(calls.filter(({ entries }) => entries.length > 1).map(({ id }) => id));
    const single = calls.filter(({ entries }) => entries.length === 1);
    expect(whole.size).toBe(1);
    expect(single.length).toBeGreaterThan(2);
    const ids = new Map<number, Set<string>>();
    for (const { id, entries } of single) {
      const { key } = entries[0]!;
      ids.set(key, (ids.get(key) ?? new Set()).add(id));
    }
    expect([ids.get(1)?.size, ids.get(2)?.size]).toEqual([1, 1]);
    const names = [...whole, ...ids.get(1)!, ...ids.get(2)!];
    expect(new Set(names).size).toBe(3);
  });
});
