import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  Cached,
  CacheModule,
  entity,
  EntityCache,
  invalidate,
  Invalidates,
  readThrough,
} from 'nestjs-cache-contract';
import { redisStore } from 'nestjs-cache-contract/redis';

process.env.REDIS_URL ??= 'redis://localhost:6379';

/** Stands for the database that all of them have. */
export const rows = new Map<string, number>();
const database = {
  priceOf: (id: string) => Promise.resolve(rows.get(id) ?? 0),
  setPrice: (id: string, cents: number) => Promise.resolve(void rows.set(id, cents)),
  raiseAll: (percent: number) => {
    for (const [id, cents] of rows) rows.set(id, Math.round((cents * (100 + percent)) / 100));
    return Promise.resolve([...rows.keys()]);
  },
};

// #region shared
/** What the application, its consumers and its jobs all import: one namespace, one Redis, the same contracts. */
export const Prices = entity<number>('price', {
  maxStaleness: { normal: '5s', incident: '1h' },
  read: readThrough({ ttl: '1h' }),
  write: invalidate(),
});

@Injectable()
export class PriceService {
  constructor(private readonly cache: EntityCache) {}

  @Cached(Prices)
  priceOf(id: string): Promise<number> {
    return database.priceOf(id);
  }
  @Invalidates(Prices, (id: string) => id)
  setPrice(id: string, cents: number): Promise<void> {
    return database.setPrice(id, cents);
  }
  /** One statement, and which rows it has changed is known only afterwards. */
  async raiseAll(percent: number): Promise<void> {
    const ids = await database.raiseAll(percent);
    await Promise.all(ids.map((id) => this.cache.invalidate(Prices, id)));
  }
}

@Module({
  imports: [
    CacheModule.forRootAsync({
      useFactory: () => ({
        namespace: 'shop',
        store: redisStore({ url: process.env.REDIS_URL! }),
      }),
    }),
  ],
  providers: [PriceService],
  exports: [PriceService],
})
export class PricesModule {}
// #endregion

// #region job
/** What cron starts. */
export async function raisePrices(percent: number): Promise<void> {
  const app = await NestFactory.createApplicationContext(PricesModule);
  try {
    await app.get(PriceService).raiseAll(percent);
  } finally {
    // Tells Redis once more what it could not be told, and ends all connections.
    await app.close();
  }
}
// #endregion

// #region consumer
@Injectable()
export class PriceConsumer {
  constructor(private readonly cache: EntityCache) {}

  /** The row was written by who sent the message. A message that is delivered twice does no harm. */
  async onPriceChanged({ id }: { id: string }): Promise<void> {
    const outcome = await this.cache.invalidate(Prices, id);
    // It is told again while this process runs; the queue does so where it does not.
    if (outcome === 'pending') throw new Error('the cache could not be told: deliver it again');
  }
}
// #endregion
