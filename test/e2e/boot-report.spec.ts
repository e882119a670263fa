import 'reflect-metadata';
import { Controller, Get, Injectable, Param, Scope } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  add,
  Cached,
  CacheModule,
  counter,
  entity,
  external,
  Flushes,
  Invalidates,
  invalidate,
  readThrough,
  set,
  WriteBehind,
  writeBehind,
  WriteThrough,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { expectGolden } from '../support/golden.js';
import { ShopLedger, type Connection } from '../support/sqlite-shop.js';

const Products = entity<string>('product', {
  maxStaleness: '30s',
  read: readThrough({ ttl: '1m' }),
  write: invalidate(),
});
const Prices = entity<number>('price', {
  maxStaleness: '10s',
  read: readThrough({ ttl: '5 s' }),
  write: external(),
});
const Stocks = entity<number>('stock', {
  maxStaleness: '10s',
  read: readThrough({ ttl: '5s' }),
  write: external(),
});

@Injectable()
class CatalogService {
  @Cached(Products)
  async find(id: string): Promise<string> {
    return id;
  }
  // As after a circle of imports, where the contract is not there yet.
  @Cached(undefined as unknown as typeof Products)
  async findAlias(id: string): Promise<string> {
    return id;
  }
}

@Injectable()
class StockService {
  @Invalidates(Stocks)
  async book(_id: string): Promise<void> {}

  @Cached(Stocks)
  @Invalidates(Products)
  async count(_id: string): Promise<number> {
    return 1;
  }
}

@Controller('prices')
class PriceController {
  @Cached(Prices)
  @Get(':id')
  async price(@Param('id') _id: string): Promise<number> {
    return 1;
  }
}

const Views = entity<number, number>('view', counter());
const Likes = entity<number, number>('like', counter());
const Votes = entity<number, number>('vote', counter());
const Shares = entity<number, number>('share', counter());
const Carts = entity<string>('cart', { ...counter(), write: writeBehind() });
const Quotas = entity<number>('quota', { ...counter(), prefer: 'error' });
const Scores = entity<number>('score', { ...counter(), maxStaleness: '10s' });
const Drafts = entity<string>('draft', {
  ...counter(),
  write: writeBehind({
    flushEvery: '2h',
    maxBatchs: 5,
    retry: { delay: '2s', maxDelay: '1s' },
  } as object),
});

@Injectable()
class CounterService {
  @Cached(Views)
  async views(_id: number): Promise<number> {
    return 1;
  }
  @WriteBehind(Quotas)
  async use(_id: string) {
    return add(1);
  }
  @WriteBehind(Scores)
  async score(_id: string) {
    return add(1);
  }
  @WriteBehind(Drafts, (id: string) => id)
  async draft(_id: string, text: string) {
    return set(text);
  }
  @WriteBehind(Stocks)
  async stock(_id: string) {
    return set(1);
  }
  @WriteThrough(Carts)
  async cart(_id: string): Promise<string> {
    return '';
  }
  @WriteBehind(Likes)
  @WriteBehind(Votes)
  async both(_id: number) {
    return add(1);
  }
  @Flushes(Carts)
  async persistCarts(_batch: FlushBatch<typeof Carts>): Promise<void> {}
  @Flushes(Carts)
  async persistCartsToo(_batch: FlushBatch<typeof Carts>): Promise<void> {}
  @Flushes(Likes, { ledger: ShopLedger })
  async persistLikes(_batch: FlushBatch<typeof Likes>, _tx: Connection): Promise<void> {}
  @Flushes(Votes)
  async persistVotes(_batch: FlushBatch<typeof Votes>): Promise<void> {}
}
@Injectable({ scope: Scope.REQUEST })
class ShareService {
  @Flushes(Shares, { atLeastOnce: true })
  async persist(_batch: FlushBatch<typeof Shares>): Promise<void> {}
}

it('tells all faults of all classes and contracts in one report, sorted, before anything starts', async () => {
  let hooks = 0;
  @Injectable()
  class Eager {
    onModuleInit() {
      hooks++;
    }
  }
  const module = await Test.createTestingModule({
    imports: [CacheModule.forRoot()],
    controllers: [PriceController],
    providers: [Eager, StockService, CatalogService, CounterService, ShareService],
  }).compile();
  const error: Error = await module.init().then(
    () => new Error('it started'),
    (thrown: Error) => thrown,
  );
  expect(error).toMatchObject({ name: 'CacheConfigurationError', code: 'CACHE_CONFIGURATION' });
  expectGolden('boot-report.txt', error.message);
  expect(hooks).toBe(0);
});
