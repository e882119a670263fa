import {
  add,
  counter,
  entity,
  EntityCache,
  readThrough,
  remove,
  set,
  writeBehind,
} from 'nestjs-cache-contract';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { deferred, testEngine } from '../../../support/engine.js';

const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

describe('a load that reads another key of its entity, while a batch of both waits for it to end,', () => {
  const Views = entity<number, number>('view', {
    ...counter(),
    maxStaleness: '1h',
    write: writeBehind({ merge: 'sum', flushEvery: '30m' }),
  });

  function open() {
    const { engine, clock } = testEngine();
    const cache = new EntityCache(engine).of(Views);
    const rows = new Map([
      [1, 10],
      [2, 200],
    ]);
    const batches: number[][] = [];
    engine.behindOf(Views).bind({
      ledger: undefined,
      flush: ({ entries }: FlushBatch<typeof Views>) => {
        batches.push(entries.map(({ key }) => key));
        for (const entry of entries)
          if (entry.op === 'add') rows.set(entry.key, rows.get(entry.key)! + Number(entry.by));
      },
    });
    const loads = { 1: 0, 2: 0 } as { [key: number]: number };
    const count = (key: number) =>
      cache.get(key, async () => {
        loads[key]!++;
        return rows.get(key)!;
      });
    /** Its loader reads 2 when the test lets it go on. */
    const outer = (go: Promise<void>) =>
      cache.get(1, async () => {
        const own = rows.get(1)!;
        await go;
        return own + (await count(2)) * 1_000;
      });
    return { cache, clock, rows, batches, loads, count, outer };
  }

  it('does not wait for that batch, and everybody gets an answer: the batch is written, and all is counted once', async () => {
    const { cache, rows, batches, count, outer } = open();
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    const go = deferred<void>();
    const one = outer(go.promise);
    await turns();
    const flushing = cache.journal().flush();
    await turns();
    // It waits: nobody knows whether it would see the batch.
    let read: number | undefined;
    const two = count(2).then((value) => (read = value));
    await turns();
    expect([read, batches]).toEqual([undefined, []]);
    go.resolve();
    await turns(50);
    expect(batches).toEqual([[1, 2]]);
    await flushing;
    expect([await one, await two, await count(2)]).toEqual([201_011, 201, 201]);
    expect([...rows.values()]).toEqual([11, 201]);
    expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 2 });
  });

  it('does not wait either where nobody else reads that key', async () => {
    const { cache, batches, outer, count } = open();
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    const go = deferred<void>();
    const one = outer(go.promise);
    await turns();
    const flushing = cache.journal().flush();
    await turns();
    go.resolve();
    await turns(50);
    expect(batches).toEqual([[1, 2]]);
    await flushing;
    expect([await one, await count(2)]).toEqual([201_011, 201]);
  });

  it('is waited for by one batch only: loads that come later wait for that, and load once', async () => {
    const { cache, batches, loads, count, outer } = open();
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    const go = deferred<void>();
    const one = outer(go.promise);
    await turns();
    const flushing = cache.journal().flush();
    await turns();
    const many = Promise.all(Array.from({ length: 5 }, () => count(2)));
    await turns();
    go.resolve();
    await turns(50);
    await flushing;
    expect([await one, await many]).toEqual([201_011, [201, 201, 201, 201, 201]]);
    // The inner load, and one for those who waited.
    expect(loads[2]).toBeLessThanOrEqual(2);
    expect(batches.length).toBe(1);
  });
});

describe('what was set or removed, and is not written yet,', () => {
  class Note {
    constructor(readonly text: string) {}
    get shout() {
      return `${this.text}!`;
    }
  }
  const options = {
    maxStaleness: '1h',
    read: readThrough({ ttl: '20s', negativeTtl: '20s' }),
    write: writeBehind({
      flushTimeout: '10m',
      flushEvery: '1s',
      retry: { delay: '10s', maxDelay: '10s' },
    }),
  } as const;
  const Plain = entity<{ text: string } | null, string>('plain', options);
  const Notes = entity<Note | null, string>('note', {
    ...options,
    revive: (plain) => new Note((plain as Note).text),
  });

  /** A flush that does not come to an end before the test says so. */
  function open<E extends typeof Plain | typeof Notes>(of: E, how: 'hangs' | 'fails') {
    const { engine, clock } = testEngine();
    const cache = new EntityCache(engine).of<Note | null, string>(of as typeof Notes);
    const rows = new Map<string, unknown>([['a', new Note('old')]]);
    const end = deferred<void>();
    const target = { works: false, attempts: 0, asked: 0 };
    engine.behindOf(of).bind({
      ledger: undefined,
      flush: async ({ entries }: FlushBatch<typeof Notes>) => {
        target.attempts++;
        if (!target.works && how === 'fails') throw new Error('connection refused');
        await end.promise;
        for (const entry of entries) {
          if (entry.op === 'set') rows.set(entry.key, entry.value);
          else rows.delete(entry.key);
        }
      },
    });
    const read = () =>
      cache.get('a', async () => {
        target.asked++;
        const row = rows.get('a') as Note | undefined;
        return row === undefined ? null : new Note(row.text);
      });
    const pass = async (ms: number) => {
      for (let gone = 0; gone < ms; gone += 1_000) {
        clock.advance(1_000);
        await turns(3);
      }
    };
    const letGo = async () => {
      target.works = true;
      end.resolve();
      await pass(30_000);
    };
    return { cache, rows, target, read, pass, letGo };
  }
  /** What it says by now; nothing if it waits. */
  const answered = async (reading: Promise<Note | null>) => {
    let said: unknown;
    reading.then(
      (value) => (said = value),
      (error: unknown) => (said = error),
    );
    await turns();
    return said;
  };

  describe.each(['hangs', 'fails'] as const)('while the batch that writes it %s,', (how) => {
    it('is read at once, also where what was cached has expired, and the source is not asked', async () => {
      const { cache, target, read, pass, letGo, rows } = open(Plain, how);
      expect(await read()).toMatchObject({ text: 'old' });
      await cache.mutate('a', set({ text: 'new' }) as never);
      await pass(60_000);
      expect(target.attempts).toBeGreaterThan(0);
      const asked = target.asked;
      expect(await answered(read())).toEqual({ text: 'new' });
      expect([target.asked, cache.journal().status().pending]).toEqual([asked, 1]);
      await letGo();
      expect(cache.journal().status().pending).toBe(0);
      expect([await read(), rows.get('a')]).toEqual([{ text: 'new' }, { text: 'new' }]);
    });

    it('is read as an instance, one for each reader, where the contract says how to make one', async () => {
      const { cache, read, pass, letGo } = open(Notes, how);
      await cache.mutate('a', set(new Note('new')));
      await pass(60_000);
      const [one, two] = [await answered(read()), await answered(read())];
      for (const note of [one, two]) {
        expect(note).toBeInstanceOf(Note);
        expect((note as Note).shout).toBe('new!');
      }
      expect(one).not.toBe(two);
      await letGo();
      expect((await read())?.shout).toBe('new!');
    });

    it('is nothing where it was removed, and stays that after it is written', async () => {
      const { cache, rows, read, pass, letGo } = open(Plain, how);
      expect(await read()).toMatchObject({ text: 'old' });
      await cache.mutate('a', remove());
      await pass(60_000);
      expect(await answered(read())).toBeNull();
      await letGo();
      expect([await read(), rows.size]).toEqual([null, 0]);
    });

    it('is what was accepted last: what joins meanwhile is read at once, and left after both are written', async () => {
      const { cache, rows, read, pass, letGo } = open(Plain, how);
      await cache.mutate('a', set({ text: 'first' }) as never);
      await pass(60_000);
      await cache.mutate('a', set({ text: 'second' }) as never);
      await pass(60_000);
      expect(await answered(read())).toEqual({ text: 'second' });
      await letGo();
      expect([await read(), rows.get('a')]).toEqual([{ text: 'second' }, { text: 'second' }]);
      // What is stored is not older than what was written, also when it is loaded anew.
      await pass(60_000);
      expect(await read()).toMatchObject({ text: 'second' });
    });
  });

  it('is what priming gives and stores, whatever was loaded: nothing where it was removed', async () => {
    const { cache, read } = open(Notes, 'hangs');
    await cache.mutate('a', remove());
    expect(await cache.prime('a', async () => new Note('old'))).toBeNull();
    expect([await cache.peek('a'), await read()]).toEqual([null, null]);
    await cache.mutate('a', set(new Note('new')));
    const primed = await cache.prime('a', async () => new Note('old'));
    expect([primed?.shout, (await cache.peek('a'))?.shout]).toEqual(['new!', 'new!']);
  });

  it('is what priming gives also where that loads before it is removed', async () => {
    const { cache, read } = open(Notes, 'hangs');
    const loaded = deferred<Note>();
    const priming = cache.prime('a', () => loaded.promise);
    await turns();
    await cache.mutate('a', remove());
    loaded.resolve(new Note('old'));
    expect([await priming, await read()]).toEqual([null, null]);
  });
});
