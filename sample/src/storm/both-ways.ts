import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheModule, Clock, EntityCache } from 'nestjs-cache-contract';
import { Database } from '../database/database.js';
import { Stock } from '../stock/stock.contract.js';
import { StockModule } from '../stock/stock.module.js';
import { StockService } from '../stock/stock.service.js';
import { SkippingClock } from './skipping-clock.js';
import { PRODUCT, storm, type Outcome } from './storm.js';

const clock = new SkippingClock();

@Module({
  imports: [
    CacheModule.forRoot({
      namespace: 'storm',
      providers: [{ provide: Clock, useValue: clock }],
    }),
    StockModule,
  ],
})
class StormModule {}

/**
 * The stock of a product that everybody wants, under the contract of the storefront: nothing stale is served to these
 * readers, so when the entry expires, each of them has to get a new one.
 */
export async function withCache(): Promise<Outcome> {
  const app = await NestFactory.createApplicationContext(StormModule, {
    logger: ['error', 'warn'],
  });
  try {
    const stock = app.get(StockService);
    const { maxStalenessMs } = app.get(EntityCache).contract(Stock);
    // Time is skipped, not waited for. That the entry expires is up to the contract.
    const expire = () => clock.skip(maxStalenessMs.normal);
    return await storm(app.get(Database), () => stock.left(PRODUCT), expire);
  } finally {
    await app.close();
  }
}

/** The same service and database. Made by hand, so that its `@Cached` method is just the method. */
export async function withoutCache(): Promise<Outcome> {
  const database = new Database();
  const stock = new StockService(database);
  try {
    return await storm(
      database,
      () => stock.left(PRODUCT),
      () => undefined,
    );
  } finally {
    database.onApplicationShutdown();
  }
}
