import {
  add,
  counter,
  entity,
  EntityCache,
  onCacheEvent,
  readThrough,
  remove,
  set,
  writeBehind,
} from 'nestjs-cache-contract';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { deferred, testEngine } from '../../../support/engine.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

const Views = entity<number, number>('view', {
  ...counter(),
  write: writeBehind({ merge: 'sum', retry: { delay: '100ms' } }),
});
const Notes = entity<{ text: string; at: Date } | null, [book: string, page: number]>('note', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s' }),
  write: writeBehind(),
});
const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

/** An application of its own on the same database, if one is given. */
function open({ shop = new Shop(), withLedger = true } = {}) {
  const { engine, clock } = testEngine();
  const entities = new EntityCache(engine);
  const refused = new Map<number, string>();
  const hooks = { wait: undefined as Promise<void> | undefined, calls: 0 };
  const ledger = withLedger ? new ShopLedger(shop) : undefined;
  engine.behindOf(Views).bind({
    ledger,
    flush: async ({ entries }: FlushBatch<typeof Views>) => {
      hooks.calls++;
      await hooks.wait;
      const rejected = entries.filter(({ key }) => refused.has(key));
      for (const entry of entries) {
        if (rejected.includes(entry)) continue;
        if (entry.op === 'add') shop.add(entry.key, entry.by);
        else
          shop.sqlite.run('INSERT OR REPLACE INTO views VALUES (?, ?)', [entry.key, entry.value]);
      }
      return { rejected: rejected.map(({ key }) => ({ key, reason: refused.get(key)! })) };
    },
  });
  engine.behindOf(Notes).bind({
    ledger,
    flush: ({ entries }: FlushBatch<typeof Notes>) => ({
      rejected: entries.map(({ key }) => ({ key, reason: 'no such page' })),
    }),
  });
  const cache = entities.of(Views);
  const bury = async (key: number, by = key) => {
    refused.set(key, `view ${key} is closed`);
    await cache.mutate(key, add(by));
    await cache.journal().flush();
    const letters = await cache.journal().deadLetters();
    return letters.find((letter) => letter.key === key)!.id;
  };
  const seen = (key: number) => cache.get(key, async () => shop.views(key));
  /** Time goes by, and whatever it brings about is done. */
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 100) {
      clock.advance(100);
      await turns(5);
    }
  };
  return { shop, engine, pass, cache, notes: entities.of(Notes), refused, hooks, bury, seen };
}

describe.each([true, false])('a dead letter (ledger: %p)', (withLedger) => {
  it('tells what was to be written, why it was not, and since when', async () => {
    const { cache, notes, bury } = open({ withLedger });
    const before = Date.now();
    const id = await bury(1, 3);
    const [letter, ...more] = await cache.journal().deadLetters();
    expect(more).toEqual([]);
    const { buriedAt, ...rest } = letter!;
    expect(rest).toEqual({ id, key: 1, seq: 1, op: 'add', by: 3, reason: 'view 1 is closed' });
    expect(buriedAt.getTime()).toBeGreaterThanOrEqual(before);
    const at = new Date(5);
    await notes.mutate(['a', 1], set({ text: 'x', at }));
    await notes.mutate(['a', 2], remove());
    await notes.journal().flush();
    expect(await notes.journal().deadLetters()).toEqual([
      expect.objectContaining({ key: ['a', 1], op: 'set', value: { text: 'x', at } }),
      expect.objectContaining({ key: ['a', 2], op: 'remove' }),
    ]);
  });

  it('is written once when it is retried, and is gone then', async () => {
    const { cache, shop, bury, refused, seen } = open({ withLedger });
    const id = await bury(1, 3);
    expect(await seen(1)).toBe(0);
    refused.clear();
    expect(await cache.journal().retry(id)).toBe(true);
    expect([shop.views(1), await seen(1)]).toEqual([3, 3]);
    expect(await cache.journal().deadLetters()).toEqual([]);
    expect(await cache.journal().retry(id)).toBe(false);
    expect(shop.views(1)).toBe(3);
  });

  it('is written once when two retry it at once: one of them is told that it is not there any more', async () => {
    const { cache, shop, bury, refused } = open({ withLedger });
    const id = await bury(1, 3);
    refused.clear();
    const journal = cache.journal();
    const outcomes = await Promise.allSettled([journal.retry(id), journal.retry(id)]);
    expect(shop.views(1)).toBe(3);
    expect(await journal.deadLetters()).toEqual([]);
    expect(outcomes).toEqual([
      { status: 'fulfilled', value: true },
      { status: 'fulfilled', value: false },
    ]);
  });

  it('is either retried or discarded, whoever comes first', async () => {
    const { cache, shop, bury, refused } = open({ withLedger });
    const id = await bury(1, 3);
    refused.clear();
    const journal = cache.journal();
    const [retried, discarded] = await Promise.allSettled([journal.retry(id), journal.discard(id)]);
    const wrote = retried.status === 'fulfilled' && retried.value;
    const dropped = discarded.status === 'fulfilled' && discarded.value;
    expect([wrote, dropped].filter(Boolean).length).toBe(1);
    expect(shop.views(1)).toBe(wrote ? 3 : 0);
    expect(await journal.deadLetters()).toEqual([]);
  });

  it('stays what it is when it is rejected again, and its caller is told why', async () => {
    const { cache, shop, bury, pass } = open({ withLedger });
    const id = await bury(1, 3);
    const letters = await cache.journal().deadLetters();
    await expect(cache.journal().retry(id)).rejects.toMatchObject({
      code: 'CACHE_MUTATION_REJECTED',
      entity: 'view',
      reason: 'view 1 is closed',
    });
    expect(await cache.journal().deadLetters()).toEqual(letters);
    expect(shop.views(1)).toBe(0);
    // What comes after it is written as before.
    await cache.mutate(2, add(1));
    await pass(3_000);
    expect(shop.views(2)).toBe(1);
    expect(cache.journal().status()).toMatchObject({ pending: 0, dead: 1 });
  });

  it('stays when writing it fails, and is written by a later retry', async () => {
    const { cache, shop, bury, refused, hooks } = open({ withLedger });
    const id = await bury(1, 3);
    refused.clear();
    hooks.wait = Promise.reject(new Error('connection reset'));
    await expect(cache.journal().retry(id)).rejects.toThrow('connection reset');
    hooks.wait = undefined;
    expect((await cache.journal().deadLetters()).length).toBe(1);
    expect(await cache.journal().retry(id)).toBe(true);
    expect(shop.views(1)).toBe(3);
  });

  it('is not written when it is discarded', async () => {
    const { cache, shop, bury, refused } = open({ withLedger });
    const id = await bury(1);
    refused.clear();
    expect(await cache.journal().discard(id)).toBe(true);
    expect(await cache.journal().discard(id)).toBe(false);
    expect(await cache.journal().retry(id)).toBe(false);
    expect(await cache.journal().deadLetters()).toEqual([]);
    expect(shop.views(1)).toBe(0);
  });

  it('that nobody knows is nothing to retry or to discard', async () => {
    const { cache } = open({ withLedger });
    expect(await cache.journal().retry('x')).toBe(false);
    expect(await cache.journal().discard('x')).toBe(false);
  });
});

it('keeps those of the database for the next process, and lets that retry them', async () => {
  const one = open();
  const id = await one.bury(1, 3);
  const two = open({ shop: one.shop });
  expect((await two.cache.journal().deadLetters()).map((letter) => letter.id)).toEqual([id]);
  expect(await two.cache.journal().retry(id)).toBe(true);
  expect([one.shop.views(1), await one.cache.journal().deadLetters()]).toEqual([3, []]);
});

it('writes a dead letter once when two processes retry it at the same time', async () => {
  const one = open();
  const id = await one.bury(1, 3);
  one.refused.clear();
  const two = open({ shop: one.shop });
  const outcomes = await Promise.allSettled([
    one.cache.journal().retry(id),
    two.cache.journal().retry(id),
  ]);
  expect(one.shop.views(1)).toBe(3);
  expect(outcomes.map((outcome) => outcome.status === 'fulfilled' && outcome.value)).toEqual([
    true,
    false,
  ]);
});

it('writes a dead letter after what was accepted before the retry', async () => {
  const { cache, shop, bury, refused } = open();
  await cache.mutate(1, set(100));
  await cache.journal().flush();
  const id = await bury(1, 3);
  refused.clear();
  await cache.mutate(1, set(50));
  await cache.journal().retry(id);
  expect(shop.views(1)).toBe(53);
});

describe('a mutation whose caller waits until it is written', () => {
  const rejected = (reason: string) =>
    expect.objectContaining({ code: 'CACHE_MUTATION_REJECTED', reason });

  it('and that is rejected is no dead letter, because its caller knows', async () => {
    const { engine, cache, refused, seen, pass } = open();
    refused.set(1, 'closed');
    expect(await seen(1)).toBe(0);
    await expect(engine.behindOf(Views).acceptWritten('1', 1, add(1))).rejects.toEqual(
      rejected('closed'),
    );
    await pass(1_000);
    expect([await cache.journal().deadLetters(), await seen(1)]).toEqual([[], 0]);
    expect(cache.journal().status()).toMatchObject({ pending: 0, dead: 0 });
  });

  it('and that is rejected holds up nobody: its key is read, and others are written, without a pause', async () => {
    const { engine, cache, shop, refused, seen } = open();
    refused.set(1, 'closed');
    await engine
      .behindOf(Views)
      .acceptWritten('1', 1, add(1))
      .catch(() => undefined);
    let read: number | undefined;
    void seen(1).then((value) => (read = value));
    await turns();
    expect(read).toBe(0);
    await cache.mutate(2, add(2));
    await cache.journal().flush();
    expect(shop.views(2)).toBe(2);
  });

  it('and that is rejected speaks for itself only: the one after it is written', async () => {
    const { engine, shop, refused } = open();
    refused.set(1, 'closed');
    const behind = engine.behindOf(Views);
    const outcomes = await Promise.allSettled([
      behind.acceptWritten('1', 1, add(1)),
      behind.acceptWritten('2', 2, add(2)),
    ]);
    expect(outcomes).toEqual([
      { status: 'rejected', reason: rejected('closed') },
      { status: 'fulfilled', value: undefined },
    ]);
    expect(shop.views(2)).toBe(2);
  });

  it('and that is rejected does not fail a flush() of what others have accepted', async () => {
    const { engine, cache, shop, refused, hooks } = open();
    refused.set(1, 'closed');
    const wait = deferred<void>();
    hooks.wait = wait.promise;
    const awaited = engine.behindOf(Views).acceptWritten('1', 1, add(1)).catch(String);
    await turns();
    await cache.mutate(2, add(2));
    const flushing = cache.journal().flush();
    wait.resolve();
    expect(await awaited).toContain('closed');
    await flushing;
    expect(shop.views(2)).toBe(2);
  });

  it('and that fails is not written later, although what waits behind it is', async () => {
    const { engine, cache, pass, shop, hooks } = open();
    hooks.wait = Promise.reject(new Error('connection reset'));
    await expect(engine.behindOf(Views).acceptWritten('1', 1, add(1))).rejects.toThrow('reset');
    hooks.wait = undefined;
    await cache.mutate(2, add(2));
    await pass(5_000);
    expect([shop.views(1), shop.views(2)]).toEqual([0, 2]);
    expect(cache.journal().status()).toMatchObject({ pending: 0 });
  });

  it('is not said to be tried again when it is rejected', async () => {
    const { engine, refused } = open();
    refused.set(1, 'closed');
    const messages: string[] = [];
    const stop = onCacheEvent('fault', ({ message }) => messages.push(message));
    await engine
      .behindOf(Views)
      .acceptWritten('1', 1, add(1))
      .catch(() => undefined);
    stop();
    expect(messages.filter((message) => message.includes('it is tried again'))).toEqual([]);
  });

  it('sees its effect, and not that of one that was given up', async () => {
    const { engine, seen, hooks, pass } = open();
    const behind = engine.behindOf(Views);
    await behind.acceptWritten('1', 1, add(4));
    expect(await seen(1)).toBe(4);
    hooks.wait = Promise.reject(new Error('connection reset'));
    await behind.acceptWritten('1', 1, add(4)).catch(() => undefined);
    hooks.wait = undefined;
    await pass(1_000);
    expect(await seen(1)).toBe(4);
  });
});
