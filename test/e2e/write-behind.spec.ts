import { Controller, Get, HttpCode, Injectable, Module, Param, Post } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  add,
  Cached,
  CacheModule,
  counter,
  entity,
  EntityCache,
  Flushes,
  OverrideStrategy,
  set,
  WriteBehind,
  writeThrough,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { Shop, ShopLedger, type Connection } from '../support/sqlite-shop.js';

const Views = entity<number, number>('view', counter());

@Injectable()
class ViewService {
  batches: FlushBatch<typeof Views>[] = [];
  loads = 0;
  constructor(private readonly shop: Shop) {}

  @Cached(Views)
  async count(id: number): Promise<number> {
    this.loads++;
    return Promise.resolve(this.shop.views(id));
  }

  @WriteBehind(Views)
  async view(_id: number) {
    return Promise.resolve(add(1));
  }

  @WriteBehind(Views, (id: number) => id)
  async reset(_id: number, to: number) {
    return Promise.resolve(set(to));
  }

  @Flushes(Views, { ledger: ShopLedger })
  async persist(batch: FlushBatch<typeof Views>, _tx: Connection): Promise<void> {
    this.batches.push(batch);
    for (const entry of batch.entries) {
      if (entry.op === 'add') this.shop.add(entry.key, entry.by);
      else
        this.shop.sqlite.run('INSERT OR REPLACE INTO views VALUES (?, ?)', [
          entry.key,
          entry.value,
        ]);
    }
    return Promise.resolve();
  }
}

@Controller('views/:id')
class ViewController {
  constructor(private readonly views: ViewService) {}
  @Get()
  async count(@Param('id') id: string) {
    return { views: await this.views.count(Number(id)) };
  }
  @Post()
  @HttpCode(202)
  async view(@Param('id') id: string) {
    return this.views.view(Number(id));
  }
  @Post('now')
  @OverrideStrategy(Views, { write: writeThrough() })
  async now(@Param('id') id: string) {
    return this.views.view(Number(id));
  }
}

@Module({
  imports: [CacheModule.forRoot()],
  controllers: [ViewController],
  providers: [Shop, ShopLedger, ViewService],
})
class AppModule {}

async function start() {
  const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
  const app = module.createNestApplication({ logger: false });
  await app.listen(0, '127.0.0.1');
  const request = async (method: string, path: string) => {
    const response = await fetch(`${await app.getUrl()}/${path}`, { method });
    return { status: response.status, body: await response.json() };
  };
  return {
    app,
    request,
    views: app.get(ViewService),
    shop: app.get(Shop),
    cache: app.get(EntityCache),
  };
}

describe('a write-behind entity', () => {
  it('is accepted, seen by readers at once, and written later in one batch', async () => {
    const { app, request, views, shop, cache } = await start();
    expect(await request('GET', 'views/1')).toEqual({ status: 200, body: { views: 0 } });
    const answer = await request('POST', 'views/1');
    expect(answer).toEqual({
      status: 202,
      body: { op: 'add', by: 1, receipt: { seq: 1, shard: 0, durable: 'memory' } },
    });
    await Promise.all(Array.from({ length: 99 }, () => views.view(1)));
    await views.reset(2, 7);
    expect(await views.count(1)).toBe(100);
    expect(await views.count(2)).toBe(7);
    expect([shop.views(1), shop.views(2)]).toEqual([0, 0]);
    expect(cache.journal(Views).status()).toEqual({
      accepted: 101,
      pending: 101,
      flushed: 0,
      duplicates: 0,
      dead: 0,
    });
    await cache.journal(Views).flush();
    expect([shop.views(1), shop.views(2)]).toEqual([100, 7]);
    expect(views.batches.map(({ entries }) => entries)).toEqual([
      [
        { key: 1, seq: 100, op: 'add', by: 100n },
        { key: 2, seq: 101, op: 'set', value: 7 },
      ],
    ]);
    expect(cache.journal(Views).status()).toMatchObject({ pending: 0, flushed: 101 });
    expect(views.loads).toBe(1);
    await app.close();
  });

  it('is written before the answer where the handler says so', async () => {
    const { app, request, views, shop } = await start();
    await views.view(1);
    expect((await request('POST', 'views/1/now')).body).toEqual({ op: 'add', by: 1 });
    expect(shop.views(1)).toBe(2);
    expect(views.batches.map(({ entries }) => entries.length)).toEqual([1, 1]);
    expect(await views.count(1)).toBe(2);
    await app.close();
  });

  it('is written when the application ends', async () => {
    const { app, views, shop } = await start();
    await views.view(3);
    await app.close();
    expect(shop.views(3)).toBe(1);
    await expect(views.view(3)).rejects.toMatchObject({ code: 'CACHE_NOT_RUNNING' });
  });
});
