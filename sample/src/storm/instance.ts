import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheModule } from 'nestjs-cache-contract';
import { redisStore } from 'nestjs-cache-contract/redis';
import { Database } from '../database/database.js';
import { StockService } from '../stock/stock.service.js';
import { DistantDatabase } from './distant-database.js';
import type { FromInstance, InstanceOptions, ToInstance } from './messages.js';
import { persistently, PRODUCT } from './storm.js';

/** One of several processes of an application: the service and the contract of the storefront, and its own readers. */
const { namespace, redis, ttlMs } = JSON.parse(process.argv[2]!) as InstanceOptions;

const tell = (message: FromInstance) => void process.send!(message);
const database = new DistantDatabase(tell);

@Module({
  imports: [
    CacheModule.forRoot({
      namespace,
      // On a busy machine Redis may need longer than it is given by default, and this is about who loads.
      ...(redis && { store: redisStore({ url: redis, deadline: '2s' }) }),
      // Redis has the time, which cannot be skipped.
      overrides: { stock: { ttl: ttlMs } },
    }),
  ],
  providers: [StockService, { provide: Database, useValue: database }],
})
class InstanceModule {}

const app = await NestFactory.createApplicationContext(InstanceModule, {
  logger: ['error', 'warn'],
});
const stock = app.get(StockService);

process.on('message', (message: ToInstance) => {
  if (message.kind === 'read') void read(message.readers);
  else if (message.kind === 'answer' || message.kind === 'refusal') database.answered(message);
});
// The one that started it has ended, or does not need it any more.
process.once('disconnect', () => void app.close());
tell({ kind: 'ready' });

async function read(readers: number): Promise<void> {
  const reading = Array.from({ length: readers }, () => persistently(() => stock.left(PRODUCT)));
  const outcomes = await Promise.allSettled(reading);
  tell({ kind: 'served', failed: outcomes.filter(({ status }) => status === 'rejected').length });
}
