import 'reflect-metadata';
import fc from 'fast-check';
import {
  Cached,
  currentLoad,
  entity,
  EntityCache,
  Invalidates,
  invalidate,
  readThrough,
  type AnyEntity,
  type LoadContext,
} from 'nestjs-cache-contract';
import { CacheStrategyInterceptor } from '../../../lib/nest/cache-strategy.interceptor.js';
import { bind } from '../../../lib/nest/decorate.js';
import { deferred, testEngine } from '../../support/engine.js';
import { holds } from '../../support/property.js';

interface Tagged {
  readonly n: number;
  readonly tags: readonly string[];
}

const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '1h' }),
  write: invalidate(),
} as const;
const Products = entity<Tagged>('product', { ...contract, tags: ({ tags }) => tags });
const Offers = entity<Tagged>('offer', { ...contract, tags: ({ tags }) => tags });
/** Tagged by its loaders, if at all. */
const Pages = entity<string>('page', contract);
const Plain = entity<string>('plain', contract);

function setUp() {
  const test = testEngine();
  const cache = new EntityCache(test.engine);
  return {
    ...test,
    cache,
    put: (entity: AnyEntity, key: string, ...tags: string[]) =>
      test.read(entity, key, async () => ({ n: 1, tags })),
    /** Those of the entries `a` to `d` that are held. */
    held: async (entity: AnyEntity) => {
      const kept = [];
      for (const key of ['a', 'b', 'c', 'd']) {
        if ((await cache.peek(entity, key)) !== undefined) kept.push(key);
      }
      return kept.join('');
    },
  };
}

describe('a tag', () => {
  it('drops exactly the entries that carry it, of every entity', async () => {
    const { cache, put, held } = setUp();
    await put(Products, 'a', 'tea');
    await put(Products, 'b', 'coffee');
    await put(Products, 'c', 'coffee', 'tea');
    await put(Products, 'd');
    await put(Offers, 'a', 'tea');
    await put(Offers, 'b', 'teapot');
    expect(await cache.invalidateTag('tea')).toBe('acknowledged');
    expect([await held(Products), await held(Offers)]).toEqual(['bd', 'b']);
  });

  it('is taken as text alone, so names that objects are born with are tags like any other', async () => {
    const { cache, put, held } = setUp();
    await put(Products, 'a', '__proto__');
    await put(Products, 'b', 'constructor');
    await put(Products, 'c', ' ');
    await cache.invalidateTag('__proto__');
    expect(await held(Products)).toBe('bc');
    await cache.invalidateTag('constructor');
    await cache.invalidateTag(' ');
    expect(await held(Products)).toBe('');
  });

  it('stops nothing that is loaded after it was invalidated, however often', async () => {
    const { cache, put, held } = setUp();
    for (let round = 0; round < 3; round++) {
      await put(Products, 'a', 'tea');
      expect(await held(Products)).toBe('a');
      await cache.invalidateTag('tea');
      expect(await held(Products)).toBe('');
    }
  });

  it('goes with an absence too, where a loader gives it one', async () => {
    const { cache, read } = setUp();
    const Names = entity<string | null>('name', contract);
    let loads = 0;
    const find = () =>
      read(Names, 'a', (load) => {
        load.tags('people');
        return ++loads === 1 ? null : 'Ada';
      });
    expect([await find(), await find()]).toEqual([null, null]);
    await cache.invalidateTag('people');
    expect(await find()).toBe('Ada');
  });

  it('is asked for as text that is not empty, because nothing else is ever carried', async () => {
    const { cache } = setUp();
    for (const nonsense of ['', undefined, 5, ['tea']]) {
      await expect(cache.invalidateTag(nonsense as string)).rejects.toMatchObject({
        code: 'CACHE_ARGUMENT_INVALID',
      });
    }
  });

  it('is not lost among more than 10,000 others, though what was stored before them may go with it', async () => {
    const { cache, put, held } = setUp();
    await put(Products, 'a', 'first');
    await put(Products, 'b', 'tag 9999');
    await put(Products, 'c');
    await cache.invalidateTag('first');
    for (let n = 0; n < 25_000; n++) await cache.invalidateTag(`tag ${n}`);
    expect(await held(Products)).toBe('c');
    await put(Products, 'a', 'first');
    await put(Products, 'd', 'tag 24999');
    await cache.invalidateTag('tag 25000');
    expect(await held(Products)).toBe('acd');
    await cache.invalidateTag('first');
    expect(await held(Products)).toBe('cd');
  });

  it('is not lost among others during a load, because the load began before them all', async () => {
    const { cache, read, held } = setUp();
    const source = deferred<Tagged>();
    const loading = read(Products, 'a', () => source.promise);
    await cache.invalidateTag('first');
    for (let n = 0; n < 10_001; n++) await cache.invalidateTag(`tag ${n}`);
    source.resolve({ n: 1, tags: ['first'] });
    await loading;
    expect(await held(Products)).toBe('');
  });
});

describe('currentLoad().tags()', () => {
  it('adds to what the contract says, and tags what the contract does not', async () => {
    const { cache, read, held } = setUp();
    await read(Products, 'a', (load) => {
      load.tags('front', 'sale');
      return { n: 1, tags: ['tea'] };
    });
    await read(Pages, 'a', (load) => {
      load.tags('front');
      return 'home';
    });
    await read(Pages, 'b', () => 'imprint');
    await cache.invalidateTag('front');
    expect([await held(Products), await held(Pages)]).toEqual(['', 'b']);
  });

  it('reaches the loader through a decorated method, and costs nothing outside a load', async () => {
    class Site {
      runs = 0;
      @Cached(Pages)
      async page(id: string): Promise<string> {
        currentLoad().tags('front');
        return `${id} ${++this.runs}`;
      }
    }
    const { cache, engine } = setUp();
    const site = new Site();
    expect(await site.page('a')).toBe('a 1');
    bind(site, new CacheStrategyInterceptor(engine));
    expect([await site.page('a'), await site.page('a')]).toEqual(['a 2', 'a 2']);
    await cache.invalidateTag('front');
    expect(await site.page('a')).toBe('a 3');
  });

  const mistakes: [string, unknown[], string][] = [
    ['a number', ['front', 7], '7 (number) as number 2 of 2'],
    ['an array in place of its parts', [['front', 'sale']], 'an array of 2 as number 1 of 1'],
    ['an empty text', [''], "'' (string) as number 1 of 1"],
    ['nothing', [undefined], 'undefined as number 1 of 1'],
  ];

  it.each(mistakes)('takes texts only: not %s', async (_, tags, came) => {
    const { read, held } = setUp();
    const refusal = `currentLoad().tags() expected texts that are not empty, got ${came}. Fix: write each tag as an argument of its own: currentLoad().tags('category:tea', 'brand:twig').`;
    const say = (load: LoadContext) => {
      load.tags(...(tags as string[]));
      return 'home';
    };
    await expect(read(Pages, 'a', say)).rejects.toThrow(refusal);
    expect(await held(Pages)).toBe('');
    expect(() => currentLoad().tags(...(tags as string[]))).toThrow(refusal);
  });

  it('belongs to the load that says it, not to the load around it', async () => {
    const { cache, read, held } = setUp();
    await read(Pages, 'a', () =>
      read(Pages, 'b', (load) => {
        load.tags('inner');
        return 'b';
      }),
    );
    await cache.invalidateTag('inner');
    expect(await held(Pages)).toBe('a');
  });
});

describe('@Invalidates(entity, { tags })', () => {
  class Shop {
    written: string[] = [];

    @Invalidates(Products, { tags: (categories: string[]) => categories })
    async discount(categories: string[], fails = false): Promise<number> {
      this.written.push(...categories);
      categories.length = 0; // what a method does to its arguments does not change what it was asked
      if (fails) throw new Error('connection lost after commit');
      return 7;
    }
    @Invalidates(Products, { tags: () => ['tea', ''] })
    async nameless(): Promise<void> {
      this.written.push('nameless');
    }
    @Invalidates(Products, { tags: () => 'tea' as unknown as string[] })
    async text(): Promise<void> {
      this.written.push('text');
    }
    @Invalidates(Plain)
    @Invalidates(Products, { tags: () => ['tea'] })
    async both(id: string): Promise<void> {
      this.written.push(id);
    }
  }
  async function shop() {
    const test = setUp();
    const it = new Shop();
    bind(it, new CacheStrategyInterceptor(test.engine));
    await test.put(Products, 'a', 'tea');
    await test.put(Products, 'b', 'coffee');
    await test.put(Offers, 'a', 'tea');
    return { ...test, it };
  }

  it('drops what carries one of them, of every entity, and hands the result through', async () => {
    const { it, held } = await shop();
    expect(await it.discount(['tea', 'cocoa'])).toBe(7);
    expect([await held(Products), await held(Offers)]).toEqual(['b', '']);
  });

  it('drops it when the method throws too, because a commit whose answer is lost still wrote', async () => {
    const { it, held } = await shop();
    await expect(it.discount(['tea'], true)).rejects.toThrow('connection lost');
    expect([await held(Products), await held(Offers)]).toEqual(['b', '']);
  });

  it('refuses what is no list of tags before anything is written or dropped', async () => {
    const { it, held } = await shop();
    for (const refused of [it.nameless(), it.text()]) {
      await expect(refused).rejects.toMatchObject({
        code: 'CACHE_ARGUMENT_INVALID',
        message: expect.stringMatching(/in Shop\.\w+ → @Invalidates\(product\)/) as string,
      });
    }
    expect([it.written, await held(Products)]).toEqual([[], 'ab']);
  });

  it('stacks with an invalidation by key', async () => {
    const { it, held, read } = await shop();
    await read(Plain, 'a', () => 'x');
    await read(Plain, 'b', () => 'x');
    await it.both('a');
    expect([await held(Products), await held(Plain)]).toEqual(['b', 'b']);
  });
});

describe('invalidating a tag during a load', () => {
  /** The tag is told by the contract, or by the loader after it has seen the source. */
  const ways = [
    ['its contract', Products, (_: LoadContext, n: number) => ({ n, tags: ['tea'] })],
    [
      'its loader',
      Pages,
      (load: LoadContext, n: number) => {
        load.tags('tea');
        return { n };
      },
    ],
  ] as const;

  it.each(ways)('gives the value to those who wait and to nobody else: by %s', async (...way) => {
    const [, entity, say] = way;
    const { cache, read } = setUp();
    const gate = deferred<void>();
    let loads = 0;
    const load = async (context: LoadContext) => {
      const n = ++loads;
      if (n === 1) await gate.promise;
      return say(context, n);
    };
    const waiting = read(entity, 'a', load);
    await cache.invalidateTag('tea');
    const after = read(entity, 'a', load);
    gate.resolve();
    expect([await waiting, await after]).toMatchObject([{ n: 1 }, { n: 2 }]);
    expect(await read(entity, 'a', load)).toMatchObject({ n: 2 });
  });

  it.each(ways)(
    'is final on every interleaving, and for callers who join: by %s',
    async (_, entity, say) => {
      await holds(
        fc.asyncProperty(
          fc.scheduler(),
          fc.integer({ min: 2, max: 4 }),
          fc.boolean(),
          async (scheduler, readers, early) => {
            const { cache, engine, read } = setUp();
            const step = (name: string) => scheduler.schedule(Promise.resolve(), name);
            let [source, finished] = [0, 0];
            const load = async (context: LoadContext) => {
              if (early) say(context, 0);
              await step('load reaches the source');
              const seen = source;
              await step(`load returns ${seen}`);
              return say(context, seen);
            };
            const reader = async (number: number) => {
              for (let i = 0; i < 3; i++) {
                await step(`reader ${number} calls`);
                const atLeast = finished;
                const { n } = (await read(entity, 'a', load)) as { n: number };
                if (n < atLeast) throw new Error(`reader ${number} got ${n} after ${atLeast}`);
              }
            };
            const writer = async () => {
              for (let i = 1; i <= 2; i++) {
                await step('writer begins');
                source = i;
                await step(`writer committed ${i}`);
                await cache.invalidateTag('tea');
                finished = i;
              }
            };
            const all = Array.from({ length: readers }, (_, number) => reader(number));
            await scheduler.waitFor(Promise.all([...all, writer()]));
            expect(await read(entity, 'a', (context) => say(context, source))).toMatchObject({
              n: source,
            });
            expect(engine.background.size).toBe(0);
          },
        ),
        1_000,
      );
    },
  );

  it('stores nothing that would be of no use, because it would take the place of something that is', async () => {
    const { cache, engine, read } = setUp();
    const source = deferred<string>();
    const loading = read(Pages, 'a', (load) => {
      load.tags('tea');
      return source.promise;
    });
    await cache.invalidateTag('tea');
    source.resolve('x');
    await loading;
    expect(engine.entities.stateOf(Pages).table.size).toBe(0);
  });

  it('drops the value of a prime that began before, because it was loaded before', async () => {
    const { cache, held } = setUp();
    const source = deferred<Tagged>();
    const priming = cache.prime(Products, 'a', () => source.promise);
    await cache.invalidateTag('tea');
    source.resolve({ n: 1, tags: ['tea'] });
    await priming;
    expect(await held(Products)).toBe('');
  });

  it('leaves the loads of entities without tags alone: they are joined and stored', async () => {
    const { cache, read, held } = setUp();
    const source = deferred<string>();
    let loads = 0;
    const load = () => (loads++, source.promise);
    const first = read(Plain, 'a', load);
    await cache.invalidateTag('tea');
    const second = read(Plain, 'a', load);
    source.resolve('x');
    expect([await first, await second, loads, await held(Plain)]).toEqual(['x', 'x', 1, 'a']);
  });
});

describe('a `tags` that cannot tell', () => {
  const nonsense: [string, () => unknown, string][] = [
    [
      'throws',
      () => {
        throw new RangeError('tags failed');
      },
      'threw RangeError',
    ],
    [
      'says a text',
      () => 'tea',
      "must return an array of texts that are not empty, got 'tea' (string)",
    ],
    [
      'says numbers',
      () => [1, 2],
      'must return an array of texts that are not empty, got 1 (number) as number 1 of 2',
    ],
    [
      'says a promise',
      () => Promise.resolve(['tea']),
      'must return an array of texts that are not empty, got an object',
    ],
  ];

  it.each(nonsense)('is told when it %s, and costs the caller nothing', async (_, tags, what) => {
    const { read, held, warnings } = setUp();
    const Broken = entity<string>('broken', { ...contract, tags: tags as () => string[] });
    expect(await read(Broken, 'a', () => 'x')).toBe('x');
    // Nobody could invalidate it.
    expect(await held(Broken)).toBe('');
    expect(warnings).toEqual([expect.stringContaining('CACHE_CALLBACK_FAILED')]);
    expect(warnings[0]).toContain(
      `A value of 'broken' was returned but not stored: \`tags\` of 'broken' ${what}, and nobody could invalidate it by them. Fix: look at \`tags\` in the contract of 'broken'.`,
    );
  });

  it('takes away what was there, which is not true any more', async () => {
    const { cache, read, held } = setUp();
    let isBroken = false;
    const Broken = entity<string>('broken', {
      ...contract,
      tags: () => (isBroken ? ('tea' as never) : ['tea']),
    });
    await read(Broken, 'a', () => 'x');
    expect(await held(Broken)).toBe('a');
    isBroken = true;
    await cache.prime(Broken, 'a', async () => 'y');
    expect(await held(Broken)).toBe('');
  });

  it.each([1_000, 1_001])(
    'does not store a value with more than 1,000 tags, as %s',
    async (many) => {
      const { cache, read, held, warnings } = setUp();
      const Many = entity<string>('many', {
        ...contract,
        tags: () => Array.from({ length: many }, (_, n) => `${n}`),
      });
      expect(await read(Many, 'a', () => 'x')).toBe('x');
      expect(await held(Many)).toBe(many === 1_000 ? 'a' : '');
      if (many > 1_000) {
        expect(warnings[0]).toContain(
          "A value of 'many' was returned but not stored: it carries 1001 tags, and 1000 are the most. Fix: give a tag to what is invalidated together, not to each part of it.",
        );
      }
      await cache.invalidateTag('999');
      expect(await held(Many)).toBe('');
    },
  );

  it('is not asked for what there is not', async () => {
    const { read, warnings } = setUp();
    const Maybe = entity<Tagged | null>('maybe', { ...contract, tags: ({ tags }) => tags });
    await read(Maybe, 'a', () => null);
    await read(Maybe, 'b', () => undefined);
    expect(warnings).toEqual([]);
  });
});
