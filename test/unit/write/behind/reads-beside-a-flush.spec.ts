import v8 from 'node:v8';
import vm from 'node:vm';
import {
  add,
  counter,
  entity,
  EntityCache,
  invalidate,
  onCacheEvent,
  readThrough,
  set,
  writeBehind,
} from 'nestjs-cache-contract';
import { calls } from '../../../../lib/read/call-context.js';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { deferred, testEngine } from '../../../support/engine.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

const microtasks = async (count: number) => {
  while (count-- > 0) await Promise.resolve();
};

const Views = entity<number, number>('view', {
  ...counter(),
  maxStaleness: '1h',
  write: writeBehind({
    merge: 'sum',
    flushEvery: '1s',
    retry: { attempts: 1, delay: '100ms', maxDelay: '100ms' },
  }),
});
/** Its loader reads views. */
const Pages = entity<number, number>('page', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '1m' }),
  write: invalidate(),
});

function open() {
  const { engine, clock } = testEngine();
  const all = new EntityCache(engine);
  const [cache, pages] = [all.of(Views), all.of(Pages)];
  const rows = new Map<number, number>();
  const loads = new Map<number, number>();
  const batches: number[][] = [];
  const hooks: { write: () => unknown; load: () => unknown } = {
    write: () => undefined,
    load: () => undefined,
  };
  engine.behindOf(Views).bind({
    ledger: undefined,
    flush: async ({ entries }: FlushBatch<typeof Views>) => {
      batches.push(entries.map(({ key }) => key));
      await hooks.write();
      for (const entry of entries) {
        const before = rows.get(entry.key) ?? 0;
        rows.set(entry.key, entry.op === 'add' ? before + Number(entry.by) : Number(entry.value));
      }
    },
  });
  const count = (key: number) =>
    cache.get(key, async () => {
      loads.set(key, (loads.get(key) ?? 0) + 1);
      const says = rows.get(key) ?? 0;
      await hooks.load();
      return says;
    });
  let page = 0;
  /** A read of the key that is part of a load of another entity; of another page each time. */
  const within = (key: number) => pages.get(++page, () => count(key));
  return { engine, clock, cache, rows, loads, batches, hooks, count, within };
}

describe('loads of other entities that read a key while a batch of it waits to begin', () => {
  it('join the load of the key that runs, and do not hold up the batch', async () => {
    const { cache, loads, batches, hooks, count, within } = open();
    await cache.mutate(1, add(1));
    const go = deferred<void>();
    hooks.load = () => go.promise;
    const first = count(1);
    await turns();
    const flushing = cache.journal().flush();
    await turns();
    const more = Promise.all(Array.from({ length: 5 }, () => within(1)));
    await turns();
    expect([loads.get(1), batches]).toEqual([1, []]);
    go.resolve();
    await flushing;
    expect([await first, await more, await count(1)]).toEqual([1, [1, 1, 1, 1, 1], 1]);
    expect([loads.get(1), batches]).toEqual([1, [[1]]]);
  });

  it('however many come, and however long: the batch is written, and the key is not loaded by each of them', async () => {
    const { clock, cache, loads, batches, hooks, within } = open();
    hooks.load = () => new Promise<void>((resolve) => clock.after(20, () => resolve()));
    await cache.mutate(1, add(1));
    const said: Promise<number>[] = [];
    for (let ms = 0; ms < 2_000; ms += 5) {
      clock.advance(5);
      await turns(1);
      // From shortly before the batch is due there is always one that runs.
      if (ms >= 980) said.push(within(1));
      await turns(1);
    }
    clock.advance(20);
    await turns();
    expect(new Set(await Promise.all(said))).toEqual(new Set([1]));
    expect(batches).toEqual([[1]]);
    // One that the batch waited for, and one after it.
    expect(loads.get(1)).toBeLessThanOrEqual(2);
    expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 1 });
  });

  it('leave behind one that waits for the batch itself, and share a load that does not', async () => {
    const { cache, loads, batches, hooks, count, within } = open();
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    const go = deferred<void>();
    hooks.load = () => go.promise;
    const one = count(1);
    await turns();
    const flushing = cache.journal().flush();
    await turns();
    const waits = count(2);
    await turns();
    expect(loads.get(2)).toBeUndefined();
    const more = Promise.all(Array.from({ length: 5 }, () => within(2)));
    await turns();
    expect([loads.get(2), batches]).toEqual([1, []]);
    go.resolve();
    await flushing;
    expect([await one, await waits, await more]).toEqual([1, 1, [1, 1, 1, 1, 1]]);
    expect([loads.get(2), batches]).toEqual([2, [[1, 2]]]);
  });
});

describe('of a key that was set, and added to while that was written, a read that misses', () => {
  it('counts nothing twice, whenever it comes around the acknowledgement', async () => {
    const wrong: string[] = [];
    const pendingThen = new Set<number>();
    for (let k = 0; k < 60; k++) {
      const { cache, rows, batches, hooks } = open();
      const go = deferred<void>();
      hooks.write = () => go.promise;
      await cache.mutate(1, set(5));
      const flushing = cache.journal().flush();
      await turns(3);
      await cache.mutate(1, add(1));
      await cache.invalidate(1);
      go.resolve();
      await microtasks(k);
      pendingThen.add(cache.journal().status().pending);
      const load = async () => rows.get(1) ?? 0;
      const at = await cache.get(1, load);
      await flushing;
      const after = await cache.get(1, load);
      await cache.journal().flush();
      await cache.invalidate(1);
      const written = await cache.get(1, load);
      if (at !== 6 || after !== 6 || written !== 6) wrong.push(`${k}: ${at} ${after} ${written}`);
      if (batches.length !== 2) wrong.push(`${k}: ${batches.length} batches`);
    }
    expect(wrong).toEqual([]);
    // Before it, and after it.
    expect(pendingThen).toEqual(new Set([2, 1]));
  });

  it('counts nothing twice where a ledger knows what is written, whenever both come after the batch has begun', async () => {
    const wrong: string[] = [];
    for (let k = 0; k < 60; k++) {
      const { engine } = testEngine();
      const cache = new EntityCache(engine).of(Views);
      const shop = new Shop();
      shop.add(1, 3n);
      engine.behindOf(Views).bind({
        ledger: new ShopLedger(shop),
        flush: ({ entries }: FlushBatch<typeof Views>) => {
          for (const entry of entries) {
            const by = entry.op === 'add' ? entry.by : BigInt(entry.value) - BigInt(shop.views(1));
            shop.add(entry.key, by);
          }
        },
      });
      await cache.mutate(1, set(5));
      const flushing = cache.journal().flush();
      await microtasks(k);
      await cache.mutate(1, add(1));
      await cache.invalidateFamily();
      const load = async () => shop.views(1);
      const at = await cache.get(1, load);
      await flushing;
      await cache.journal().flush();
      const after = await cache.get(1, load);
      if (at !== 6 || after !== 6 || shop.views(1) !== 6)
        wrong.push(`${k}: ${at} ${after} ${shop.views(1)}`);
    }
    expect(wrong).toEqual([]);
  });
});

it('priming inside the method that writes the batch asks the source, and does not wait for that batch', async () => {
  const { engine } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const shop = new Shop();
  shop.add(1, 40n);
  const primed: number[] = [];
  engine.behindOf(Views).bind({
    ledger: new ShopLedger(shop),
    flush: ({ entries }: FlushBatch<typeof Views>) => {
      const flushing = { ended: false };
      return calls.run({ flushing }, async () => {
        for (const entry of entries) {
          if (entry.op === 'add') shop.add(entry.key, entry.by);
          primed.push(await cache.prime(entry.key, async () => shop.views(entry.key)));
        }
        flushing.ended = true;
      });
    },
  });
  await cache.mutate(1, add(1));
  await cache.mutate(2, add(2));
  let outcome: unknown = 'waits';
  cache
    .journal()
    .flush()
    .then(
      () => (outcome = 'done'),
      (error: unknown) => (outcome = error),
    );
  await turns();
  // What is pending is not added: the source has it.
  expect([outcome, primed]).toEqual(['done', [41, 2]]);
  expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 2, dead: 0 });
  expect(await cache.get(1, async () => shop.views(1))).toBe(41);
});

describe('reads that have timed out while a batch is not written', () => {
  /** 100 keys are read again and again, each time until that is given up. */
  async function giveUp(rounds: number, register: (request: object) => void) {
    const { engine, clock, cache, hooks } = open();
    hooks.write = () => Promise.reject(new Error('connection refused'));
    const keys = Array.from({ length: 100 }, (_, key) => key + 1);
    for (const key of keys) await cache.mutate(key, add(1));
    clock.advance(1_000);
    await turns();
    const { gate } = engine.behindOf(Views)['shards'][0]!;
    let most = 0;
    const outcomes = new Set<unknown>();
    for (let round = 0; round < rounds; round++) {
      for (const key of keys) {
        const request = { key };
        register(request);
        cache
          .get(key, async () => request.key)
          .catch(({ code }: { code: unknown }) => outcomes.add(code));
      }
      most = Math.max(most, gate['waiting'].size);
      clock.advance(3_100);
      await turns(3);
    }
    return { most, outcomes, gate, cache };
  }

  it('leave nothing at the gate', async () => {
    const { most, outcomes, gate, cache } = await giveUp(5, () => undefined);
    expect([most, outcomes]).toEqual([100, new Set(['CACHE_LOAD_TIMEOUT'])]);
    expect([gate['waiting'].size, gate['loads'].size]).toEqual([0, 0]);
    expect(cache.journal().status().pending).toBe(100);
  });

  it('leave nothing that would keep their requests in memory', async () => {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    const requests: WeakRef<object>[] = [];
    const held = await giveUp(10, (request) => requests.push(new WeakRef(request)));
    const alive = () => requests.filter((request) => request.deref() !== undefined).length;
    for (let tries = 0; tries < 10 && alive() > 0; tries++) {
      await turns();
      collect();
    }
    // The rest may be on the stack of somebody yet.
    expect([requests.length, alive() < 100]).toEqual([1_000, true]);
    expect(held.cache.journal().status().pending).toBe(100);
  });
});

it('several keys that are read at once, and wait for the same batch, are loaded by one call', async () => {
  const { cache, rows, hooks } = open();
  const go = deferred<void>();
  hooks.write = () => go.promise;
  for (const key of [1, 2, 3, 4, 5]) await cache.mutate(key, add(key));
  const flushing = cache.journal().flush();
  await turns();
  const asked: (readonly number[])[] = [];
  const joins: string[] = [];
  const stop = onCacheEvent('join', ({ entity }) => joins.push(entity));
  const many = cache.getMany([1, 2, 3, 4, 5, 6], async (keys) => {
    asked.push(keys);
    return keys.map((key) => rows.get(key) ?? 0);
  });
  await turns();
  // What nobody writes does not wait.
  expect(asked).toEqual([[6]]);
  go.resolve();
  await flushing;
  expect(await many).toEqual([1, 2, 3, 4, 5, 0]);
  stop();
  expect([asked, joins]).toEqual([[[6], [1, 2, 3, 4, 5]], []]);
});
