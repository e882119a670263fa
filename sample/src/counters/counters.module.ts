import { Module } from '@nestjs/common';
import { CacheModule } from 'nestjs-cache-contract';
import { DatabaseModule } from '../database/database.module.js';
import { PermissionsModule } from '../permissions/permissions.module.js';
import { CountersController } from './counters.controller.js';
import { ViewCounts } from './view-count.contract.js';
import { ViewCountController } from './view-count.controller.js';
import { ViewCountService } from './view-count.service.js';

@Module({
  imports: [DatabaseModule, PermissionsModule, CacheModule.forFeature([ViewCounts])],
  controllers: [ViewCountController, CountersController],
  providers: [ViewCountService],
})
export class CountersModule {}
