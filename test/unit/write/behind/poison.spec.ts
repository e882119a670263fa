import {
  add,
  counter,
  entity,
  EntityCache,
  onCacheEvent,
  set,
  writeBehind,
  type AbsorbedFault,
} from 'nestjs-cache-contract';
import type { FlushBatch, FlushEntry } from '../../../../lib/write/behind/flush-batch.js';
import { testEngine } from '../../../support/engine.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

const Views = entity<number, number>('view', {
  ...counter(),
  maxStaleness: '1h',
  write: writeBehind({ merge: 'sum', retry: { attempts: 3, delay: '100ms', maxDelay: '100ms' } }),
});
type Entry = FlushEntry<typeof Views>;

const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

/** `judge` throws for entries that cannot be written; it is asked for all of a call at once. */
function open(judge: (keys: number[], entries: readonly Entry[]) => unknown, withLedger = true) {
  const { engine, clock } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const shop = new Shop();
  const calls: number[][] = [];
  const ledger = new ShopLedger(shop);
  engine.behindOf(Views).bind({
    ledger: withLedger ? ledger : undefined,
    flush: async ({ entries }: FlushBatch<typeof Views>) => {
      const keys = entries.map(({ key }) => key);
      calls.push(keys);
      for (const entry of entries) if (entry.op === 'add') shop.add(entry.key, entry.by);
      return (await judge(keys, entries)) as undefined;
    },
  });
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 50) {
      clock.advance(50);
      await turns(5);
    }
  };
  const accept = async (...keys: number[]) => {
    for (const key of keys) await cache.mutate(key, add(key));
  };
  /** What the database holds, of what was ever accepted. */
  const rows = () =>
    (shop.sqlite.all('SELECT id, n FROM views ORDER BY id') as { id: number; n: number }[]).map(
      ({ id, n }) => [id, n],
    );
  const letters = async () =>
    (await cache.journal().deadLetters()).map(({ key, reason }) => [key, reason]);
  const seen = (key: number) => cache.get(key, async () => shop.views(key));
  return { engine, clock, cache, shop, ledger, calls, pass, accept, rows, letters, seen };
}
const poisoned =
  (...bad: number[]) =>
  (keys: number[]) => {
    const found = keys.find((key) => bad.includes(key));
    if (found !== undefined) throw new RangeError(`${found} does not fit`);
  };

describe('entries that can never be written', () => {
  it('are found after as many failures as `attempts` says, and buried; the others are written once', async () => {
    const { accept, pass, calls, rows, letters, cache, clock } = open(poisoned(3, 6));
    await accept(1, 2, 3, 4, 5, 6, 7);
    await pass(1_000);
    await pass(200);
    const whole = calls.filter((keys) => keys.length === 7).length;
    // Three attempts, and one that begins the search.
    expect(whole).toBe(4);
    expect(rows()).toEqual([
      [1, 1],
      [2, 2],
      [4, 4],
      [5, 5],
      [7, 7],
    ]);
    expect(await letters()).toEqual([
      [3, 'RangeError: 3 does not fit'],
      [6, 'RangeError: 6 does not fit'],
    ]);
    expect(cache.journal().status()).toEqual({
      accepted: 7,
      pending: 0,
      flushed: 5,
      duplicates: 0,
      dead: 2,
    });
    expect(clock.pending).toBe(0);
  });

  it('do not keep what is accepted after them from being written', async () => {
    const { accept, pass, rows } = open(poisoned(1));
    await accept(1);
    await pass(1_000);
    await accept(2);
    await pass(3_000);
    expect(rows()).toEqual([[2, 2]]);
  });

  it('may be all of a batch: they are buried when something behind them could be written', async () => {
    const { accept, pass, rows, letters, cache } = open(poisoned(1, 2, 3));
    await accept(1, 2, 3);
    await pass(3_000);
    expect([rows(), await letters()]).toEqual([[], []]);
    await accept(4);
    await pass(3_000);
    expect([rows(), (await letters()).length]).toEqual([[[4, 4]], 3]);
    expect(cache.journal().status()).toMatchObject({ pending: 0, dead: 3, flushed: 1 });
  });

  it('are not what a method cannot write that can write nothing at all, as with a table that is missing', async () => {
    const { accept, pass, letters, cache, rows } = open((keys) => {
      if (broken) throw new RangeError(`no such table, for ${keys.join()}`);
    });
    let broken = true;
    await accept(1, 2);
    await pass(2_000);
    await accept(3, 4);
    await pass(3_000);
    expect(await letters()).toEqual([]);
    broken = false;
    await pass(3_000);
    expect(cache.journal().status()).toMatchObject({ pending: 0, dead: 0, flushed: 4 });
    expect(rows().length).toBe(4);
  });

  it('count as many mutations as were folded into them', async () => {
    const { cache, pass } = open(poisoned(1));
    for (let i = 0; i < 4; i++) await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    await pass(3_000);
    expect(cache.journal().status()).toMatchObject({ accepted: 5, dead: 4, flushed: 1 });
  });

  it('are one of two that only fail together, so that as much as possible is written', async () => {
    const together = (keys: number[]) => {
      if (keys.includes(2) && keys.includes(5)) throw new Error('2 and 5 exclude each other');
    };
    const { accept, pass, rows, letters } = open(together);
    await accept(1, 2, 3, 4, 5, 6);
    await pass(3_000);
    expect(rows().map(([key]) => key)).toEqual([1, 2, 3, 4, 6]);
    expect(await letters()).toEqual([[5, 'Error: 2 and 5 exclude each other']]);
  });

  it('are gone from what readers see, because the source will never have them', async () => {
    const { accept, pass, seen } = open(poisoned(2));
    await accept(1, 2);
    expect([await seen(1), await seen(2)]).toEqual([1, 2]);
    await pass(3_000);
    expect([await seen(1), await seen(2)]).toEqual([1, 0]);
  });

  it('are found by the database itself, by its own constraints', async () => {
    const { cache, pass, rows, letters } = open(() => undefined);
    await cache.mutate(1, add(5));
    await cache.mutate(2, add(2_000_000));
    await pass(3_000);
    expect(rows()).toEqual([[1, 5]]);
    expect(await letters()).toEqual([[2, expect.stringContaining('constraint failed')]]);
  });

  it('are buried in the transaction that writes the others: a crash leaves neither, and the next attempt does both', async () => {
    const { accept, pass, shop, rows, letters, ledger } = open(poisoned(2));
    const bury = ledger.bury.bind(ledger);
    let crashes = 2;
    ledger.bury = async (tx, found) => {
      await bury(tx, found);
      if (crashes-- > 0) throw new Error('crashed before the commit');
    };
    await accept(1, 2, 3);
    for (let tries = 0; crashes === 2 && tries < 100; tries++) await pass(50);
    expect(crashes).toBe(1);
    expect([rows(), await letters()]).toEqual([[], []]);
    await pass(3_000);
    expect([rows(), (await letters()).length]).toEqual([
      [
        [1, 1],
        [3, 3],
      ],
      1,
    ]);
    expect(shop.sqlite.all('SELECT * FROM cache_dead_letters').length).toBe(1);
  });
});

describe('entries that the flushing method rejects', () => {
  const rejecting =
    (...bad: number[]) =>
    (keys: number[]) => ({
      rejected: keys
        .filter((key) => bad.includes(key))
        .map((key) => ({ key, reason: `no view ${key}` })),
    });

  it('are buried at the first attempt, with its reason; the others are written', async () => {
    const { accept, cache, calls, letters } = open(rejecting(2, 3));
    await accept(1, 2, 3);
    await cache.journal().flush();
    expect(calls).toEqual([[1, 2, 3]]);
    expect(await letters()).toEqual([
      [2, 'no view 2'],
      [3, 'no view 3'],
    ]);
    expect(cache.journal().status()).toMatchObject({ pending: 0, dead: 2, flushed: 1 });
  });

  it('may be none, named twice, or without a reason', async () => {
    let said: unknown = { rejected: [] };
    const { accept, cache, letters } = open(() => said);
    await accept(1);
    await cache.journal().flush();
    expect(await letters()).toEqual([]);
    said = { rejected: [{ key: 2, reason: 'a' }, { key: '2', reason: 'b' }, { key: 3 }] };
    await accept(2, 3);
    await cache.journal().flush();
    expect((await letters()).map(([key]) => key)).toEqual([2, 3]);
    expect(cache.journal().status().dead).toBe(2);
  });

  it('are found beside those that fail, when the batch is searched', async () => {
    const both = (keys: number[]) => {
      poisoned(1)(keys);
      return rejecting(2)(keys);
    };
    const { accept, pass, letters } = open(both);
    await accept(1, 2, 3);
    await pass(3_000);
    expect(new Map((await letters()) as [number, string][])).toEqual(
      new Map([
        [1, 'RangeError: 1 does not fit'],
        [2, 'no view 2'],
      ]),
    );
  });

  it.each<[string, unknown]>([
    ['a number of rows', 3],
    ['null', null],
    ['true', true],
    ['the rejected keys alone', [1]],
    ['an object without them', { ok: true }],
    ['no list', { rejected: 1 }],
    ['keys of another batch', { rejected: [{ key: 99, reason: 'x' }] }],
    ['keys instead of { key }', { rejected: [1] }],
    ['nothing in the list', { rejected: [undefined] }],
  ])('cannot be told by %s: that fails, and nothing is written', async (_, said) => {
    const { accept, cache, rows, letters } = open(() => said);
    await accept(1);
    const outcome = await cache
      .journal()
      .flush()
      .catch((error: unknown) => error);
    expect(outcome).toMatchObject({
      code: expect.stringMatching(/^CACHE_(ARGUMENT|KEY)_INVALID$/),
    });
    expect((outcome as Error).message).toContain("'view'");
    expect([rows(), await letters()]).toEqual([[], []]);
    expect(cache.journal().status().pending).toBe(1);
  });
});

describe('a database that is out of reach', () => {
  it.each([true, false])(
    'is never taken for a fault of the entries: nothing is buried, and all is written when it is back (ledger: %p)',
    async (withLedger) => {
      let away = true;
      const { accept, pass, rows, letters, shop, cache } = open(() => {
        if (away) throw new Error('connection refused');
      }, withLedger);
      if (withLedger) shop.failure = new Error('connection refused');
      if (!withLedger) shop.add = () => undefined;
      await accept(1, 2, 3);
      await pass(5_000);
      expect(cache.journal().status()).toMatchObject({ pending: 3, dead: 0 });
      away = false;
      shop.failure = undefined;
      delete (shop as { add?: unknown }).add;
      await pass(1_000);
      expect(await letters()).toEqual([]);
      expect(rows()).toEqual([
        [1, 1],
        [2, 2],
        [3, 3],
      ]);
      expect(cache.journal().status()).toMatchObject({ pending: 0, dead: 0, flushed: 3 });
    },
  );

  it.each([
    [1, 1],
    [1, 2],
    [1, 3],
    [2, 1],
    [2, 2],
    [2, 3],
    [3, 2],
    [3, 4],
  ])(
    'and, with %p entries waiting, is lost once more at transaction %p of the search, makes no dead letter',
    async (count, at) => {
      const { accept, pass, letters, shop, cache } = open(() => undefined);
      const commit = shop.transaction.bind(shop);
      let transactions = 0;
      shop.transaction = async (work) => {
        const number = ++transactions;
        // An outage of three attempts, and a connection that is reset once afterwards.
        if (number <= 3 || number === 3 + at) throw new Error('connection reset');
        return commit(work);
      };
      await accept(...[1, 2, 3].slice(0, count));
      await pass(3_000);
      shop.transaction = commit;
      expect(await letters()).toEqual([]);
      expect(cache.journal().status()).toMatchObject({ pending: 0, dead: 0, flushed: count });
    },
  );

  it('and is gone while poison is searched buries what is poison, when it is back', async () => {
    const { accept, pass, rows, letters, shop } = open(poisoned(2));
    await accept(1, 2, 3);
    await pass(300);
    shop.failure = new Error('connection refused');
    await pass(2_000);
    shop.failure = undefined;
    await pass(2_000);
    expect(rows()).toEqual([
      [1, 1],
      [3, 3],
    ]);
    expect((await letters()).map(([key]) => key)).toEqual([2]);
  });
});

describe('without a ledger', () => {
  it('entries that fail alone are buried in memory, and the others are written at least once', async () => {
    const { accept, pass, rows, letters, cache } = open(poisoned(2), false);
    await accept(1, 2, 3);
    await pass(3_000);
    expect(await letters()).toEqual([[2, 'RangeError: 2 does not fit']]);
    for (const [key, n] of rows().filter(([key]) => key !== 2)) {
      expect(n! % key!).toBe(0);
      expect(n).toBeGreaterThanOrEqual(key!);
    }
    expect(cache.journal().status()).toMatchObject({ pending: 0, dead: 1, flushed: 2 });
  });

  it('one bad entry that is alone in its batch does not hold up everything after it for ever', async () => {
    const { accept, pass, cache, calls } = open(poisoned(1), false);
    await accept(1);
    await pass(2_000);
    await accept(2);
    await pass(15_000);
    expect(calls.flat()).toContain(2);
    expect(cache.journal().status().pending).toBeLessThan(2);
  });

  it('no more dead letters are kept than may be pending: a batch whose entries would not fit stays', async () => {
    const Few = entity<number, number>('few', {
      ...counter(),
      write: writeBehind({ merge: 'sum', maxPending: 2 }),
    });
    const { engine } = testEngine();
    const cache = new EntityCache(engine).of(Few);
    engine.behindOf(Few).bind({
      ledger: undefined,
      flush: ({ entries }: FlushBatch<typeof Few>) => ({
        rejected: entries.map(({ key }) => ({ key, reason: 'no' })),
      }),
    });
    for (const key of [1, 2]) {
      await cache.mutate(key, add(1));
      await cache.journal().flush();
    }
    await cache.mutate(3, add(1));
    await expect(cache.journal().flush()).rejects.toThrow('2 of its dead letters are in memory');
    const [letter] = await cache.journal().deadLetters();
    expect(await cache.journal().discard(letter!.id)).toBe(true);
    await cache.journal().flush();
    expect((await cache.journal().deadLetters()).map(({ key }) => key)).toEqual([2, 3]);
  });
});

it('tells of burials without a key, a value or the reason', async () => {
  const faults: { code: AbsorbedFault; message: string }[] = [];
  const stop = onCacheEvent('fault', ({ code, message }) => faults.push({ code, message }));
  const { cache } = open((keys) => ({ rejected: [{ key: keys[0]!, reason: 'SECRET' }] }));
  await cache.mutate(4711, set(815));
  await cache.journal().flush();
  stop();
  expect(faults).toEqual([
    {
      code: 'CACHE_MUTATION_BURIED',
      message:
        "1 of the 1 entries of a batch of 'view' could not be written; they are dead letters now. Fix: look at EntityCache.journal(entity).deadLetters(), then retry() or discard() them.",
    },
  ]);
});
