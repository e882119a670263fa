import 'reflect-metadata';
import { Cached, entity, Invalidates, invalidate, readThrough } from 'nestjs-cache-contract';
import { bind } from '../../../lib/nest/decorate.js';
import { CacheStrategyInterceptor } from '../../../lib/nest/cache-strategy.interceptor.js';
import { testEngine } from '../../support/engine.js';

const contract = {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m' }),
  write: invalidate(),
} as const;
const Users = entity<string>('user', contract);
const Closed = entity<string>('closed', { ...contract, prefer: 'error' });

const LOST = new Error('connection lost after commit');

class Service {
  runs: string[] = [];

  @Cached(Users)
  async find(id: string): Promise<string> {
    this.runs.push(id);
    return id;
  }
  @Cached(Closed)
  async findClosed(id: string): Promise<string> {
    this.runs.push(id);
    return id;
  }
  @Invalidates(Users)
  async touch(_id: string): Promise<string> {
    return 'done';
  }
  @Invalidates(Users, (id: string) => id)
  async fail(_id: string): Promise<void> {
    throw LOST;
  }
  @Invalidates(Users, { key: (id: string) => id, when: (changed: boolean) => changed })
  async maybe(_id: string, changed: boolean): Promise<boolean> {
    return changed;
  }
  @Invalidates(Users, {
    key: (id: string) => id,
    when: () => {
      throw new Error('when failed');
    },
  })
  async unsure(_id: string): Promise<void> {}
  @Invalidates(Users, { keys: (ids: string[]) => ids })
  async many(ids: string[]): Promise<void> {
    ids.length = 0; // what a method does to its arguments does not change what it was asked
  }
  @Invalidates(Users, { keysOf: (made: { id: string }) => [made.id] })
  @Invalidates(Closed, { keysOf: (made: { id: string }) => [made.id] })
  async create(id: string, fails = false): Promise<{ id: string }> {
    if (fails) throw LOST;
    return { id };
  }
  @Invalidates(Users, { keysOf: () => ['', 'a'] })
  async rekey(): Promise<void> {}
  @Invalidates(Closed, { keysOf: (ids: string[]) => ids })
  @Invalidates(Users, (id: string) => id)
  async both(id: string): Promise<string[]> {
    this.runs.push(`wrote ${id}`);
    return [id];
  }
  @Invalidates(Users, { family: true })
  async all(): Promise<void> {}
}

function service() {
  const test = testEngine();
  const it = new Service();
  bind(it, new CacheStrategyInterceptor(test.engine));
  return {
    ...test,
    it,
    /** Which of `a` and `b` are still answered by the cache. */
    held: async (find: 'find' | 'findClosed' = 'find') => {
      const kept: string[] = [];
      for (const id of ['a', 'b']) {
        it.runs.length = 0;
        await it[find](id);
        if (it.runs.length === 0) kept.push(id);
      }
      return kept.join('');
    },
  };
}

describe('@Invalidates', () => {
  it('forgets the entry its argument names, and hands the result through', async () => {
    const { it, held } = service();
    await held();
    expect(await it.touch('a')).toBe('done');
    expect(await held()).toBe('b');
  });

  it('forgets the entry when the method throws too, because a commit whose answer is lost still wrote', async () => {
    const { it, held } = service();
    await held();
    await expect(it.fail('a')).rejects.toBe(LOST);
    expect(await held()).toBe('b');
  });

  it('keeps the entry when `when` says that nothing changed, and forgets it when `when` cannot say', async () => {
    const { it, held, warnings } = service();
    await held();
    await it.maybe('a', false);
    expect(await held()).toBe('ab');
    await it.maybe('a', true);
    expect(await held()).toBe('b');
    await it.unsure('b');
    expect(await held()).toBe('a');
    expect(warnings).toEqual([expect.stringContaining('CACHE_CALLBACK_FAILED')]);
  });

  it('forgets the keys told from the arguments as they were at the call', async () => {
    const { it, held } = service();
    await held();
    await it.many(['a', 'b']);
    expect(await held()).toBe('');
  });

  it('forgets the keys told from the result', async () => {
    const { it, held } = service();
    await held();
    await it.create('a');
    expect(await held()).toBe('b');
  });

  it('forgets a whole entity that fails closed when a write threw before it said what it changed, and no other', async () => {
    const { it, held, warnings } = service();
    await held();
    await held('findClosed');
    await expect(it.create('c', true)).rejects.toBe(LOST);
    expect(await held()).toBe('ab');
    expect(await held('findClosed')).toBe('');
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain('Service.create');
  });

  it('hands the result through when keysOf fails after the write, because the write was done', async () => {
    const { it, held, warnings } = service();
    await held('findClosed');
    expect(await it.create(undefined as unknown as string)).toEqual({ id: undefined });
    expect(await held('findClosed')).toBe('');
    expect(warnings[0]).toContain('CACHE_KEYS_UNKNOWN');
  });

  it('refuses a key that cannot be meant before anything is written', async () => {
    const { it } = service();
    let written = false;
    const original = it.touch.bind(it);
    await expect(original('')).rejects.toThrow(
      /a key of 'user' must be non-empty, got a string of 0 characters, in Service\.touch → @Invalidates\(user\)\. Fix:/,
    );
    class Writer {
      @Invalidates(Users, { keys: (ids: string[]) => ids })
      async write(_ids: string[]): Promise<void> {
        written = true;
      }
    }
    const writer = new Writer();
    bind(writer, new CacheStrategyInterceptor(testEngine().engine));
    await expect(writer.write(['a', '\ud800'])).rejects.toMatchObject({
      code: 'CACHE_KEY_INVALID',
    });
    expect(written).toBe(false);
  });

  it('forgets the keys that keysOf tells, though one of them is no key', async () => {
    const { it: service_, held, warnings } = service();
    await held();
    await service_.rekey();
    expect(await held()).toBe('b');
    expect(warnings[0]).toContain('did not tell all keys');
  });

  it('invalidates nothing when a call is refused before it runs, or bad input could empty the cache', async () => {
    const { it: service_, held } = service();
    await held('findClosed');
    await expect(service_.both('')).rejects.toMatchObject({ code: 'CACHE_KEY_INVALID' });
    expect(await held('findClosed')).toBe('ab');
    expect(service_.runs).toEqual([]);
  });

  it('forgets everything with { family: true }', async () => {
    const { it, held } = service();
    await held();
    await it.all();
    expect(await held()).toBe('');
  });
});

it('rejects, and does not throw, when a key function throws, because the method promises a promise', async () => {
  class Reader {
    @Cached(Users, (user: { id: string }) => user.id)
    async find(_user: { id: string }): Promise<string> {
      return 'x';
    }
  }
  const reader = new Reader();
  bind(reader, new CacheStrategyInterceptor(testEngine().engine));
  await expect(reader.find(undefined as never)).rejects.toBeInstanceOf(TypeError);
});
