import 'reflect-metadata';
import { once } from 'node:events';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import KeyvRedis from '@keyv/redis';
import { Redis } from 'ioredis';
import { Keyv } from 'keyv';
import {
  Cached,
  CacheModule,
  Clock,
  DistributedLock,
  entity,
  Invalidates,
  invalidate,
  onCacheEvent,
  readThrough,
} from 'nestjs-cache-contract';
import { keyvStore } from 'nestjs-cache-contract/cache-manager';
import { RedisLock } from 'nestjs-cache-contract/redis';
import type { Answer, Question } from '../../support/fault-child.js';

/*
 * One of several processes of an application that share a Keyv. It does what it is asked to and tells what came of it.
 */

export interface KeyvSettings {
  /** The Redis behind the Keyv and the locks. */
  readonly cache: string;
  /** Another one, which stands for the database. */
  readonly source: string;
  readonly loadMs: number;
  /** Whether the lock is one for all processes. */
  readonly locks: boolean;
}

const settings = JSON.parse(process.argv[2]!) as KeyvSettings;
const source = new Redis(settings.source);
const keyv = new Keyv({ store: new KeyvRedis(settings.cache) });

const Rows = entity<string>('row', {
  maxStaleness: '30m',
  read: readThrough({ ttl: '30m', loadTimeout: '10s' }),
  write: invalidate(),
});

@Injectable()
class Shop {
  @Cached(Rows)
  async find(key: string): Promise<string> {
    await source.incr(`loads of ${key}`);
    await new Promise((resolve) => setTimeout(resolve, settings.loadMs));
    return `${key} ${(await source.get(key)) ?? 'new'}`;
  }

  @Invalidates(Rows, (key: string) => key)
  async change(key: string, value: string): Promise<void> {
    await source.set(key, value);
  }
}

const locks = {
  provide: DistributedLock,
  useFactory: (clock: Clock) => new RedisLock({ url: settings.cache, namespace: 'shop' }, clock),
  inject: [Clock],
};

@Module({
  imports: [
    CacheModule.forRoot({
      namespace: 'shop',
      store: keyvStore(keyv, { deadline: '2s' }),
      providers: settings.locks ? [locks] : [],
    }),
  ],
  providers: [Shop],
})
class AppModule {}

const trouble: string[] = [];
process.on('unhandledRejection', (reason) => trouble.push(`unhandled: ${String(reason)}`));
process.on('uncaughtException', (error) => trouble.push(`uncaught: ${error.message}`));
const faults = new Set<string>();
onCacheEvent('fault', ({ code }) => faults.add(code));

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
const shop = app.get(Shop);

const tasks = {
  /** So many callers of one row at once: the different answers they got. */
  crowd: async (key: string, callers: number) => [
    ...new Set(await Promise.all(Array.from({ length: callers }, () => shop.find(key)))),
  ],

  change: (key: string, value: string) => shop.change(key, value),

  /** What somebody else finds in the Keyv. */
  stored: async (key: string) => (await keyv.get(`shop/1/row/${key}`)) !== undefined,

  seen: async () => ({ trouble, faults: [...faults] }),

  /** Ends the application, and nothing that is its caller's. */
  leave: () => app.close(),

  /** The same, and ends the Keyv, which has to be usable until then; says what keeps the process running at last. */
  close: async () => {
    await app.close();
    await keyv.set('usable', true);
    const usable = await keyv.get('usable');
    await keyv.disconnect();
    const ended = once(source, 'end');
    await source.quit();
    await ended;
    await new Promise((resolve) => setTimeout(resolve, 1));
    return { usable, open: process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap') };
  },
};
export type KeyvTasks = typeof tasks;

async function answer({ id, name, args }: Question): Promise<Answer> {
  try {
    const task = tasks[name as keyof KeyvTasks] as (
      ...args: readonly unknown[]
    ) => Promise<unknown>;
    return { id, value: await task(...args) };
  } catch (error) {
    return { id, failure: String(error) };
  }
}

process.on('message', (question: Question) => {
  void answer(question).then((answer) => {
    process.send!(answer, () => {
      // From now on only what the application has left open keeps it running.
      if (question.name === 'close') process.removeListener('disconnect', endAtOnce).disconnect();
    });
  });
});
// Nobody is left to stop it when the tests are killed.
const endAtOnce = () => process.kill(process.pid, 'SIGKILL');
process.on('disconnect', endAtOnce);
console.log('ready');
