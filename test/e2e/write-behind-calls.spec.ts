import 'reflect-metadata';
import { jest } from '@jest/globals';
import { Injectable, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  add,
  Cached,
  CachedMany,
  CacheModule,
  counter,
  currentLoad,
  entity,
  EntityCache,
  Flushes,
  InjectCache,
  invalidate,
  readThrough,
  remove,
  set,
  WriteBehind,
  writeBehind,
  type CacheOf,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { deferred } from '../support/engine.js';
import { closedLater, start } from './apps/start.js';

/** What a document database gives. */
type Note = { [field: string]: unknown };
class Money {
  constructor(readonly cents: number) {}
  get euros() {
    return this.cents / 100;
  }
}
const lasting = {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s', jitter: 0 }),
  write: writeBehind(),
} as const;

const Views = entity<number, number>('view', counter());
const Notes = entity<Note | null>('note', lasting);
const Cells = entity<Note | null, [sheet: string, row: number]>('cell', lasting);
const Revisions = entity<Note | null>('revision', {
  ...lasting,
  version: ({ revision }) => (revision ?? 0) as number,
  tags: ({ tags }) => (tags ?? []) as string[],
});
const Prices = entity<Money>('price', {
  ...lasting,
  revive: (plain: { cents: number }) => new Money(plain.cents),
});
const Plain = entity<string>('plain', { ...lasting, write: invalidate() });

@Injectable()
class Service {
  calls = 0;
  loads = 0;
  readonly batches: FlushBatch<any>[] = [];
  /** What the source says. */
  said: { [key: string]: unknown } = {};
  /** What the describing method does. */
  describe: () => unknown = () => set({ text: 'x' });
  flushing: (batch: FlushBatch<any>) => unknown = () => undefined;

  constructor(@InjectCache(Notes) readonly notes: CacheOf<typeof Notes>) {}

  @WriteBehind(Notes)
  async change(_id: string) {
    this.calls++;
    return this.describe() as ReturnType<typeof set<Note>>;
  }
  @WriteBehind(Views, (id: number) => id)
  async view(_id: number, by: unknown = 1) {
    return add(by as number);
  }
  @WriteBehind(Cells, (cell: [sheet: string, row: number]) => cell)
  async write(cell: [sheet: string, row: number], text: string) {
    cell[0] = 'changed';
    return set({ text });
  }
  @Cached(Views)
  async count(id: number): Promise<number> {
    this.loads++;
    return (this.said[id] as number | undefined) ?? 0;
  }
  @CachedMany(Views)
  async counts(ids: readonly number[]): Promise<number[]> {
    this.loads++;
    return ids.map((id) => (this.said[id] as number | undefined) ?? 0);
  }
  @Cached(Notes)
  async note(id: string): Promise<Note | null> {
    this.loads++;
    return (this.said[id] as Note | undefined) ?? null;
  }

  @Flushes(Views, { atLeastOnce: true })
  async persistViews(batch: FlushBatch<typeof Views>) {
    await this.flush(batch);
  }
  @Flushes(Notes)
  async persistNotes(batch: FlushBatch<typeof Notes>) {
    await this.flush(batch);
  }
  @Flushes(Cells)
  async persistCells(batch: FlushBatch<typeof Cells>) {
    await this.flush(batch);
  }
  @Flushes(Revisions)
  async persistRevisions(batch: FlushBatch<typeof Revisions>) {
    await this.flush(batch);
  }
  @Flushes(Prices)
  async persistPrices(batch: FlushBatch<typeof Prices>) {
    await this.flush(batch);
  }
  private async flush(batch: FlushBatch<any>) {
    this.batches.push(batch);
    await this.flushing(batch);
  }
}

const metadata = {
  imports: [CacheModule.forFeature([Notes, Plain])],
  providers: [Service],
};
async function open() {
  const app = await start(metadata);
  const [service, cache] = [app.get(Service), app.get(EntityCache)];
  const written = () =>
    service.batches.flatMap(({ entries }) =>
      entries.map(({ seq: _, ...entry }: { [field: string]: unknown }) => entry),
    );
  return { app, service, cache, written };
}
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'resolved',
    (error: { code?: string }) => error.code ?? error,
  );

beforeEach(() => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe('where nothing would write it, a call of @WriteBehind rejects with CACHE_NOT_RUNNING', () => {
  it('outside of an application, before the method runs, and says how to get in', async () => {
    const service = new Service(undefined as never);
    const error: Error = await service.change('a').then(
      () => new Error('it resolved'),
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ code: 'CACHE_NOT_RUNNING' });
    expect(error.message).toBe(
      'Service.change says what is to be written, and outside an application nothing writes it, in Service.change → @WriteBehind(note). Fix: let Nest construct the object, in a testing module with CacheModule.forRoot().',
    );
    expect(service.calls).toBe(0);
    // What only reads is just the method.
    expect(await service.count(1)).toBe(0);
    // And the one that writes can be tested like any other.
    await service.persistNotes({ id: 'b', attempt: 1, entries: [], signal: currentLoad().signal });
    expect(service.batches.length).toBe(1);
  });

  it('before the application has started, and does not keep what it said', async () => {
    const imports = [CacheModule.forRoot(), ...metadata.imports];
    const module = await Test.createTestingModule({ ...metadata, imports }).compile();
    const service = closedLater(module).get(Service);
    expect(await codeOf(service.change('a'))).toBe('CACHE_NOT_RUNNING');
    expect(await codeOf(service.notes.mutate('a', remove()))).toBe('CACHE_NOT_RUNNING');
    await module.init();
    expect(module.get(EntityCache).journal(Notes).status().accepted).toBe(0);
    expect(await codeOf(service.change('a'))).toBe('resolved');
  });

  it('after it has closed, for journals as well', async () => {
    const { app, service, cache } = await open();
    await app.close();
    expect(await codeOf(service.change('a'))).toBe('CACHE_NOT_RUNNING');
    expect(await codeOf(service.notes.mutate('a', remove()))).toBe('CACHE_NOT_RUNNING');
    expect(await codeOf(cache.journal(Notes).flush())).toBe('CACHE_NOT_RUNNING');
    expect(await codeOf(cache.journal(Notes).deadLetters())).toBe('CACHE_NOT_RUNNING');
    expect(await codeOf(Promise.resolve().then(() => cache.journal(Notes).discard('x')))).toBe(
      'CACHE_NOT_RUNNING',
    );
  });
});

describe('a call of @WriteBehind', () => {
  it('refuses a key that cannot be meant before the method runs, and says where', async () => {
    const { service, cache } = await open();
    for (const key of ['', '\ud800', undefined, {}, Number.NaN]) {
      const error = await service.change(key as string).catch((thrown: Error) => thrown);
      expect(error).toMatchObject({ code: 'CACHE_KEY_INVALID' });
      expect((error as Error).message).toContain('in Service.change → @WriteBehind(note)');
    }
    expect([service.calls, cache.journal(Notes).status().accepted]).toEqual([0, 0]);
    expect(await codeOf(cache.mutate(Notes, '', remove()))).toBe('CACHE_KEY_INVALID');
  });

  it('hands on what the method throws, unchanged, and accepts nothing', async () => {
    const { service, cache } = await open();
    const error = new RangeError('no such note');
    service.describe = () => {
      throw error;
    };
    await expect(service.change('a')).rejects.toBe(error);
    expect(cache.journal(Notes).status().accepted).toBe(0);
    expect(await service.note('a')).toBeNull();
  });

  it('gives back the mutation with its receipt', async () => {
    const { service, cache } = await open();
    expect(await service.change('a')).toEqual({
      op: 'set',
      value: { text: 'x' },
      receipt: { seq: 1, shard: 0, durable: 'memory' },
    });
    expect(await cache.of(Views).mutate(1, add(2))).toEqual({
      op: 'add',
      by: 2,
      receipt: { seq: 1, shard: 0, durable: 'memory' },
    });
  });

  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'got undefined'],
    ['null', null, 'got null'],
    ['the value itself', { text: 'x' }, 'got an object'],
    ['a text', 'set', "got 'set' (string)"],
    ['an operation that does not exist', { op: 'replace', value: 1 }, 'got an object'],
    ['set() of undefined', set(undefined), 'expected a value other than undefined'],
    [
      'set() of an instance without revive',
      set(new Money(5)),
      'a `revive` that makes instances again',
    ],
    ['set() of a function', set(() => 1), 'expected plain data, got a function'],
    ['set() of something with a function', set({ text: 'x', at: { now: () => 1 } }), 'at '],
    ['set() of a symbol', set({ text: Symbol('x') }), 'expected plain data'],
    ['add() where the last write counts', { op: 'add', by: 1 }, "merge: 'sum'"],
  ])('refuses %s as a mutation, and says what to write', async (_, mutation, sentence) => {
    const { service, cache } = await open();
    service.describe = () => mutation;
    const error = await service.change('a').catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ code: 'CACHE_ARGUMENT_INVALID' });
    expect((error as Error).message).toContain(sentence);
    expect((error as Error).message).toContain('in Service.change → @WriteBehind(note). Fix: ');
    expect(cache.journal(Notes).status().accepted).toBe(0);
    expect(await service.note('a')).toBeNull();
  });

  it.each([1.5, Number.NaN, Infinity, 2 ** 53, '1', null, undefined, {}])(
    'refuses add(%p), which would not be exact',
    async (by) => {
      const { service, cache } = await open();
      expect(() => add(by as number)).toThrow(
        expect.objectContaining({ code: 'CACHE_ARGUMENT_INVALID' }),
      );
      // Also if somebody makes the mutation by hand.
      const mutation = { op: 'add', by } as never;
      expect(await codeOf(cache.mutate(Views, 1, mutation))).toBe('CACHE_ARGUMENT_INVALID');
      expect(await codeOf(cache.mutate(Views, 1, { op: 'set', value: by } as never))).toBe(
        'CACHE_ARGUMENT_INVALID',
      );
      expect(await service.count(1)).toBe(0);
      expect(cache.journal(Views).status().accepted).toBe(0);
    },
  );

  it('adds up exactly beyond what a number can hold', async () => {
    const { cache, written } = await open();
    for (let i = 0; i < 3; i++) await cache.mutate(Views, 1, add(Number.MAX_SAFE_INTEGER));
    await cache.mutate(Views, 2, add(-5));
    await cache.journal(Views).flush();
    expect(written()).toEqual([
      { key: 1, op: 'add', by: 3n * BigInt(Number.MAX_SAFE_INTEGER) },
      { key: 2, op: 'add', by: -5n },
    ]);
  });

  it('says of set(null) and of remove() the same to who writes, because both leave nothing', async () => {
    const { cache, written } = await open();
    await cache.mutate(Notes, 'a', set(null));
    await cache.mutate(Notes, 'b', remove());
    await cache.journal(Notes).flush();
    expect(written()).toEqual([
      { key: 'a', op: 'remove' },
      { key: 'b', op: 'remove' },
    ]);
  });

  it('is refused for an entity without a journal, which has none to look at either', async () => {
    const { cache } = await open();
    expect(await codeOf(cache.mutate(Plain, 'a', set('x')))).toBe('CACHE_ARGUMENT_INVALID');
    expect(() => cache.journal(Plain)).toThrow(
      "'plain' has no journal: its contract does not say that it is written behind. Fix: write `write: writeBehind({ … })` in the contract of 'plain'.",
    );
    expect(() => cache.of(Plain).journal()).toThrow('has no journal');
  });
});

describe('what was accepted belongs to the journal: it is not changed', () => {
  it('by who changes the mutation or its value afterwards', async () => {
    const { cache, service, written } = await open();
    const value: Note = { text: 'before', tags: ['a'] };
    const mutation = { op: 'set' as const, value };
    await cache.mutate(Notes, 'a', mutation);
    value.text = 'after';
    (value.tags as string[]).push('b');
    mutation.value = { text: 'other' };
    expect(await service.note('a')).toEqual({ text: 'before', tags: ['a'] });
    await cache.journal(Notes).flush();
    expect(written()).toEqual([{ key: 'a', op: 'set', value: { text: 'before', tags: ['a'] } }]);
  });

  it('by who changes a key of several parts afterwards', async () => {
    const { cache, written } = await open();
    const key: [string, number] = ['s', 1];
    await cache.mutate(Cells, key, set({ text: 'x' }));
    key[0] = 'other';
    await cache.journal(Cells).flush();
    expect(written()).toEqual([{ key: ['s', 1], op: 'set', value: { text: 'x' } }]);
  });

  it('by a method that changes what its key was made of', async () => {
    const { service, cache, written } = await open();
    await service.write(['s', 1], 'x');
    await cache.journal(Cells).flush();
    expect(written()).toEqual([{ key: ['s', 1], op: 'set', value: { text: 'x' } }]);
    expect(await cache.peek(Cells, ['s', 1])).toEqual({ text: 'x' });
  });

  it('by who reads it before it is written', async () => {
    const { cache, service, written } = await open();
    await cache.mutate(Notes, 'a', set({ text: 'x', tags: ['a'] }));
    const read = (await service.note('a'))!;
    // Shared by all who read it, so nobody can.
    expect(() => (read.tags as string[]).push('b')).toThrow(TypeError);
    expect(await service.note('a')).toEqual({ text: 'x', tags: ['a'] });
    await cache.journal(Notes).flush();
    expect(written()).toEqual([{ key: 'a', op: 'set', value: { text: 'x', tags: ['a'] } }]);
  });

  it('by the flushing method, neither for readers nor for its next attempt', async () => {
    const { cache, service } = await open();
    const seen: string[] = [];
    service.flushing = ({ entries }) => {
      seen.push(JSON.stringify(entries));
      for (const entry of entries as any[]) {
        entry.value.text = 'changed';
        entry.key[0] = 'changed';
        entry.seq = 99;
      }
      if (seen.length === 1) throw new Error('again');
    };
    await cache.mutate(Cells, ['s', 1], set({ text: 'x' }));
    await cache
      .journal(Cells)
      .flush()
      .catch(() => undefined);
    await cache.journal(Cells).flush();
    expect(seen[0]).toBe('[{"key":["s",1],"seq":1,"op":"set","value":{"text":"x"}}]');
    expect(seen[1]).toBe(seen[0]);
    expect(await cache.get(Cells, ['s', 1], async () => null)).toEqual({ text: 'x' });
  });

  it('and instances are made again for everybody who gets one', async () => {
    const { cache, service } = await open();
    const given = new Money(250);
    await cache.mutate(Prices, 'a', set(given));
    (given as { cents: number }).cents = 1;
    const read = await cache.get(Prices, 'a', async () => new Money(0));
    expect([read, read.euros]).toEqual([new Money(250), 2.5]);
    await cache.journal(Prices).flush();
    const [entry] = service.batches[0]!.entries as unknown as { value: Money }[];
    expect(entry?.value).toBeInstanceOf(Money);
    expect(entry?.value).not.toBe(read);
  });
});

describe('readers of what waits to be written', () => {
  it('see it over what the source says, and do not ask the source for what it does not depend on', async () => {
    const { service, cache } = await open();
    service.said[1] = 10;
    await service.view(1);
    expect(await service.count(1)).toBe(11);
    await service.view(1, 4);
    expect(await service.count(1)).toBe(15);
    expect(service.loads).toBe(1);
    await service.change('a');
    expect([await service.note('a'), service.loads]).toEqual([{ text: 'x' }, 1]);
    await cache.mutate(Notes, 'a', remove());
    expect([await service.note('a'), service.loads]).toEqual([null, 1]);
  });

  it('see it of several keys at once, alone, and where one is asked for twice', async () => {
    const { service, cache } = await open();
    Object.assign(service.said, { 1: 10, 2: 20 });
    await service.view(1);
    await cache.mutate(Views, 3, set(7));
    expect(await service.counts([1, 2, 3, 1])).toEqual([11, 20, 7, 11]);
    expect(service.loads).toBe(1);
    expect(await cache.getMany(Views, [1, 4], async (keys) => keys.map(() => 100))).toEqual([
      11, 100,
    ]);
  });

  it('go on seeing it after an invalidation of its key, of all, and of its tag', async () => {
    const { service, cache } = await open();
    await service.view(1);
    await cache.mutate(Revisions, 'a', set({ text: 'x', tags: ['red'] }));
    const load = async () => null;
    for (const forget of [
      () => cache.invalidate(Revisions, 'a'),
      () => cache.invalidateFamily(Revisions),
      () => cache.invalidateTag('red'),
    ]) {
      await forget();
      expect(await cache.get(Revisions, 'a', load)).toEqual({ text: 'x', tags: ['red'] });
    }
    await cache.invalidate(Views, 1);
    service.said[1] = 5;
    expect(await service.count(1)).toBe(6);
    expect(cache.journal(Revisions).status().pending).toBe(1);
  });

  it('see a set whose version is older than what is held, because it was accepted after it', async () => {
    const { cache } = await open();
    const load = async () => ({ text: 'source', revision: 9 });
    expect(await cache.get(Revisions, 'a', load)).toMatchObject({ text: 'source' });
    await cache.mutate(Revisions, 'a', set({ text: 'mine', revision: 3 }));
    expect(await cache.get(Revisions, 'a', load)).toEqual({ text: 'mine', revision: 3 });
    await cache.invalidate(Revisions, 'a', { atLeast: 20 });
    expect(await cache.get(Revisions, 'a', load)).toEqual({ text: 'mine', revision: 3 });
  });

  it('see what the source says, and nothing that waits, where they ask to bypass the cache', async () => {
    const { service, cache } = await open();
    service.said[1] = 10;
    await service.view(1);
    expect(await cache.context({ bypass: [Views] }, () => service.count(1))).toBe(10);
    expect(await service.count(1)).toBe(11);
    // Writing is not what was bypassed.
    await cache.context({ bypass: [Views] }, () => service.view(1));
    expect(await service.count(1)).toBe(12);
  });

  it('peek at a set and at a removal, and at a sum only once it is known what it is added to', async () => {
    const { service, cache } = await open();
    await cache.mutate(Notes, 'a', set({ text: 'x' }));
    await service.view(1);
    expect(await cache.peek(Notes, 'a')).toEqual({ text: 'x' });
    expect(await cache.peek(Views, 1)).toBeUndefined();
    expect(await service.count(1)).toBe(1);
    await service.view(1);
    expect(await cache.peek(Views, 1)).toBe(2);
    await cache.mutate(Notes, 'a', remove());
    expect(await cache.peek(Notes, 'a')).toBeNull();
  });

  it('get a primed value with what waits on top of it', async () => {
    const { service, cache } = await open();
    await service.view(1);
    expect(await cache.prime(Views, 1, async () => 40)).toBe(41);
    expect(await cache.peek(Views, 1)).toBe(41);
    await service.change('a');
    expect(await cache.prime(Notes, 'a', async () => ({ text: 'old' }))).toEqual({ text: 'x' });
  });

  it('that were loading when it was accepted get it, and so do those who come later', async () => {
    const { service, cache } = await open();
    const source = deferred<number>();
    const loading = cache.get(Views, 1, () => source.promise);
    await service.view(1);
    source.resolve(10);
    expect([await loading, await service.count(1)]).toEqual([11, 11]);
    expect(cache.journal(Views).status().pending).toBe(1);
  });

  it('see a sum that is not written yet once, also after it is written', async () => {
    const { service, cache } = await open();
    service.flushing = ({ entries }) => {
      for (const { key, by } of entries as any[]) {
        service.said[key] = ((service.said[key] as number | undefined) ?? 0) + Number(by);
      }
    };
    expect(await service.count(1)).toBe(0);
    await service.view(1);
    await cache.journal(Views).flush();
    expect(await service.count(1)).toBe(1);
    await cache.invalidate(Views, 1);
    expect(await service.count(1)).toBe(1);
  });

  it('get what a source says that no sum can be added to, as it is, and it is not kept', async () => {
    const { service, cache } = await open();
    await service.view(1);
    expect(await cache.get(Views, 1, async () => '10' as never)).toBe('10');
    expect(await cache.peek(Views, 1)).toBeUndefined();
  });

  it('have no load to speak of inside a method that only says what changes', async () => {
    const { service, cache } = await open();
    const signals: unknown[] = [];
    service.describe = () => {
      const load = currentLoad();
      load.skip();
      load.ttl('1ms');
      signals.push(load.signal.aborted, load.stale);
      return set({ text: 'x' });
    };
    await service.change('a');
    expect(signals).toEqual([false, undefined]);
    expect(await cache.peek(Notes, 'a')).toEqual({ text: 'x' });
  });
});
