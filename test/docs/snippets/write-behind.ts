import 'reflect-metadata';
import { Body, Controller, Get, HttpCode, Injectable, Param, Post, Put } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  add,
  Cached,
  counter,
  entity,
  type EntityCache,
  Flushes,
  InjectCache,
  onCacheEvent,
  OverrideStrategy,
  readThrough,
  set,
  SqlLedger,
  WriteBehind,
  writeBehind,
  writeThrough,
  type CacheOf,
  type FlushBatch,
  type Flushed,
} from 'nestjs-cache-contract';
import { Database, type Transaction } from '../../../sample/src/database/database.js';

// #region contract
export const Views = entity<number, number>('view', counter());

export const LastSeen = entity<Date | null>('last-seen', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '30s' }),
  write: writeBehind({ flushEvery: '5s' }), // of several writes to one key the last one wins
});
// #endregion

// #region ledger
@Injectable()
export class ShopLedger extends SqlLedger<Transaction> {
  constructor(private readonly database: Database) {
    super('sqlite'); // or 'postgres'
  }

  // Commits if work resolves, rolls back and rejects with its error if it rejects.
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.database.transaction(work);
  }

  // Gives the rows of one statement, as an array of objects.
  query(tx: Transaction, sql: string, values: readonly (string | number)[]): Promise<object[]> {
    return tx.query(sql, values);
  }
}
// #endregion

// #region methods
@Injectable()
export class ViewService {
  constructor(private readonly database: Database) {}

  @Cached(Views) // reads
  async count(product: number): Promise<number> {
    const sql = 'SELECT views FROM products WHERE id = ?';
    const [row] = await this.database.query<{ views: number }>(sql, [product]);
    return row?.views ?? 0;
  }

  @WriteBehind(Views) // says what changes, and writes nothing
  async view(_product: number) {
    return add(1);
  }

  @WriteBehind(Views, (product: number) => product)
  async correct(_product: number, views: number) {
    return set(views);
  }

  @Flushes(Views, { ledger: ShopLedger }) // writes a batch, with the transaction the ledger is in
  async write({ entries }: FlushBatch<typeof Views>, tx: Transaction): Promise<Flushed> {
    const rejected: { key: number; reason: string }[] = [];
    for (const entry of entries) {
      const [sum, number] = entry.op === 'add' ? ['views + ?', entry.by] : ['?', entry.value];
      const sql = `UPDATE products SET views = ${sum} WHERE id = ? RETURNING id`;
      const [row] = await tx.query(sql, [number, entry.key]);
      if (row === undefined) rejected.push({ key: entry.key, reason: 'no such product' });
    }
    return { rejected };
  }
}
// #endregion

/** A store without transactions. */
@Injectable()
export class Presence {
  readonly rows = new Map<string, Date>();
  async put(user: string, at: Date): Promise<void> {
    this.rows.set(user, at);
  }
  async remove(user: string): Promise<void> {
    this.rows.delete(user);
  }
}

@Injectable()
export class PresenceService {
  constructor(private readonly presence: Presence) {}

  @Cached(LastSeen)
  async of(user: string): Promise<Date | null> {
    return this.presence.rows.get(user) ?? null;
  }
  @WriteBehind(LastSeen, (user: string) => user)
  async seen(_user: string, at: Date) {
    return set(at);
  }

  // #region without-ledger
  @Flushes(LastSeen)
  async write({ entries, signal }: FlushBatch<typeof LastSeen>): Promise<void> {
    for (const entry of entries) {
      signal.throwIfAborted(); // what is late must not overwrite what came after it
      if (entry.op === 'set') await this.presence.put(entry.key, entry.value);
      else await this.presence.remove(entry.key);
    }
  }
  // #endregion
}

// #region through
@Controller('products/:id/views')
export class ViewController {
  constructor(private readonly views: ViewService) {}

  @Post()
  @HttpCode(202) // accepted
  async view(@Param('id') id: string) {
    return (await this.views.view(Number(id))).receipt;
  }

  @Put()
  @HttpCode(204) // written
  @OverrideStrategy(Views, { write: writeThrough() })
  async correct(@Param('id') id: string, @Body('views') views: number): Promise<void> {
    await this.views.correct(Number(id), views);
  }
}
// #endregion

// #region dead-letters
@Controller('admin/dead-views')
export class DeadViewsController {
  constructor(@InjectCache(Views) private readonly views: CacheOf<typeof Views>) {}

  @Get()
  list() {
    return this.views.journal().deadLetters();
  }

  @Post('retry')
  async retry(@Body('id') id: string) {
    return { written: await this.views.journal().retry(id) };
  }

  @Post('discard')
  async discard(@Body('id') id: string) {
    return { removed: await this.views.journal().discard(id) };
  }
}
// #endregion

// #region watch
export function watch(cache: EntityCache, gauge: (name: string, value: number) => void) {
  const { pending, dead, duplicates } = cache.journal(Views).status();
  gauge('view.pending', pending);
  gauge('view.dead', dead);
  gauge('view.duplicates', duplicates);
  return onCacheEvent('flush', ({ entity, outcome, flushMs }) => {
    gauge(`${entity}.flush.${outcome}`, flushMs);
  });
}
// #endregion

export async function bootstrap(AppModule: new () => object, port: number) {
  // #region shutdown
  const app = await NestFactory.create(AppModule);
  app.enableShutdownHooks(); // without it SIGTERM ends the process at once
  await app.listen(port);
  // #endregion
  return app;
}
