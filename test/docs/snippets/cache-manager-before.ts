import { ProfileService } from './cache-manager-service.js';
// #region before
import { CacheModule } from '@nestjs/cache-manager';
import { Module } from '@nestjs/common';

@Module({
  imports: [CacheModule.register({ isGlobal: true, ttl: 30_000, refreshThreshold: 5_000 })],
  providers: [ProfileService],
})
export class AppModule {}
// #endregion
