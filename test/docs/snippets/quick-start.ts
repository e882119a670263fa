// #region quick-start
import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import * as cache from 'nestjs-cache-contract';

const Profiles = cache.entity<{ name: string }>('profile', {
  maxStaleness: '90s', // no answer is older than this, or the application does not start
  read: cache.readThrough({ ttl: '1m' }),
  write: cache.invalidate(),
});

@Injectable()
class ProfileService {
  private readonly table = new Map([['u1', { name: 'Ada' }]]);

  @cache.Cached(Profiles) // loads; runs when the cache cannot answer
  async find(id: string): Promise<{ name: string }> {
    console.log('query');
    return this.table.get(id)!;
  }
  @cache.Invalidates(Profiles, (id: string) => id) // writes; afterwards the old value is gone
  async rename(id: string, name: string): Promise<void> {
    this.table.set(id, { name });
  }
}

@Module({ imports: [cache.CacheModule.forRoot()], providers: [ProfileService] })
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
const profiles = app.get(ProfileService);
await Promise.all(Array.from({ length: 1000 }, () => profiles.find('u1'))); // query
console.log(await profiles.find('u1')); //                                     { name: 'Ada' }
await profiles.rename('u1', 'Grace');
console.log(await profiles.find('u1')); //                                     query, { name: 'Grace' }
await app.close();
// #endregion
