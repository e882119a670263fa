import 'reflect-metadata';
import { Controller, Get, Injectable, Param } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheModule,
  entity,
  external,
  Invalidates,
  invalidate,
  readThrough,
} from 'nestjs-cache-contract';
import { expectGolden } from '../support/golden.js';

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
    providers: [Eager, StockService, CatalogService],
  }).compile();
  const error: Error = await module.init().then(
    () => new Error('it started'),
    (thrown: Error) => thrown,
  );
  expect(error).toMatchObject({ name: 'CacheConfigurationError', code: 'CACHE_CONFIGURATION' });
  expectGolden('boot-report.txt', error.message);
  expect(hooks).toBe(0);
});
