import 'reflect-metadata';
import { setTimeout } from 'node:timers/promises';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import {
  Controller,
  HttpCode,
  Inject,
  Injectable,
  Module,
  Param,
  Post,
  type BeforeApplicationShutdown,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { HttpAdapterHost, NestFactory } from '@nestjs/core';
import {
  add,
  CacheModule,
  EntityCache,
  entity,
  Flushes,
  readThrough,
  SqlLedger,
  WriteBehind,
  writeBehind,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { addToCounter, openDatabase, type Place, type Tx } from '../../support/fault-database.js';
import { operation, Witness } from '../../support/fault-operations.js';

/** An application that counts what it is asked for over HTTP, and is asked to stop. */
export interface Settings {
  readonly place: Place;
  readonly witness: string;
  /** Operations that came over HTTP. */
  readonly run: number;
  /** Operations of its own, when it ends. */
  readonly ownRun: number;
  /** Who listens to SIGTERM. */
  readonly listens: 'nest' | 'main' | 'nobody';
  /** How many requests it waits for between being asked to stop and closing its server. */
  readonly requestsWhenEnding?: number;
  /** What becomes of the database when it is asked to stop. */
  readonly database?: 'fails at first' | 'fails' | 'hangs';
  /** It accepts something when its server has closed and its database is about to. */
  readonly acceptsLast?: boolean;
  /** Nobody closes the database. */
  readonly staysOpen?: boolean;
}

const settings = JSON.parse(process.argv[2]!) as Settings;
const writtenDown = new Witness(settings.witness);
let ending = false;

const Counts = entity<number, number>('count', {
  maxStaleness: '2m',
  read: readThrough({ ttl: '1s' }),
  // Too long for anything to be written but by a full batch and by the end of the application.
  write: writeBehind({ merge: 'sum', flushEvery: '1m', maxBatch: 20 }),
});

@Injectable()
class Shop implements OnApplicationShutdown {
  readonly database = openDatabase(settings.place, 'shop');

  async onApplicationShutdown(): Promise<void> {
    if (!settings.staysOpen) await this.database.close();
  }
}
@Module({ providers: [Shop], exports: [Shop] })
class DatabaseModule {}

@Injectable()
class ShopLedger extends SqlLedger<Tx> {
  private failures = 0;
  constructor(@Inject(Shop) private readonly shop: Shop) {
    super(shop.database.dialect);
  }
  override async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    if (ending) {
      const { database } = settings;
      if (database === 'hangs') await new Promise(() => undefined);
      if (database === 'fails' || (database !== undefined && ++this.failures <= 3)) {
        throw new Error('The database is out of reach.');
      }
    }
    return this.shop.database.transaction(work);
  }
  override query(tx: Tx, sql: string, values: readonly (string | number)[]) {
    return tx.query(sql, values);
  }
}

@Injectable()
class Counter {
  @WriteBehind(Counts, (key: number) => key)
  async add(_key: number, by: number) {
    return Promise.resolve(add(by));
  }
  async count(run: number, n: number): Promise<void> {
    const { key, by } = operation(run, n);
    await this.add(key, by);
    writtenDown.note(run === settings.run ? 'ok' : 'own', n);
  }
  @Flushes(Counts, { ledger: ShopLedger })
  async persist({ entries }: FlushBatch<typeof Counts>, tx: Tx): Promise<void> {
    for (const entry of entries)
      if (entry.op === 'add') await addToCounter(tx, entry.key, entry.by);
  }
}

let acceptedWhenEnding = 0;

@Controller()
class CountController {
  constructor(
    @Inject(Counter) private readonly counter: Counter,
    @Inject(EntityCache) private readonly cache: EntityCache,
    @Inject(HttpAdapterHost) private readonly http: HttpAdapterHost,
  ) {}

  @Post('count/:n')
  @HttpCode(202)
  async count(@Param('n') n: string): Promise<void> {
    await this.counter.count(settings.run, Number(n));
    if (ending) acceptedWhenEnding++;
  }

  /** Under way when the server closes. */
  @Post('slow/:n')
  @HttpCode(202)
  async slow(@Param('n') n: string): Promise<void> {
    console.log('slow request');
    const server = this.http.httpAdapter.getHttpServer() as Server;
    while (server.listening) await setTimeout(5);
    await this.counter.count(settings.run, Number(n));
  }

  @Post('flush')
  async flush(): Promise<void> {
    console.log('flush request');
    await this.cache.journal(Counts).flush();
  }
}
@Module({
  imports: [DatabaseModule],
  controllers: [CountController],
  providers: [ShopLedger, Counter],
  exports: [Counter],
})
class CountModule {}

/** Counts when the application ends. */
@Injectable()
class Reporter implements BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(@Inject(Counter) private readonly counter: Counter) {}

  async beforeApplicationShutdown(): Promise<void> {
    while (acceptedWhenEnding < (settings.requestsWhenEnding ?? 0)) await setTimeout(5);
    await this.counter.count(settings.ownRun, 1);
  }
  async onApplicationShutdown(): Promise<void> {
    if (settings.acceptsLast) await this.counter.count(settings.ownRun, 2);
  }
}
@Module({ imports: [CacheModule.forRoot(), CountModule], providers: [Reporter] })
class AppModule {}

// Nobody is left to stop it when the tests are killed.
process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL')).resume();
(process.stdin as Socket).unref();

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
if (settings.listens !== 'nobody') process.once('SIGTERM', () => (ending = true));
if (settings.listens === 'nest') app.enableShutdownHooks();
await app.listen(0, '127.0.0.1');
console.log(`listening at ${await app.getUrl()} .`);
