import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import KeyvRedis from '@keyv/redis';
import { Keyv } from 'keyv';
import {
  Cached,
  CacheModule,
  Clock,
  DistributedLock,
  entity,
  invalidate,
  Invalidates,
  readThrough,
} from 'nestjs-cache-contract';
import { keyvStore } from 'nestjs-cache-contract/cache-manager';
import { RedisLock } from 'nestjs-cache-contract/redis';

export const Profiles = entity<{ name: string } | null>('profile', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m' }),
  write: invalidate(),
});

@Injectable()
export class ShopService {
  readonly rows = new Map<string, string>([['u1', 'Ada']]);
  loads = 0;

  @Cached(Profiles)
  async profile(id: string): Promise<{ name: string } | null> {
    this.loads++;
    const name = this.rows.get(id);
    return name === undefined ? null : { name };
  }
  @Invalidates(Profiles, (id: string) => id)
  async rename(id: string, name: string): Promise<void> {
    this.rows.set(id, name);
  }
}

process.env.REDIS_URL ??= 'redis://localhost:6379';

// #region module
export const keyv = new Keyv({ store: new KeyvRedis(process.env.REDIS_URL) });

const locks = {
  provide: DistributedLock,
  useFactory: (clock: Clock) =>
    new RedisLock({ url: process.env.REDIS_URL!, namespace: 'shop' }, clock),
  inject: [Clock],
};

@Module({
  imports: [
    CacheModule.forRoot({
      namespace: 'shop', // the same for all processes of the application, and for no other
      store: keyvStore(keyv),
      providers: [locks], // one lock for all processes: one load for all of them
    }),
  ],
  providers: [ShopService],
})
export class AppModule {}
// #endregion

export async function once(use: (shop: ShopService) => Promise<void>): Promise<void> {
  // #region close
  const app = await NestFactory.createApplicationContext(AppModule);
  await use(app.get(ShopService));
  await app.close();
  await keyv.disconnect(); // yours: the cache does not end it
  // #endregion
}
