import { add, counter, entity, EntityCache, set, writeBehind } from 'nestjs-cache-contract';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import type { RetryOptions, WriteBehindOptions } from '../../../../lib/contract/strategies.js';
import { deferred, testEngine } from '../../../support/engine.js';
import type { ManualClock } from '../../../support/manual-clock.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};
/** Time goes by, and whatever it brings about is done. */
async function pass(clock: ManualClock, ms: number, step = 25): Promise<void> {
  for (let gone = 0; gone < ms; gone += step) {
    clock.advance(Math.min(step, ms - gone));
    await turns(5);
  }
}

interface Attempt {
  readonly at: number;
  readonly id: string;
  readonly number: number;
  readonly entries: string;
}

function open(retry: RetryOptions = {}, options: WriteBehindOptions & { merge?: 'sum' } = {}) {
  const Views = entity<number, number>('view', {
    ...counter(),
    maxStaleness: '1h',
    write: writeBehind({ ...options, merge: 'sum', retry }),
  });
  const { engine, clock } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const shop = new Shop();
  const attempts: Attempt[] = [];
  const hooks = { before: (_attempt: number): unknown => undefined };
  engine.behindOf(Views).bind({
    ledger: new ShopLedger(shop),
    flush: async ({ id, attempt, entries }: FlushBatch<typeof Views>) => {
      const shown = JSON.stringify(entries, (_, value) =>
        typeof value === 'bigint' ? String(value) : (value as unknown),
      );
      attempts.push({ at: clock.monotonic(), id, number: attempt, entries: shown });
      await hooks.before(attempts.length);
      for (const entry of entries) {
        if (entry.op === 'add') shop.add(entry.key, entry.by);
        else
          shop.sqlite.run('INSERT OR REPLACE INTO views VALUES (?, ?)', [entry.key, entry.value]);
      }
    },
  });
  const failing = (times: number) => {
    hooks.before = (attempt) => {
      if (attempt <= times) throw new Error(`failure ${attempt}`);
    };
  };
  return { cache, clock, shop, attempts, hooks, failing };
}

describe('a batch that cannot be written at first', () => {
  it('is tried again with the same name and content, counted, until it is written once', async () => {
    const { cache, clock, shop, attempts, failing } = open({ delay: '100ms' });
    failing(3);
    await cache.mutate(1, add(2));
    await cache.mutate(2, set(7));
    await pass(clock, 1_000);
    // Accepted while it fails: not part of it.
    await cache.mutate(1, add(30));
    await cache.mutate(3, add(1));
    await pass(clock, 1_000);
    const tried = attempts.slice(0, 4);
    expect(tried.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(new Set(tried.map(({ id }) => id)).size).toBe(1);
    expect(new Set(tried.map(({ entries }) => entries))).toEqual(
      new Set(['[{"key":1,"seq":1,"op":"add","by":"2"},{"key":2,"seq":2,"op":"set","value":7}]']),
    );
    await cache.journal().flush();
    expect([1, 2, 3].map((key) => shop.views(key))).toEqual([32, 7, 1]);
    expect(cache.journal().status()).toEqual({
      accepted: 4,
      pending: 0,
      flushed: 4,
      duplicates: 0,
      dead: 0,
    });
    expect(attempts.at(-1)).toMatchObject({ number: 1 });
    expect(attempts.at(-1)?.id).not.toBe(tried[0]?.id);
  });

  it.each([
    ['at the least', 0, [50, 100, 200, 400, 400, 400]],
    ['at the most', 1, [100, 200, 400, 800, 800, 800]],
  ])(
    'is left alone for pauses that double up to maxDelay, half of them chance: %s',
    async (_, chance, pauses) => {
      const { cache, clock, attempts, failing } = open({
        delay: '100ms',
        maxDelay: '800ms',
        attempts: 100,
      });
      clock.chance = chance;
      failing(7);
      await cache.mutate(1, add(1));
      await pass(clock, 5_000);
      const between = attempts.slice(1).map(({ at }, index) => at - attempts[index]!.at);
      expect(between.slice(0, 6)).toEqual(pauses);
    },
  );

  it('begins with the shortest pause again after it was written', async () => {
    const { cache, clock, attempts, hooks } = open({ delay: '100ms' });
    hooks.before = (attempt) => {
      if (attempt <= 3 || attempt === 5) throw new Error('again');
    };
    await cache.mutate(1, add(1));
    await pass(clock, 2_000);
    expect(attempts.length).toBe(4);
    await cache.mutate(1, add(1));
    await pass(clock, 2_000);
    expect(attempts.map(({ number }) => number)).toEqual([1, 2, 3, 4, 1, 2]);
    expect(attempts[5]!.at - attempts[4]!.at).toBe(50);
  });

  it('is not written again if it was written and the answer was lost', async () => {
    const { cache, clock, shop, attempts } = open({ delay: '100ms' });
    const commit = shop.transaction.bind(shop);
    let lost = 0;
    shop.transaction = async (work) => {
      const result = await commit(work);
      if (lost++ === 0) throw new Error('the connection was reset');
      return result;
    };
    await cache.mutate(1, add(5));
    await pass(clock, 2_000);
    expect([shop.views(1), attempts.length]).toEqual([5, 1]);
    expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 1, duplicates: 1 });
    expect(await cache.get(1, async () => shop.views(1))).toBe(5);
  });

  it('lets what is accepted meanwhile wait for it, in order, without trying more often for its sake', async () => {
    const { cache, clock, shop, attempts, failing } = open({ delay: '10m', maxDelay: '10m' });
    failing(1);
    await cache.mutate(1, set(1));
    await pass(clock, 1_000);
    for (let i = 0; i < 50; i++) await cache.mutate(1, set(100 + i));
    await pass(clock, 10_000);
    expect(attempts.length).toBe(1);
    expect(await cache.get(1, async () => shop.views(1))).toBe(149);
    await pass(clock, 600_000, 60_000);
    await cache.journal().flush();
    expect([shop.views(1), attempts.length]).toEqual([149, 3]);
  });

  it('is tried at once by flush(), which tells what the attempt failed with, and waits on', async () => {
    const { cache, shop, attempts, failing } = open({ delay: '10m' });
    failing(2);
    await cache.mutate(1, add(1));
    await expect(cache.journal().flush()).rejects.toThrow('failure 1');
    await expect(cache.journal().flush()).rejects.toThrow('failure 2');
    expect(cache.journal().status().pending).toBe(1);
    await cache.journal().flush();
    expect([shop.views(1), attempts.length]).toEqual([1, 3]);
  });
});

describe('a full batch', () => {
  it('is written without waiting for flushEvery, in pieces of maxBatch, each key once in its order', async () => {
    const { cache, shop, attempts } = open({}, { maxBatch: 3, flushEvery: '30m' });
    for (const key of [5, 1, 5, 2, 1]) await cache.mutate(key, add(1));
    await turns();
    expect(attempts.length).toBe(0);
    await cache.mutate(9, add(1));
    await turns();
    expect(attempts.map(({ entries }) => entries)).toEqual([
      '[{"key":5,"seq":3,"op":"add","by":"2"},{"key":2,"seq":4,"op":"add","by":"1"},{"key":1,"seq":5,"op":"add","by":"2"}]',
    ]);
    expect([shop.views(5), shop.views(9)]).toEqual([2, 0]);
  });

  it('that is not full is written flushEvery after its first mutation', async () => {
    const { cache, clock, attempts } = open({}, { flushEvery: '2s' });
    const start = clock.monotonic();
    await cache.mutate(1, add(1));
    await pass(clock, 1_500);
    await cache.mutate(2, add(1));
    await pass(clock, 1_000);
    expect(attempts.map(({ at }) => at - start)).toEqual([2_000]);
    await cache.mutate(2, add(1));
    await pass(clock, 2_000);
    expect(attempts.length).toBe(2);
  });
});

describe('an attempt that hangs', () => {
  it('is ended after flushTimeout: its signal is aborted, and the next one goes on', async () => {
    const { cache, clock, shop, hooks } = open({ delay: '100ms' }, { flushTimeout: '2s' });
    const hung = deferred<void>();
    hooks.before = (attempt) => (attempt === 1 ? hung.promise : undefined);
    await cache.mutate(1, add(4));
    const flushing = cache
      .journal()
      .flush()
      .catch((error: { code: string }) => error.code);
    await turns();
    await pass(clock, 1_999, 1_999);
    expect(cache.journal().status().pending).toBe(1);
    await pass(clock, 1, 1);
    expect(await flushing).toBe('CACHE_FLUSH_TIMEOUT');
    // It ends late: what it does then is undone.
    hung.resolve();
    await pass(clock, 1_000);
    expect([shop.views(1), cache.journal().status().pending]).toEqual([4, 0]);
  });

  it('says by its signal why it is to end, and does not say it to one that is written', async () => {
    const Views = entity<number, number>('view', counter());
    const { engine, clock } = testEngine();
    const cache = new EntityCache(engine).of(Views);
    const signals: AbortSignal[] = [];
    engine.behindOf(Views).bind({
      ledger: undefined,
      flush: ({ signal }) => {
        signals.push(signal);
        return signals.length === 1 ? new Promise(() => undefined) : undefined;
      },
    });
    await cache.mutate(1, add(1));
    await pass(clock, 6_000);
    expect(signals[0]?.aborted).toBe(true);
    expect(signals[0]?.reason).toMatchObject({
      code: 'CACHE_FLUSH_TIMEOUT',
      flushTimeoutMs: 5_000,
    });
    await pass(clock, 20_000, 500);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    expect(cache.journal().status().flushed).toBe(1);
  });

  it('and commits late changes nothing: the attempt after it finds that it is written', async () => {
    const { cache, clock, shop, attempts } = open({ delay: '100ms' }, { flushTimeout: '2s' });
    const commit = shop.transaction.bind(shop);
    const answer = deferred<void>();
    let first = true;
    shop.transaction = async (work) => {
      const slow = first;
      first = false;
      const result = await commit(work);
      if (slow) await answer.promise;
      return result;
    };
    await cache.mutate(1, add(4));
    await pass(clock, 6_000);
    answer.resolve();
    await turns();
    expect([shop.views(1), attempts.length]).toEqual([4, 1]);
    expect(cache.journal().status()).toMatchObject({ flushed: 1, duplicates: 1, pending: 0 });
  });
});
