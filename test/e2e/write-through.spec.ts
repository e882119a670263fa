import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import {
  Cached,
  CachedMany,
  EntityCache,
  entity,
  external,
  Invalidates,
  invalidate,
  readThrough,
  WriteThrough,
  writeThrough,
} from 'nestjs-cache-contract';
import { start } from './apps/start.js';

interface Product {
  readonly id: string;
  readonly category: string;
  readonly price: number;
}
const contract = { maxStaleness: '1h', read: readThrough({ ttl: '30m' }) } as const;
const Products = entity<Product | null>('product', {
  ...contract,
  write: writeThrough(),
  tags: ({ category }) => [`category:${category}`],
});
const Lists = entity<string[]>('list', { ...contract, write: invalidate() });
const Weather = entity<string>('weather', { ...contract, write: external() });

/** Its tables, and how often each was asked. */
@Injectable()
class Catalog {
  readonly rows = new Map<string, Product>();
  readonly queries: string[] = [];

  @Cached(Products)
  async find(id: string): Promise<Product | null> {
    this.queries.push(`find ${id}`);
    return this.rows.get(id) ?? null;
  }
  @CachedMany(Products)
  async findMany(ids: string[]): Promise<(Product | null)[]> {
    this.queries.push(`find ${ids.join(' and ')}`);
    return ids.map((id) => this.rows.get(id) ?? null);
  }
  @Cached(Lists)
  async list(category: string): Promise<string[]> {
    this.queries.push(`list ${category}`);
    return [...this.rows.values()].filter((row) => row.category === category).map(({ id }) => id);
  }
  @WriteThrough(Products, { keyOf: ({ id }: Product) => id })
  @Invalidates(Lists, { keysOf: ({ category }: Product) => [category] })
  async create(category: string, price: number): Promise<Product> {
    return this.put({ id: `p${this.rows.size + 1}`, category, price });
  }
  @WriteThrough(Products, (id: string) => id)
  async price(id: string, price: number): Promise<Product | null> {
    return this.put({ ...this.rows.get(id)!, price });
  }
  @Invalidates(Products, { tags: (category: string) => [`category:${category}`] })
  async discount(category: string, factor: number): Promise<void> {
    for (const row of this.rows.values()) {
      if (row.category === category) this.put({ ...row, price: row.price * factor });
    }
  }
  private put(row: Product): Product {
    this.rows.set(row.id, row);
    return row;
  }
}

async function catalog() {
  const app = await start({ providers: [Catalog] });
  return { app, cache: app.get(EntityCache), shop: app.get(Catalog) };
}

describe('a catalog that is written through', () => {
  it('answers from the cache after a write, and asks again only what the write could not tell', async () => {
    const { shop } = await catalog();
    expect([await shop.find('p1'), await shop.list('tea')]).toEqual([null, []]);
    await shop.create('tea', 5);
    expect(await shop.find('p1')).toMatchObject({ price: 5 });
    expect(await shop.list('tea')).toEqual(['p1']);
    await shop.price('p1', 6);
    expect(await shop.find('p1')).toMatchObject({ price: 6 });
    expect(shop.queries).toEqual(['find p1', 'list tea', 'list tea']);
  });

  it('forgets by tag what was written through, and loads it again by one query', async () => {
    const { shop } = await catalog();
    for (const category of ['tea', 'tea', 'coffee']) await shop.create(category, 10);
    await shop.discount('tea', 0.5);
    const prices = (await shop.findMany(['p3', 'p2', 'p1'])).map((product) => product?.price);
    expect(prices).toEqual([10, 5, 5]);
    expect(shop.queries).toEqual(['find p2 and p1']);
  });

  it('is warmed by prime and read by getMany', async () => {
    const { cache, shop } = await catalog();
    const tea = { id: 'p1', category: 'tea', price: 5 };
    expect(await cache.prime(Products, 'p1', async () => tea)).toEqual(tea);
    const found = await cache
      .of(Products)
      .getMany(['p1', 'p2'], async (ids) => ids.map(() => null));
    expect(found).toEqual([tea, null]);
    expect(await shop.findMany(['p2', 'p1'])).toEqual([null, tea]);
    expect(shop.queries).toEqual([]);
  });

  it('writes on after close, and stores nothing', async () => {
    const { app, cache, shop } = await catalog();
    await app.close();
    await shop.create('tea', 5);
    expect(await shop.price('p1', 6)).toMatchObject({ price: 6 });
    await shop.discount('tea', 0.5);
    expect(await cache.prime(Products, 'p1', async () => null)).toBeNull();
    expect(await cache.getMany(Products, ['p1'], async () => [null])).toEqual([null]);
    expect(await cache.peek(Products, 'p1')).toBeUndefined();
    expect(await shop.findMany(['p1'])).toMatchObject([{ price: 3 }]);
    expect(await cache.invalidateTag('category:tea')).toBe('acknowledged');
  });
});

describe('the start is refused', () => {
  it('when a method brings values along that the contract would not store', async () => {
    class Shop {
      @WriteThrough(Lists)
      async save(id: string): Promise<string[]> {
        return [id];
      }
    }
    await expect(start({ providers: [Shop] })).rejects.toMatchObject({
      faults: [
        {
          code: 'CACHE_WRITE_CONTRADICTED',
          at: 'Shop.save → @WriteThrough(list)',
          fix: expect.stringContaining('writeThrough()') as string,
        },
      ],
    });
  });

  it('when a method writes what the contract says changes elsewhere, in every way to write', async () => {
    class Station {
      @WriteThrough(Weather)
      async save(place: string): Promise<string> {
        return place;
      }
      @Invalidates(Weather, { tags: () => ['rain'] })
      async clear(): Promise<void> {}
    }
    await expect(start({ providers: [Station] })).rejects.toMatchObject({
      faults: [
        {
          code: 'CACHE_WRITE_EXTERNAL',
          at: 'Station.clear → @Invalidates(weather)',
          fix: expect.stringContaining('`write: invalidate()`') as string,
        },
        {
          code: 'CACHE_WRITE_EXTERNAL',
          at: 'Station.save → @WriteThrough(weather)',
          fix: expect.stringContaining('`write: writeThrough()`') as string,
        },
      ],
    });
  });

  it('when @WriteThrough or @CachedMany was given what it cannot use', async () => {
    class Shop {
      @WriteThrough(Products, { key: (id: string) => id } as never)
      async target(_id: string): Promise<Product | null> {
        return null;
      }
      @WriteThrough(Products, { keyOf: () => 'a', when: () => true } as never)
      async more(): Promise<Product | null> {
        return null;
      }
      // @ts-expect-error two arguments and no key function
      @WriteThrough(Products)
      async two(_id: string, _price: number): Promise<Product | null> {
        return null;
      }
      // @ts-expect-error more than the keys
      @CachedMany(Products)
      async many(ids: string[], _verbose: boolean): Promise<(Product | null)[]> {
        return ids.map(() => null);
      }
    }
    const refused = start({ providers: [Shop] });
    await expect(refused).rejects.toMatchObject({
      faults: ['many', 'more', 'target', 'two'].map((name) => ({
        code: 'CACHE_TARGET_INVALID',
        at: expect.stringContaining(`Shop.${name} → @`) as string,
      })),
    });
  });

  it('when one method both reads and writes', async () => {
    class Shop {
      @WriteThrough(Products)
      @Cached(Products)
      async both(_id: string): Promise<Product | null> {
        return null;
      }
    }
    await expect(start({ providers: [Shop] })).rejects.toMatchObject({
      faults: [{ code: 'CACHE_DECORATOR_CONFLICT', at: 'Shop.both' }],
    });
  });

  it('not when some methods of a written-through entity only invalidate', async () => {
    class Shop {
      @Invalidates(Products)
      async remove(_id: string): Promise<void> {}
    }
    await expect(start({ providers: [Shop] })).resolves.toBeDefined();
  });
});
