import { ProfileService } from './cache-manager-service.js';
// #region after
import { Module } from '@nestjs/common';
import {
  CacheModule,
  entity,
  readThrough,
  writeThrough,
  type Defined,
} from 'nestjs-cache-contract';
import { CacheManagerModule } from 'nestjs-cache-contract/cache-manager';

export const Legacy = entity<Defined>('legacy', {
  maxStaleness: '5m', //                   no answer of CACHE_MANAGER is older than this
  read: readThrough({ ttl: '5m' }), //     the longest ttl that a call asks for
  write: writeThrough(), //                set() brings the new value along, del() invalidates
});

@Module({
  imports: [
    CacheModule.forRoot(),
    CacheManagerModule.register({
      entity: Legacy,
      isGlobal: true,
      ttl: 30_000,
      refreshThreshold: 5_000,
    }),
  ],
  providers: [ProfileService],
})
export class AppModule {}
// #endregion
