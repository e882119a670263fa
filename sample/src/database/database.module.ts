import { Module } from '@nestjs/common';
import { DatabaseController } from './database.controller.js';
import { Database } from './database.js';
import { StorefrontLedger } from './storefront-ledger.js';

@Module({
  controllers: [DatabaseController],
  providers: [Database, StorefrontLedger],
  exports: [Database, StorefrontLedger],
})
export class DatabaseModule {}
