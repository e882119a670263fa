import {
  add,
  counter,
  entity,
  EntityCache,
  onCacheEvent,
  writeBehind,
} from 'nestjs-cache-contract';
import type { WriteBehindOptions } from '../../../../lib/contract/strategies.js';
import { calls } from '../../../../lib/read/call-context.js';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { deferred, testEngine } from '../../../support/engine.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

function open(options: WriteBehindOptions & { merge?: 'sum' } = {}) {
  const Views = entity<number, number>('view', {
    ...counter(),
    maxStaleness: '1h',
    write: writeBehind({ flushEvery: '30m', ...options, merge: 'sum' }),
  });
  const { engine, clock } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const shop = new Shop();
  const start = clock.monotonic();
  const batches: { at: number; keys: number[] }[] = [];
  const hooks = { before: (_batch: number): unknown => undefined };
  engine.behindOf(Views).bind({
    ledger: new ShopLedger(shop),
    flush: ({ entries }: FlushBatch<typeof Views>) => {
      const flushing = { ended: false };
      return calls.run({ flushing }, async () => {
        batches.push({ at: clock.monotonic() - start, keys: entries.map(({ key }) => key) });
        await hooks.before(batches.length);
        for (const entry of entries) if (entry.op === 'add') shop.add(entry.key, entry.by);
        flushing.ended = true;
      });
    },
  });
  const pass = async (ms: number, step = 50) => {
    for (let gone = 0; gone < ms; gone += step) {
      clock.advance(step);
      await turns(5);
    }
  };
  const lost: string[] = [];
  const stop = onCacheEvent('fault', ({ code, message }) => {
    if (code === 'CACHE_MUTATIONS_LOST') lost.push(message);
  });
  stops.push(stop);
  /** Whether it has settled by now. */
  const settled = async (work: Promise<unknown>) => {
    let done = false;
    const set = () => (done = true);
    work.then(set, set);
    await turns();
    return done;
  };
  return { engine, clock, cache, shop, batches, hooks, pass, lost, settled };
}
const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

describe('an application that closes', () => {
  it('ends the batch that is being written, begins no further one, and tells of the rest when that has ended', async () => {
    const { engine, cache, shop, batches, hooks, lost, settled } = open({ maxBatch: 1 });
    const wait = deferred<void>();
    hooks.before = () => wait.promise;
    for (const key of [1, 2, 3, 4, 5, 6]) await cache.mutate(key, add(1));
    await turns();
    expect(batches.map(({ keys }) => keys)).toEqual([[1]]);
    const closing = engine.close();
    expect([await settled(closing), lost]).toEqual([false, []]);
    wait.resolve();
    await closing;
    expect([batches.length, shop.views(1), shop.views(2)]).toEqual([1, 1, 0]);
    expect(lost).toEqual([
      "5 accepted mutations of 'view' were lost, because they could not be written before the application ended.",
    ]);
    expect(cache.journal().status()).toMatchObject({ accepted: 6, pending: 5, flushed: 1 });
  });

  it('does not tell of a loss of what was written meanwhile', async () => {
    const { engine, cache, shop, hooks, lost } = open();
    const wait = deferred<void>();
    hooks.before = () => wait.promise;
    await cache.mutate(1, add(1));
    const flushing = cache.journal().flush();
    await turns();
    const closing = engine.close();
    await turns();
    wait.resolve();
    await Promise.all([closing, flushing]);
    expect([shop.views(1), lost]).toEqual([1, []]);
  });

  it('does not begin again a batch that fails then, and leaves no timer', async () => {
    const { engine, clock, cache, batches, hooks, lost, pass } = open();
    const wait = deferred<void>();
    hooks.before = () => wait.promise;
    await cache.mutate(1, add(1));
    const flushing = cache.journal().flush().catch(String);
    await turns();
    const closing = engine.close();
    wait.reject(new Error('connection reset'));
    await closing;
    expect(await flushing).toContain('connection reset');
    await pass(60_000, 10_000);
    expect([batches.length, lost.length, clock.pending]).toEqual([1, 1, 0]);
  });
});

describe('when an application begins to end', () => {
  it('who changes something waits until that is written', async () => {
    const { engine, cache, shop, hooks, settled } = open();
    await engine.drainJournals(10_000);
    const wait = deferred<void>();
    hooks.before = () => wait.promise;
    const changing = cache.mutate(1, add(1));
    expect(await settled(changing)).toBe(false);
    wait.resolve();
    expect(await changing).toMatchObject({ op: 'add', by: 1, receipt: { seq: 1 } });
    expect([shop.views(1), cache.journal().status().pending]).toEqual([1, 0]);
  });

  it('nobody waits where the last attempt has failed, whatever becomes of the next one', async () => {
    const { engine, cache, shop, hooks, settled, pass } = open({
      flushTimeout: '10m',
      retry: { delay: '10m', maxDelay: '10m' },
    });
    const wait = deferred<void>();
    hooks.before = (batch) => {
      if (batch === 1) throw new Error('connection refused');
      return wait.promise;
    };
    await cache.mutate(1, add(1));
    const draining = engine.drainJournals(1_000);
    await turns();
    expect(await settled(cache.mutate(2, add(1)))).toBe(true);
    await pass(1_000);
    expect(await settled(draining)).toBe(true);
    // An attempt is under way by now.
    expect(await settled(cache.mutate(3, add(1)))).toBe(true);
    expect(cache.journal().status()).toMatchObject({ accepted: 3, pending: 3 });
    wait.resolve();
    await cache.journal().flush();
    expect([1, 2, 3].map((key) => shop.views(key))).toEqual([1, 1, 1]);
  });

  it('who waits for an attempt that fails is answered then, because the mutation is accepted', async () => {
    const { engine, cache, hooks, settled } = open();
    await engine.drainJournals(10_000);
    const wait = deferred<void>();
    hooks.before = () => wait.promise;
    const changing = cache.mutate(1, add(1));
    expect(await settled(changing)).toBe(false);
    wait.reject(new Error('connection reset'));
    expect(await changing).toMatchObject({ receipt: { seq: 1 } });
    expect(cache.journal().status()).toMatchObject({ accepted: 1, pending: 1 });
  });

  it('who changes something inside a loader of the entity, or while a batch is written, does not wait for itself', async () => {
    const { engine, cache, shop, hooks, settled } = open();
    await engine.drainJournals(10_000);
    const loading = cache.get(1, async () => {
      await cache.mutate(1, add(1));
      return shop.views(1);
    });
    expect(await settled(loading)).toBe(true);
    let inside: Promise<unknown> | undefined;
    hooks.before = async (batch) => {
      if (batch === 1) await (inside = cache.mutate(2, add(1)));
    };
    expect(await settled(cache.journal().flush())).toBe(true);
    await cache.journal().flush();
    expect([await inside, shop.views(1), shop.views(2)]).toEqual([expect.anything(), 1, 1]);
  });
});

describe('a mutation that is accepted while a batch is written', () => {
  const hung = () => {
    const opened = open({ flushEvery: '1s', flushTimeout: '1m' });
    const wait = deferred<void>();
    opened.hooks.before = (batch) => (batch === 1 ? wait.promise : undefined);
    return { ...opened, wait };
  };
  const at = (batches: readonly { at: number }[]) => batches.map((batch) => batch.at);

  it('is written flushEvery after it was accepted, not after that batch', async () => {
    const { cache, batches, wait, pass } = hung();
    await cache.mutate(1, add(1));
    await pass(1_100);
    await cache.mutate(2, add(1));
    await pass(400);
    wait.resolve();
    await pass(3_000);
    expect(at(batches)).toEqual([1_000, 2_100]);
  });

  it('is written when that batch ends, where it has waited as long as flushEvery by then', async () => {
    const { cache, batches, wait, pass } = hung();
    await cache.mutate(1, add(1));
    await pass(1_100);
    await cache.mutate(2, add(1));
    await pass(2_400);
    wait.resolve();
    await turns();
    await pass(3_000);
    expect(at(batches)).toEqual([1_000, 3_500]);
  });

  it('and was accepted with others is written with them, flushEvery after the first', async () => {
    const { cache, batches, wait, pass } = hung();
    await cache.mutate(1, add(1));
    await pass(1_100);
    await cache.mutate(2, add(1));
    await pass(300);
    await cache.mutate(3, add(1));
    wait.resolve();
    await pass(500);
    await cache.mutate(4, add(1));
    await pass(3_000);
    expect(batches).toEqual([
      { at: 1_000, keys: [1] },
      { at: 2_100, keys: [2, 3, 4] },
    ]);
  });
});
