import { Module } from '@nestjs/common';
import { DatabaseModule } from '../database/database.module.js';
import { PublicStockController } from './public-stock.controller.js';
import { StockController } from './stock.controller.js';
import { StockService } from './stock.service.js';

@Module({
  imports: [DatabaseModule],
  controllers: [StockController, PublicStockController],
  providers: [StockService],
})
export class StockModule {}
