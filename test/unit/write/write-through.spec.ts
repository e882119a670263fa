import 'reflect-metadata';
import {
  Cached,
  entity,
  EntityCache,
  Invalidates,
  invalidate,
  readThrough,
  staleWhileRevalidate,
  WriteThrough,
  writeThrough,
} from 'nestjs-cache-contract';
import { CacheStrategyInterceptor } from '../../../lib/nest/cache-strategy.interceptor.js';
import { bind } from '../../../lib/nest/decorate.js';
import { deferred, testEngine } from '../../support/engine.js';

interface User {
  readonly id: string;
  readonly name: string;
}
const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '1m', negativeTtl: '30s', jitter: 0 }),
  write: writeThrough(),
} as const;
const Users = entity<User | null>('user', contract);
const Closed = entity<User | null>('closed', { ...contract, prefer: 'error' });
const Lists = entity<string[]>('list', { ...contract, write: invalidate() });

const LOST = new Error('connection lost after commit');
const ada: User = { id: 'a', name: 'Ada' };
const old: User = { id: 'a', name: 'old' };

/** A service whose writes end when the test says so, and how. */
class Service {
  reads: string[] = [];
  source: User | null = old;
  outcome: Promise<unknown> | (() => unknown) = Promise.resolve(ada);

  @Cached(Users)
  async find(id: string): Promise<User | null> {
    this.reads.push(id);
    return this.source;
  }
  @Cached(Closed)
  async findClosed(id: string): Promise<User | null> {
    this.reads.push(id);
    return this.source;
  }
  @Cached(Lists)
  async list(id: string): Promise<string[]> {
    this.reads.push(id);
    return [id];
  }
  @WriteThrough(Users, (id: string) => id)
  async save(_id: string, outcome = this.outcome): Promise<User | null> {
    return (await (typeof outcome === 'function' ? outcome() : outcome)) as User | null;
  }
  @WriteThrough(Users)
  async touch(_id: string): Promise<User | null> {
    return (await this.outcome) as User | null;
  }
  @WriteThrough(Users, { keyOf: ({ id }: User) => id })
  async create(): Promise<User | null> {
    return (await this.outcome) as User | null;
  }
  @WriteThrough(Closed, { keyOf: ({ id }: User) => id })
  async createClosed(): Promise<User | null> {
    return (await this.outcome) as User | null;
  }
  @WriteThrough(Users, (id: string) => id)
  @Invalidates(Lists, { keys: (id: string) => [`list of ${id}`, 'all'] })
  async move(_id: string): Promise<User | null> {
    return (await this.outcome) as User | null;
  }
  @Invalidates(Users)
  async forget(_id: string): Promise<void> {}
}

function service() {
  const test = testEngine();
  const it = new Service();
  bind(it, new CacheStrategyInterceptor(test.engine));
  const cache = new EntityCache(test.engine);
  return { ...test, it, cache, held: () => cache.peek(Users, 'a') };
}

/** The same with `old` held. */
async function filled() {
  const test = service();
  await test.it.find('a');
  test.it.reads.length = 0;
  return test;
}

describe('@WriteThrough', () => {
  it('stores what the method resolves to, so the next read asks nobody', async () => {
    const { it } = service();
    expect(await it.save('a')).toEqual(ada);
    expect(await it.find('a')).toEqual(ada);
    expect(await it.touch('b')).toEqual(ada);
    expect(await it.find('b')).toEqual(ada);
    expect(it.reads).toEqual([]);
  });

  it('overwrites: a reader meanwhile gets the old value and never misses, and the new one afterwards', async () => {
    const { it } = await filled();
    const written = deferred<User>();
    const saving = it.save('a', written.promise);
    expect(await it.find('a')).toEqual(old);
    written.resolve(ada);
    await saving;
    expect(await it.find('a')).toEqual(ada);
    expect(it.reads).toEqual([]);
  });

  it('hands the result through as it is, and stores a copy, because its caller may change it', async () => {
    const { it } = service();
    const mine = { id: 'a', name: 'Ada' };
    expect(await it.save('a', () => mine)).toBe(mine);
    mine.name = 'Eve';
    expect(await it.find('a')).toEqual(ada);
  });

  it('stores `null` as absence, for as long as absence is believed', async () => {
    const { it, clock } = await filled();
    it.source = null;
    await it.save('a', () => null);
    expect(await it.find('a')).toBeNull();
    clock.advance(29_999);
    await it.find('a');
    expect(it.reads).toEqual([]);
    clock.advance(1);
    await it.find('a');
    expect(it.reads).toEqual(['a']);
  });

  it('counts the ttl from the start of the write, because others may have changed the source since', async () => {
    const { it, clock } = service();
    const written = deferred<User>();
    const saving = it.save('a', written.promise);
    clock.advance(20_000);
    written.resolve(ada);
    await saving;
    clock.advance(39_999);
    expect(await it.find('a')).toEqual(ada);
    clock.advance(1);
    expect(await it.find('a')).toEqual(old);
  });

  it('leaves other keys alone', async () => {
    const { it, cache } = await filled();
    await it.find('b');
    await it.save('a');
    expect(await cache.peek(Users, 'b')).toEqual(old);
    await expect(it.save('a', () => Promise.reject(LOST))).rejects.toBe(LOST);
    expect(await cache.peek(Users, 'b')).toEqual(old);
  });

  it('forgets the entry when the method throws, because a commit whose answer is lost still wrote', async () => {
    const { it, held } = await filled();
    await expect(it.save('a', () => Promise.reject(LOST))).rejects.toBe(LOST);
    expect(await held()).toBeUndefined();
  });

  it.each([
    ['undefined', undefined],
    ['a class instance', new (class Row {})()],
    ['a function', () => undefined],
  ])('forgets the entry when the method resolves to %s, which is not stored', async (_, value) => {
    const { it, held } = await filled();
    expect(await it.save('a', () => value)).toBe(value);
    expect(await held()).toBeUndefined();
    expect(await it.find('a')).toEqual(old);
  });

  it('forgets the entry when the value is larger than the table', async () => {
    const { cache } = service();
    const Small = entity<string>('small', {
      ...contract,
      read: readThrough({ ttl: '1m', l1: { maxBytes: 1_024 } }),
    });
    await cache.prime(Small, 'a', async () => 'old');
    await cache.prime(Small, 'a', async () => 'x'.repeat(2_000));
    expect(await cache.peek(Small, 'a')).toBeUndefined();
  });

  it('refuses a key that cannot be meant before anything is written, and leaves no write open', async () => {
    const { it, engine, held } = await filled();
    let written = false;
    await expect(it.save('', () => (written = true))).rejects.toThrow(
      /Service\.save → @WriteThrough\(user\)/,
    );
    expect(written).toBe(false);
    await it.save('a');
    expect(await held()).toEqual(ada);
    expect(engine.entities.stateOf(Users).tickets['open'].size).toBe(0);
  });

  it('stores nothing while the application is closed, and runs the method all the same', async () => {
    const { it, engine, held } = await filled();
    const written = deferred<User>();
    const saving = it.save('a', written.promise);
    await engine.close();
    written.resolve(ada);
    expect(await saving).toEqual(ada);
    expect(await it.save('a')).toEqual(ada);
    expect(await held()).toBeUndefined();
    expect(engine.entities.stateOf(Users).table.size).toBe(0);
  });

  it('is just its method outside dependency injection, because a unit test of it needs no cache', async () => {
    expect(await new Service().save('a')).toEqual(ada);
  });
});

describe('two writes of one entry', () => {
  const [one, two] = [
    { id: 'a', name: 'one' },
    { id: 'a', name: 'two' },
  ];

  it.each(['first to begin', 'last to begin'])(
    'that overlap leave nothing, because nobody knows which was last: %s ends first',
    async (first) => {
      const { it, held } = await filled();
      const [w1, w2] = [deferred<User>(), deferred<User>()];
      const [s1, s2] = [it.save('a', w1.promise), it.save('a', w2.promise)];
      if (first === 'first to begin') {
        w1.resolve(one);
        await s1;
        expect(await held()).toBeUndefined();
        w2.resolve(two);
        await s2;
      } else {
        w2.resolve(two);
        await s2;
        expect(await held()).toBeUndefined();
        w1.resolve(one);
        await s1;
      }
      expect(await held()).toBeUndefined();
    },
  );

  it('that follow each other leave the last', async () => {
    const { it, held } = await filled();
    await it.save('a', () => one);
    await it.save('a', () => two);
    expect(await held()).toEqual(two);
  });

  it('that overlap leave nothing though one of them throws', async () => {
    const { it, held } = await filled();
    const [w1, w2] = [deferred<User>(), deferred<User>()];
    const [s1, s2] = [it.save('a', w1.promise), it.save('a', w2.promise)];
    w1.reject(LOST);
    await expect(s1).rejects.toBe(LOST);
    w2.resolve(two);
    await s2;
    expect(await held()).toBeUndefined();
  });

  it.each([true, false])(
    'that overlap leave nothing though one knows its key only at the end (ends first: %s)',
    async (createdFirst) => {
      const { it, held } = await filled();
      const [w1, w2] = [deferred<User>(), deferred<User>()];
      it.outcome = w1.promise;
      const [created, saved] = [it.create(), it.save('a', w2.promise)];
      if (createdFirst) {
        w1.resolve(one);
        await created;
      }
      w2.resolve(two);
      await saved;
      w1.resolve(one);
      await created;
      expect(await held()).toBeUndefined();
    },
  );

  it('of different keys do not disturb each other', async () => {
    const { it, cache } = await filled();
    const [w1, w2] = [deferred<User>(), deferred<User>()];
    const all = [it.save('a', w1.promise), it.save('b', w2.promise)];
    w2.resolve(two);
    w1.resolve(one);
    await Promise.all(all);
    expect([await cache.peek(Users, 'a'), await cache.peek(Users, 'b')]).toEqual([one, two]);
  });

  it('do not disturb those that begin when they have ended', async () => {
    const { it, held } = await filled();
    const [w1, w2] = [deferred<User>(), deferred<User>()];
    const all = [it.save('a', w1.promise), it.save('a', w2.promise)];
    w1.resolve(one);
    w2.resolve(two);
    await Promise.all(all);
    await it.save('a');
    expect(await held()).toEqual(ada);
  });
});

describe('an invalidation during a write', () => {
  it.each([
    ['of the key', (cache: EntityCache) => cache.invalidate(Users, 'a')],
    ['of the entity', (cache: EntityCache) => cache.invalidateFamily(Users)],
  ])('%s leaves nothing, because the value may be older than it', async (_, drop) => {
    const { it, cache, held } = await filled();
    const written = deferred<User>();
    const saving = it.save('a', written.promise);
    await drop(cache);
    written.resolve(ada);
    await saving;
    expect(await held()).toBeUndefined();
    await it.save('a');
    expect(await held()).toEqual(ada);
  });

  it('of a tag of its value leaves nothing', async () => {
    const { cache } = service();
    const Tagged = entity<{ tag: string }>('tagged', { ...contract, tags: ({ tag }) => [tag] });
    for (const [tag, held] of [
      ['tea', undefined],
      ['coffee', { tag: 'coffee' }],
    ] as const) {
      const written = deferred<{ tag: string }>();
      const writing = cache.prime(Tagged, 'a', () => written.promise);
      await cache.invalidateTag('tea');
      written.resolve({ tag });
      await writing;
      expect(await cache.peek(Tagged, 'a')).toEqual(held);
    }
  });

  it('of another key disturbs nothing', async () => {
    const { it, held } = await filled();
    const written = deferred<User>();
    const saving = it.save('a', written.promise);
    await it.forget('b');
    written.resolve(ada);
    await saving;
    expect(await held()).toEqual(ada);
  });
});

describe('a load under way when a write ends', () => {
  it('stores nothing and is not joined any more, because it may have read before the write', async () => {
    const { read, it, held } = service();
    const source = deferred<User>();
    const waiting = read(Users, 'a', () => source.promise);
    await it.save('a');
    expect(await it.find('a')).toEqual(ada);
    source.resolve(old);
    expect(await waiting).toEqual(old);
    expect(await held()).toEqual(ada);
  });

  it('stores nothing after a failed write either', async () => {
    const { read, it, held } = service();
    const source = deferred<User>();
    const waiting = read(Users, 'a', () => source.promise);
    await expect(it.save('a', () => Promise.reject(LOST))).rejects.toBe(LOST);
    const after = read(Users, 'a', () => ada);
    source.resolve(old);
    expect([await waiting, await after, await held()]).toEqual([old, ada, ada]);
  });

  it('does not replace the new value when it refreshes behind the readers', async () => {
    const { read, clock, cache, engine } = service();
    const Lasting = entity<string>('lasting', {
      ...contract,
      read: staleWhileRevalidate({ ttl: '1m', staleFor: '10m' }),
    });
    await read(Lasting, 'a', () => 'old');
    clock.advance(60_000);
    const source = deferred<string>();
    expect(await read(Lasting, 'a', () => source.promise)).toBe('old');
    await cache.prime(Lasting, 'a', async () => 'new');
    source.resolve('old');
    await engine.background.drain();
    expect(await cache.peek(Lasting, 'a')).toBe('new');
  });
});

describe('@WriteThrough(entity, { keyOf })', () => {
  it('stores what was made under its own key, in place of a remembered absence', async () => {
    const { it } = service();
    it.source = null;
    expect(await it.find('a')).toBeNull();
    expect(await it.create()).toEqual(ada);
    expect(await it.find('a')).toEqual(ada);
    expect(it.reads).toEqual(['a']);
  });

  it.each([
    ['cannot be asked', null],
    ['says what is no key', { id: '' }],
  ])('hands the result through and tells of it when it %s', async (_, made) => {
    const { it, held, warnings } = await filled();
    it.outcome = Promise.resolve(made);
    expect(await it.create()).toBe(made);
    expect(await held()).toEqual(old);
    expect(warnings).toEqual([expect.stringContaining('CACHE_KEYS_UNKNOWN')]);
    expect(warnings[0]).toContain('keyOf of Service.create');
  });

  it('drops all of an entity that fails closed when it cannot be told what was made', async () => {
    const { it, cache } = service();
    await it.findClosed('a');
    it.outcome = Promise.resolve({ id: '' });
    await it.createClosed();
    expect(await cache.peek(Closed, 'a')).toBeUndefined();
  });

  it('does the same when the method throws, because it may have written all the same', async () => {
    const { it, cache, held, warnings } = await filled();
    await it.findClosed('a');
    it.outcome = Promise.reject(LOST);
    await expect(it.create()).rejects.toBe(LOST);
    await expect(it.createClosed()).rejects.toBe(LOST);
    expect(await held()).toEqual(old);
    expect(await cache.peek(Closed, 'a')).toBeUndefined();
    expect(warnings).toEqual([
      expect.stringContaining('CACHE_KEYS_UNKNOWN'),
      expect.stringContaining('CACHE_KEYS_UNKNOWN'),
    ]);
  });

  it('leaves no write open whatever happens, so that later writes are stored', async () => {
    const { it, engine, held } = await filled();
    for (const outcome of [Promise.reject(LOST), Promise.resolve(null), Promise.resolve(ada)]) {
      it.outcome = outcome;
      await it.create().catch(() => undefined);
    }
    expect(engine.entities.stateOf(Users).tickets['open'].size).toBe(0);
    expect(await held()).toEqual(ada);
  });
});

describe('with @Invalidates of another entity on the same method', () => {
  it('stores the one and forgets the other', async () => {
    const { it, cache, held } = await filled();
    for (const id of ['list of a', 'all', 'other']) await it.list(id);
    await it.move('a');
    expect(await held()).toEqual(ada);
    const lists = ['list of a', 'all', 'other'].map((id) => cache.peek(Lists, id));
    expect(await Promise.all(lists)).toEqual([undefined, undefined, ['other']]);
  });

  it('forgets both when it throws', async () => {
    const { it, cache, held } = await filled();
    await it.list('all');
    it.outcome = Promise.reject(LOST);
    await expect(it.move('a')).rejects.toBe(LOST);
    expect([await held(), await cache.peek(Lists, 'all')]).toEqual([undefined, undefined]);
  });
});

describe('prime', () => {
  it('overwrites what is there, and is read without a load', async () => {
    const { it, cache } = await filled();
    expect(await cache.prime(Users, 'a', async () => ada)).toEqual(ada);
    expect(await cache.of(Users).prime('b', async () => ada)).toEqual(ada);
    expect([await it.find('a'), await it.find('b'), it.reads]).toEqual([ada, ada, []]);
  });

  it('rejects with the error of its loader, unchanged, and leaves what is there: nothing was written', async () => {
    const { cache, held } = await filled();
    const before = await held();
    const fails = cache.prime(Users, 'a', () => {
      throw LOST;
    });
    await expect(fails).rejects.toBe(LOST);
    expect(await held()).toEqual(before);
  });

  it('leaves nothing where a write overlapped with it, in either order', async () => {
    for (const primeEndsFirst of [true, false]) {
      const { it, cache, held } = await filled();
      const [written, primed] = [deferred<User>(), deferred<User>()];
      const priming = cache.prime(Users, 'a', () => primed.promise);
      const saving = it.save('a', written.promise);
      if (primeEndsFirst) {
        primed.resolve(old);
        await priming;
      }
      written.resolve(ada);
      await saving;
      primed.resolve(old);
      await priming;
      expect(await held()).toBeUndefined();
    }
  });

  it('refuses a key that cannot be meant, and what is no loader, before it loads', async () => {
    const { cache } = service();
    let loads = 0;
    await expect(cache.prime(Users, '', async () => (loads++, ada))).rejects.toMatchObject({
      code: 'CACHE_KEY_INVALID',
    });
    await expect(cache.prime(Users, 'a', ada as never)).rejects.toMatchObject({
      code: 'CACHE_ARGUMENT_INVALID',
    });
    expect(loads).toBe(0);
  });
});
