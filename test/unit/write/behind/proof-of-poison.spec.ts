import {
  add,
  counter,
  entity,
  EntityCache,
  onCacheEvent,
  writeBehind,
} from 'nestjs-cache-contract';
import type { WriteBehindOptions } from '../../../../lib/contract/strategies.js';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { testEngine } from '../../../support/engine.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

type Judge = (keys: readonly number[], shop: Shop) => unknown;

/** Each key is judged before it is written, and those before it are written then. */
function open(withLedger: boolean, judge: Judge, options: Partial<WriteBehindOptions> = {}) {
  const Views = entity<number, number>('view', {
    ...counter(),
    maxStaleness: '1h',
    write: writeBehind({
      flushEvery: '30m',
      retry: { attempts: 1, delay: '100ms', maxDelay: '100ms' },
      ...options,
      merge: 'sum',
    }),
  });
  const { engine, clock } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const shop = new Shop();
  const target = { calls: 0, transactions: 0 };
  const commit = shop.transaction.bind(shop);
  shop.transaction = (work) => {
    target.transactions++;
    return commit(work);
  };
  engine.behindOf(Views).bind({
    ledger: withLedger ? new ShopLedger(shop) : undefined,
    flush: async ({ entries }: FlushBatch<typeof Views>) => {
      target.calls++;
      const said = await judge(
        entries.map(({ key }) => key),
        shop,
      );
      for (const entry of entries) {
        await judge([entry.key], shop);
        if (entry.op === 'add') shop.add(entry.key, entry.by);
      }
      return said as undefined;
    },
  });
  const accept = async (from: number, to = from) => {
    for (let key = from; key <= to; key++) await cache.mutate(key, add(1));
  };
  /** As long as it takes until nothing is pending; no longer than the time given. */
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms && cache.journal().status().pending > 0; gone += 100) {
      clock.advance(100);
      await turns(5);
    }
  };
  const letters = async () => (await cache.journal().deadLetters()).map(({ key }) => key);
  return { engine, clock, cache, shop, target, accept, pass, letters };
}

it('a batch that was written, though nobody heard of it, is not handed to the method again: it is a duplicate, and no dead letter', async () => {
  const { cache, shop, target, accept, pass, letters } = open(true, (keys, shop) => {
    if (keys.length === 1) shop.sqlite.run('INSERT INTO log VALUES (?)', [keys[0]!]);
  });
  shop.sqlite.run('CREATE TABLE log (id INTEGER PRIMARY KEY)');
  const commit = shop.transaction.bind(shop);
  shop.transaction = async (work) => {
    const result = await commit(work);
    if (target.transactions === 1) throw new Error('connection reset after the commit');
    return result;
  };
  await accept(1, 3);
  await expect(cache.journal().flush()).rejects.toThrow('connection reset');
  await pass(60_000);
  expect(cache.journal().status()).toEqual({
    accepted: 3,
    pending: 0,
    flushed: 3,
    duplicates: 1,
    dead: 0,
  });
  expect([target.calls, await letters()]).toEqual([1, []]);
  expect([1, 2, 3].map((key) => shop.views(key))).toEqual([1, 1, 1]);
});

describe.each([true, false])('what proves that anything can be written (ledger: %p)', (ledger) => {
  it('is sought among all that wait, not always among the oldest: bad entries before it do not hold up the rest', async () => {
    const judge: Judge = (keys) => {
      if (keys.some((key) => key <= 7)) throw new Error('no such product');
    };
    const { cache, shop, accept, pass, letters } = open(ledger, judge, {
      maxBatch: 2,
      flushEvery: '50ms',
    });
    await accept(1, 50);
    await pass(120_000);
    expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 43, dead: 7 });
    expect((await letters()).sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    const rows = Array.from({ length: 50 }, (_, index) => shop.views(index + 1));
    expect(rows).toEqual(rows.map((_, index) => (index < 7 ? 0 : 1)));
  });

  it.each(['first', 'last'])(
    'is not an entry that the method rejects, which comes %s: nothing is buried while nothing can be written',
    async (place) => {
      const rejected = place === 'first' ? 1 : 11;
      let denied = true;
      const judge: Judge = (keys) => {
        const others = keys.filter((key) => key !== rejected);
        if (denied && others.length > 0) throw new Error('permission denied');
        if (!keys.includes(rejected)) return undefined;
        return { rejected: [{ key: rejected, reason: 'no such product' }] };
      };
      const { cache, accept, pass, letters } = open(ledger, judge);
      await accept(1, 11);
      await expect(cache.journal().flush()).rejects.toThrow('permission denied');
      await pass(5_000);
      expect(cache.journal().status()).toMatchObject({ pending: 11, flushed: 0, dead: 0 });
      expect(await letters()).toEqual([]);
      denied = false;
      await pass(5_000);
      expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 10, dead: 1 });
      expect(await letters()).toEqual([rejected]);
    },
  );
});

describe('the search for what cannot be written', () => {
  const slow = { retry: { attempts: 1, delay: '10m', maxDelay: '10m' } } as const;
  const bug: Judge = () => {
    throw new Error('bug');
  };

  it('asks after a few whether anything can be, and leaves it at that where nothing can', async () => {
    const { cache, target, accept, letters } = open(true, bug, slow);
    await accept(1, 500);
    await expect(cache.journal().flush()).rejects.toThrow('bug');
    // They wait behind, and would be asked.
    await accept(501, 510);
    const before = target.transactions;
    await expect(cache.journal().flush()).rejects.toThrow('bug');
    // Three for each of sixteen, and what it takes to divide down to them; not three for each of 500.
    expect(target.transactions - before).toBeLessThan(100);
    expect(cache.journal().status()).toMatchObject({ pending: 510, dead: 0 });
    expect(await letters()).toEqual([]);
  });

  it('goes on where something behind them can be, and finds them all', async () => {
    const judge: Judge = (keys) => {
      if (keys.some((key) => key <= 50)) throw new Error('no such product');
    };
    const { cache, shop, accept, letters } = open(true, judge, slow);
    await accept(1, 50);
    await expect(cache.journal().flush()).rejects.toThrow('no such product');
    await accept(51);
    await cache.journal().flush();
    expect((await letters()).length).toBe(50);
    expect([shop.views(51), cache.journal().status()]).toMatchObject([
      1,
      { pending: 0, flushed: 1, dead: 50 },
    ]);
  });

  it('begins no further transaction when the application ends, which does not wait for it', async () => {
    const { engine, clock, cache, shop, target, accept } = open(true, bug, slow);
    const lost: string[] = [];
    const stop = onCacheEvent('fault', ({ code, message }) => {
      if (code === 'CACHE_MUTATIONS_LOST') lost.push(message);
    });
    await accept(1, 500);
    await expect(cache.journal().flush()).rejects.toThrow('bug');
    const before = target.transactions;
    const commit = shop.transaction.bind(shop);
    let closing: Promise<unknown> | undefined;
    shop.transaction = (work) => {
      if (target.transactions === before + 5) closing = engine.close();
      return commit(work);
    };
    await expect(cache.journal().flush()).rejects.toThrow('the application is ending');
    await closing;
    await turns();
    // The one in which it was told, which had been begun.
    expect(target.transactions - before).toBeLessThanOrEqual(6);
    expect([lost.length, clock.pending]).toEqual([1, 0]);
    stop();
  });

  it('calls the method no more when the application ends, where there is no ledger', async () => {
    const { engine, cache, target, accept } = open(
      false,
      () => {
        if (target.calls === 10) closing = engine.close();
        throw new Error('bug');
      },
      slow,
    );
    let closing: Promise<unknown> | undefined;
    await accept(1, 500);
    await expect(cache.journal().flush()).rejects.toThrow('bug');
    await expect(cache.journal().flush()).rejects.toThrow('the application is ending');
    await closing;
    expect(target.calls).toBe(10);
  });
});

describe.each([true, false])('something odd that is thrown for an entry (ledger: %p)', (ledger) => {
  it.each<[string, unknown, string]>([
    [
      'an object that cannot be put into words',
      Object.create(null),
      'something that cannot be put into words was thrown',
    ],
    [
      'an error that cannot be looked at',
      new Proxy(new Error('a'), {
        get() {
          throw new Error('a trap');
        },
      }),
      'something that cannot be put into words was thrown',
    ],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a symbol', Symbol('odd'), 'Symbol(odd)'],
  ])('is its reason, and the others are written: %s', async (_, thrown, reason) => {
    const judge: Judge = (keys) => {
      if (keys.includes(1)) throw thrown;
    };
    const { cache, shop, accept, pass } = open(ledger, judge, { flushEvery: '50ms' });
    await accept(1, 3);
    await pass(5_000);
    expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 2, dead: 1 });
    expect(await cache.journal().deadLetters()).toMatchObject([{ key: 1, reason }]);
    expect([1, 2, 3].map((key) => shop.views(key))).toEqual([0, 1, 1]);
  });
});
