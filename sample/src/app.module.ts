import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { CacheModule } from 'nestjs-cache-contract';
import { cacheOptions } from './cache-options.js';
import { CatalogModule } from './catalog/catalog.module.js';
import { CountersModule } from './counters/counters.module.js';
import { OverloadFilter } from './http/overload.filter.js';
import { PermissionsModule } from './permissions/permissions.module.js';
import { ProfilesModule } from './profiles/profiles.module.js';
import { StockModule } from './stock/stock.module.js';

@Module({
  imports: [
    CacheModule.forRootAsync({ useFactory: () => cacheOptions(process.env) }),
    ProfilesModule,
    CatalogModule,
    StockModule,
    CountersModule,
    PermissionsModule,
  ],
  providers: [{ provide: APP_FILTER, useClass: OverloadFilter }],
})
export class AppModule {}
