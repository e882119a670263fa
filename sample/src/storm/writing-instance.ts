import { setTimeout } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheModule, EntityCache, onCacheEvent } from 'nestjs-cache-contract';
import { redisStore } from 'nestjs-cache-contract/redis';
import { Database } from '../database/database.js';
import { countedStore } from './counted-store.js';
import { DistantDatabase } from './distant-database.js';
import type { FromInstance, Seen, ToInstance, WritingOptions } from './messages.js';
import { OFFERS, Offers, offers, offersUnder } from './offers.js';

/** One of several processes of an application, with readers and a writer of rows that all of them change. */
const { namespace, redis, copies } = JSON.parse(process.argv[2]!) as WritingOptions;
const MOST_BETWEEN_READS_MS = 200;
const MOST_BETWEEN_WRITES_MS = 400;

const tell = (message: FromInstance) => void process.send!(message);
const database = new DistantDatabase(tell);
const Declared = offers(copies);
const nothing = () => ({
  reads: [] as Seen['reads'][number][],
  writes: [] as Seen['writes'][number][],
  byCopy: 0,
  commands: 0,
  failed: 0,
});
let seen = nothing();

@Module({
  imports: [
    CacheModule.forRoot({
      namespace,
      store: countedStore(redisStore({ url: redis, deadline: '2s' }), () => seen.commands++),
    }),
  ],
  providers: [
    { provide: Offers, useClass: offersUnder(Declared) },
    { provide: Database, useValue: database },
  ],
})
class WritingModule {}

const app = await NestFactory.createApplicationContext(WritingModule, {
  logger: ['error', 'warn'],
});
const service = app.get(Offers);
const { worstStaleness } = app.get(EntityCache).contract(Declared);
const boundMs = worstStaleness.find(({ mode }) => mode === 'changed elsewhere')!.ms;

const micros = () => Number(process.hrtime.bigint() / 1_000n);
const anyOffer = () => 1 + Math.floor(Math.random() * OFFERS);
const pause = (mostMs: number) => setTimeout(Math.random() * mostMs);

// A copy answers within the call, before it returns its promise.
let calling = false;
onCacheEvent('hit', () => {
  if (calling) seen.byCopy++;
});

let writesLeft = 0;
let over = false;
let storming: Promise<unknown> = Promise.resolve();

async function reader(): Promise<void> {
  while (!over) {
    await pause(MOST_BETWEEN_READS_MS);
    const [offer, at] = [anyOffer(), micros()];
    calling = true;
    const answer = service.price(offer);
    calling = false;
    try {
      seen.reads.push([offer, await answer, at]);
    } catch {
      seen.failed++;
    }
  }
}

async function writer(): Promise<void> {
  for (; writesLeft > 0; writesLeft--) {
    await pause(MOST_BETWEEN_WRITES_MS);
    const offer = anyOffer();
    const price = await service.raise(offer);
    seen.writes.push([offer, price, micros()]);
  }
}

async function say(last: boolean): Promise<void> {
  if (last) {
    over = true;
    await storming;
  }
  const said = seen;
  seen = nothing();
  tell({ kind: 'seen', ...said, writesLeft, boundMs });
}

process.on('message', (message: ToInstance) => {
  switch (message.kind) {
    case 'storm':
      writesLeft = message.writes;
      storming = Promise.all([writer(), ...Array.from({ length: message.readers }, reader)]);
      break;
    case 'tell':
      void say(message.last);
      break;
    case 'answer':
    case 'refusal':
      database.answered(message);
  }
});
// The one that started it has ended, or does not need it any more.
process.once('disconnect', () => void app.close());
tell({ kind: 'ready' });
