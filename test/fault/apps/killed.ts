import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  add,
  CacheModule,
  EntityCache,
  entity,
  Flushes,
  onCacheEvent,
  readThrough,
  SqlLedger,
  WriteBehind,
  writeBehind,
  type BatchPosition,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { addToCounter, openDatabase, type Place, type Tx } from '../../support/fault-database.js';
import { operation, Witness } from '../../support/fault-operations.js';

/*
 * An application that counts, and kills itself at one step of a flush. Until then, or until its operations are done, it
 * writes down what it asks for, what is accepted and what is reported as written.
 */

/** The steps of a flush, in their order. */
export type Step =
  | 'accepted'
  | 'sealed'
  | 'begun'
  | 'recorded'
  | 'half written'
  | 'written'
  | 'commit under way'
  | 'commit answered'
  | 'committed'
  | 'acknowledged';

export interface Settings {
  readonly place: Place;
  readonly name: string;
  readonly witness: string;
  readonly run: number;
  /** How many; the last ones are written when the application closes. */
  readonly operations: number;
  readonly kill?: { readonly step: Step; readonly time: number };
}

const { place, name, witness, run, operations, kill } = JSON.parse(process.argv[2]!) as Settings;
const writtenDown = new Witness(witness);
const note = (...words: (string | number)[]) => writtenDown.note(...words);
const database = openDatabase(place, name);

let reached = 0;
function at(step: Step): void {
  if (step !== kill?.step || ++reached < kill.time) return;
  note('killed');
  process.kill(process.pid, 'SIGKILL');
  // Nothing may happen any more, however long the signal takes.
  for (;;);
}

const Counts = entity<number, number>('count', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1s' }),
  write: writeBehind({
    merge: 'sum',
    flushEvery: '5ms',
    maxBatch: 5,
    retry: { attempts: 100, delay: '2ms', maxDelay: '10ms' },
  }),
});

@Injectable()
class ShopLedger extends SqlLedger<Tx> {
  private number = 0;
  private lastSeq = 0;

  constructor() {
    super(database.dialect);
  }

  override transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    at('sealed');
    // As on a network: of four transactions one is rolled back, and one is committed without anybody being told.
    const number = ++this.number;
    return this.committed(number % 4 === 2, async (tx) => {
      at('begun');
      const result = await work(tx);
      if (number % 4 === 0) throw new Error('The connection broke before COMMIT.');
      note('committing', this.lastSeq);
      return result;
    });
  }

  private async committed<T>(answerLost: boolean, work: (tx: Tx) => Promise<T>): Promise<T> {
    const result = await database.transaction(work, {
      answerLost,
      underWay: () => at('commit under way'),
      answered: () => {
        note('committed', this.lastSeq);
        at('commit answered');
      },
    });
    at('committed');
    return result;
  }

  override query(tx: Tx, sql: string, values: readonly (string | number)[]) {
    return tx.query(sql, values);
  }

  override async advance(tx: Tx, batch: BatchPosition) {
    this.lastSeq = batch.lastSeq;
    const verdict = await super.advance(tx, batch);
    at('recorded');
    return verdict;
  }
}

@Injectable()
class Counter {
  @WriteBehind(Counts, (key: number) => key)
  async add(_key: number, by: number) {
    return Promise.resolve(add(by));
  }

  @Flushes(Counts, { ledger: ShopLedger })
  async persist({ entries }: FlushBatch<typeof Counts>, tx: Tx): Promise<void> {
    for (const [index, entry] of entries.entries()) {
      if (index === Math.floor(entries.length / 2)) at('half written');
      if (entry.op === 'add') await addToCounter(tx, entry.key, entry.by);
    }
    at('written');
  }
}

@Module({ imports: [CacheModule.forRoot()], providers: [ShopLedger, Counter] })
class AppModule {}

onCacheEvent('flush', ({ batch, outcome }) => {
  if (outcome === 'failed') return;
  note('flushed', batch.slice(batch.lastIndexOf(':') + 1));
  at('acknowledged');
});
const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
const counter = app.get(Counter);
const journal = app.get(EntityCache).journal(Counts);
for (let n = 1; n <= operations; n++) {
  const { key, by } = operation(run, n);
  note('try', n);
  const { receipt } = (await counter.add(key, by)) as { receipt?: { seq: number } };
  // The first life of a journal with one shard numbers as we do.
  if (receipt?.seq !== n) throw new Error(`operation ${n} was accepted as ${receipt?.seq}`);
  note('ok', n);
  at('accepted');
  if (n % 40 === 0)
    await journal.flush().then(
      () => note('flushed', n),
      () => undefined,
    );
  await new Promise(setImmediate);
}
await app.close();
note('flushed', operations);
await database.close();
