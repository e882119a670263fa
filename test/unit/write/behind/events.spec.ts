import {
  add,
  counter,
  entity,
  EntityCache,
  onCacheEvent,
  readThrough,
  set,
  writeBehind,
  type CacheEvents,
} from 'nestjs-cache-contract';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { calls } from '../../../../lib/read/call-context.js';
import { testEngine } from '../../../support/engine.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

const Views = entity<number, number>('view', {
  ...counter(),
  write: writeBehind({ merge: 'sum', retry: { delay: '100ms' } }),
});
const Notes = entity<{ text: string }>('note', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s' }),
  write: writeBehind({ maxPending: 1 }),
});
const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};
const stops: (() => void)[] = [];
afterEach(() => stops.splice(0).forEach((stop) => stop()));

function open() {
  const { engine, clock, warnings } = testEngine();
  const cache = new EntityCache(engine);
  const shop = new Shop();
  const hooks = { fail: undefined as unknown, rejected: [] as number[] };
  engine.behindOf(Views).bind({
    ledger: new ShopLedger(shop),
    flush: ({ entries }: FlushBatch<typeof Views>) => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- whatever somebody throws
      if (hooks.fail !== undefined) throw hooks.fail;
      for (const entry of entries) if (entry.op === 'add') shop.add(entry.key, entry.by);
      return { rejected: hooks.rejected.map((key) => ({ key, reason: 'no SECRET 4711' })) };
    },
  });
  engine.behindOf(Notes).bind({ ledger: undefined, flush: () => undefined });
  const heard = {
    accept: [] as CacheEvents['accept'][],
    flush: [] as CacheEvents['flush'][],
    fault: [] as CacheEvents['fault'][],
  };
  stops.push(
    onCacheEvent('accept', (event) => heard.accept.push(event)),
    onCacheEvent('flush', (event) => heard.flush.push(event)),
    onCacheEvent('fault', (event) => heard.fault.push(event)),
  );
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 50) {
      clock.advance(50);
      await turns(5);
    }
  };
  return { engine, clock, cache, shop, hooks, heard, pass, warnings };
}

describe('an accept event', () => {
  it('tells of each mutation that was accepted, of its entry and its request, and not of its key', async () => {
    const { cache, heard } = open();
    await calls.run({ request: 7, handler: 'Views.view' }, () => cache.mutate(Views, 4711, add(1)));
    await cache.mutate(Views, 4711, add(1));
    await cache.mutate(Views, 4712, add(1));
    expect(heard.accept).toEqual([
      {
        namespace: 'test',
        entity: 'view',
        entry: expect.stringMatching(/^[0-9a-f]{16}$/),
        request: 7,
        handler: 'Views.view',
      },
      { namespace: 'test', entity: 'view', entry: heard.accept[0]?.entry },
      { namespace: 'test', entity: 'view', entry: expect.any(String) },
    ]);
    expect(heard.accept[2]?.entry).not.toBe(heard.accept[0]?.entry);
  });

  it('does not tell of one that was refused, in whatever way', async () => {
    const { cache, heard } = open();
    await cache.mutate(Notes, 'a', set({ text: 'x' }));
    await cache.mutate(Notes, 'b', set({ text: 'x' })).catch(() => undefined);
    await cache.mutate(Notes, 'a', { op: 'set', value: undefined as never }).catch(() => undefined);
    await cache.mutate(Notes, '', set({ text: 'x' })).catch(() => undefined);
    expect(heard.accept.length).toBe(1);
  });
});

describe('a flush event', () => {
  it('tells of each attempt what came of it, under the same name, with how long it took', async () => {
    const { cache, hooks, heard, pass } = open();
    hooks.fail = new RangeError('no SECRET 4711');
    await cache.mutate(Views, 4711, add(1));
    await cache.mutate(Views, 4712, add(1));
    await cache
      .journal(Views)
      .flush()
      .catch(() => undefined);
    hooks.fail = undefined;
    await pass(1_000);
    const about = {
      namespace: 'test',
      entity: 'view',
      batch: expect.stringMatching(/^test:view:0:[-0-9a-f]{36}:2$/),
      entries: 2,
    };
    expect(heard.flush).toEqual([
      { ...about, outcome: 'failed', flushMs: expect.any(Number) },
      { ...about, outcome: 'applied', flushMs: expect.any(Number) },
    ]);
    expect(new Set(heard.flush.map(({ batch }) => batch)).size).toBe(1);
  });

  it('tells of one that was written before', async () => {
    const { cache, shop, heard, pass } = open();
    const commit = shop.transaction.bind(shop);
    let lost = 0;
    shop.transaction = async (work) => {
      const result = await commit(work);
      if (lost++ === 0) throw new Error('the connection was reset');
      return result;
    };
    await cache.mutate(Views, 1, add(1));
    await pass(2_000);
    expect(heard.flush.map(({ outcome }) => outcome)).toEqual(['failed', 'duplicate']);
  });
});

describe('a fault event', () => {
  it('of a failed attempt names the kind of error only, and is logged once', async () => {
    const { cache, hooks, heard, pass, warnings } = open();
    hooks.fail = Object.assign(new TypeError('duplicate key (id)=(4711)'), { detail: 'SECRET' });
    await cache.mutate(Views, 4711, add(815));
    await pass(1_200);
    expect(heard.fault.length).toBeGreaterThan(1);
    for (const fault of heard.fault) {
      expect(fault).toEqual({
        namespace: 'test',
        entity: 'view',
        code: 'CACHE_FLUSH_FAILED',
        message:
          "Writing a batch of 'view' failed with TypeError. Nothing is lost; it is tried again, unchanged.",
      });
    }
    expect(warnings.length).toBe(1);
  });

  it('of what is lost at the end counts it, and holds no key or value', async () => {
    const { cache, engine, hooks, heard, pass } = open();
    hooks.fail = new Error('no SECRET');
    await cache.mutate(Views, 4711, add(815));
    await cache.mutate(Views, 4711, add(815));
    await pass(1_000);
    await engine.close();
    expect(heard.fault.at(-1)).toEqual({
      namespace: 'test',
      entity: 'view',
      code: 'CACHE_MUTATIONS_LOST',
      message:
        "2 accepted mutations of 'view' were lost, because they could not be written before the application ended.",
    });
  });

  it('does not tell of a loss where all was written', async () => {
    const { cache, engine, heard } = open();
    await cache.mutate(Views, 1, add(1));
    await cache.journal(Views).flush();
    await engine.close();
    expect(heard.fault).toEqual([]);
  });

  it('of a value that nothing can be added to says how to mend the loader, without the value', async () => {
    const { cache, heard } = open();
    await cache.mutate(Views, 4711, add(1));
    await cache.get(Views, 4711, async () => 'SECRET' as never);
    expect(heard.fault).toMatchObject([
      {
        code: 'CACHE_VALUE_UNSTORABLE',
        message:
          "A value of 'view' was returned but not stored: it is a string, and mutations wait to be added to it. Fix: return a number or bigint, as in Number(row.views): some drivers give 64-bit columns as text.",
      },
    ]);
  });

  it('of a ledger that stands before what it had acknowledged says so, and what waits is written', async () => {
    const { cache, shop, heard, pass } = open();
    await cache.mutate(Views, 1, add(1));
    await cache.journal(Views).flush();
    await cache.mutate(Views, 1, add(1));
    await cache.journal(Views).flush();
    shop.sqlite.run('DELETE FROM cache_ledger');
    shop.sqlite.run('UPDATE views SET n = 0');
    await cache.mutate(Views, 1, add(5));
    await pass(3_000);
    expect(shop.views(1)).toBe(5);
    expect(heard.fault.map(({ code }) => code)).toEqual(['CACHE_LEDGER_REGRESSED']);
    expect(cache.journal(Views).status()).toMatchObject({ pending: 0, flushed: 3 });
  });

  it.each([
    ['an error', new RangeError('SECRET'), 'RangeError'],
    ['a text', 'SECRET', 'string'],
    ['nothing', null, 'object'],
  ])('says nothing of what was thrown, be it %s', async (_, thrown, name) => {
    const { cache, hooks, heard } = open();
    hooks.fail = thrown;
    await cache.mutate(Views, 1, add(1));
    await expect(cache.journal(Views).flush()).rejects.toBe(thrown);
    expect(heard.fault[0]?.message).toContain(`failed with ${name}.`);
    expect(JSON.stringify(heard)).not.toContain('SECRET');
  });
});
