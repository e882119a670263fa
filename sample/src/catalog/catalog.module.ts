import { Module } from '@nestjs/common';
import { DatabaseModule } from '../database/database.module.js';
import { PermissionsModule } from '../permissions/permissions.module.js';
import { AdminController } from './admin.controller.js';
import { CatalogController } from './catalog.controller.js';
import { CatalogService } from './catalog.service.js';

@Module({
  imports: [DatabaseModule, PermissionsModule],
  controllers: [CatalogController, AdminController],
  providers: [CatalogService],
})
export class CatalogModule {}
