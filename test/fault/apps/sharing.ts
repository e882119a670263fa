import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { Inject, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import {
  Cached,
  CacheModule,
  currentLoad,
  EntityCache,
  entity,
  Invalidates,
  invalidate,
  onCacheEvent,
  origin,
  readThrough,
  type Duration,
  type StoreDefinition,
} from 'nestjs-cache-contract';
import { redisStore, type RedisSource } from 'nestjs-cache-contract/redis';
import type { RedisStore } from '../../../lib/store/redis/redis-store.js';
import type { Answer, Question } from '../../support/fault-child.js';
import { micros, type History, type Read, type Write } from '../../support/fault-history.js';
import { LeaselessStore, pause, WatchedStore } from '../../support/fault-store.js';

/*
 * One of several processes of an application that share a store. It does what it is asked to and tells what came of it.
 */

export interface Settings {
  /** The Redis that is put to the test. */
  readonly cache: RedisSource;
  /** Another one, which stands for the database: a version of each row, and how often it was loaded. */
  readonly source: string;
  readonly deadline?: Duration;
  readonly startWithout?: boolean;
  readonly loadTimeout?: Duration;
  readonly loadMs?: number;
  /** Most loads of this process at a time. */
  readonly cap?: number;
  /** All that is on its way takes up to so long, milliseconds. */
  readonly delays?: number;
  readonly withoutLeases?: boolean;
  /** Each process has copies of its own, and rows have tags. */
  readonly copies?: boolean;
  /** The Redis has replicas and does not wait for them: it may lose what it has acknowledged. */
  readonly mayLose?: boolean;
}

export interface Row {
  readonly version: number;
  /** The process that has loaded it. */
  readonly by: number;
}

/** No call is expected to come near that, whatever Redis does; who waited for it to come back would take longer. */
const SLOW_MS = 3_000;

const settings = JSON.parse(process.argv[2]!) as Settings;
const {
  loadTimeout = settings.mayLose ? '1900ms' : '2s',
  delays = 0,
  loadMs = 0,
  cap = 100,
} = settings;
const source = new Redis(settings.source);

const seen = {
  loads: 0,
  mostLoads: 0,
  mostQueued: 0,
  faults: {} as Record<string, number>,
  voided: 0,
};
let loading = 0;
let store!: WatchedStore;

/** What is on its way to Redis, or waits for a connection. */
function watchQueue(remote: RedisStore): void {
  const { only } = remote['nodes'];
  if (only === undefined) return;
  const { commandQueue, offlineQueue } = only.connection.client as unknown as {
    readonly [queue: string]: { readonly length: number };
  };
  seen.mostQueued = Math.max(seen.mostQueued, commandQueue!.length + offlineQueue!.length);
}

function watchedStore(): StoreDefinition {
  const { cache, deadline, startWithout } = settings;
  const definition = redisStore({ ...cache, deadline, startWithout });
  return {
    ...definition,
    open: (parts) => {
      const remote = definition.open(parts) as RedisStore;
      const Kind = settings.withoutLeases ? LeaselessStore : WatchedStore;
      return (store = new Kind(remote, delays, () => watchQueue(remote)));
    },
  };
}

const Rows = entity<Row>('row', {
  maxStaleness: { normal: loadTimeout, incident: '1h' },
  read: readThrough({ ttl: '30m', loadTimeout }),
  write: invalidate(),
  // Who prefers that has no copies; nor has who promises less than two seconds.
  prefer: settings.copies || settings.mayLose ? 'origin' : 'error',
  origin: origin('db', { maxConcurrent: cap }),
});

@Injectable()
class Shop {
  @Cached(Rows)
  async find(key: string): Promise<Row> {
    seen.loads++;
    seen.mostLoads = Math.max(seen.mostLoads, ++loading);
    try {
      await source.incr(`loads of ${key}`);
      await pause(delays);
      const version = Number(await source.get(key));
      await pause(delays);
      // Entities without copies cannot have tags.
      if (settings.copies) currentLoad()?.tags(tagOf(key));
      if (loadMs > 0) await new Promise((resolve) => setTimeout(resolve, loadMs));
      return { version, by: process.pid };
    } finally {
      loading--;
    }
  }

  @Invalidates(Rows, (key: string) => key)
  async change(key: string): Promise<number> {
    const version = await source.incr(key);
    await pause(delays);
    return version;
  }
}

@Module({
  imports: [CacheModule.forRoot({ namespace: 'shop', store: watchedStore() })],
  providers: [Shop],
})
class AppModule {
  constructor(@Inject(EntityCache) readonly cache: EntityCache) {}
}

/** What becomes of one call. */
const calls = new AsyncLocalStorage<{ joined: boolean }>();
onCacheEvent('join', () => {
  const call = calls.getStore();
  if (call !== undefined) call.joined = true;
});
onCacheEvent('fault', ({ code }) => (seen.faults[code] = (seen.faults[code] ?? 0) + 1));
onCacheEvent('fill', ({ outcome }) => {
  if (outcome === 'invalidated meanwhile') seen.voided++;
});

const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
const shop = app.get(Shop);
const cache = app.get(EntityCache);

const tagOf = (key: string) => `of ${key}`;

/** Has nobody use the row as it was: by its key, by its tag, or with all others. */
function invalidateSomehow(key: string) {
  const dice = settings.copies ? Math.random() : 1;
  if (dice < 0.1) return cache.invalidateFamily(Rows);
  return dice < 0.4 ? cache.invalidateTag(tagOf(key)) : cache.invalidate(Rows, key);
}

const one = <T>(of: readonly T[]) => of[Math.floor(Math.random() * of.length)]!;

/** Ends readers and writer; resolves to what they have seen. */
let stopLive = async (): Promise<History & { errors: string[] }> => ({
  reads: [],
  writes: [],
  errors: [],
});

/** Ends the callers; resolves to how they fared. */
let stopCallers = async () => ({ calls: 0, slow: 0, errors: [] as string[] });

const tasks = {
  /** Reads one row. */
  read: (key: string) => shop.find(key),

  /** What the store has, without a load. */
  peek: async (key: string) => (await cache.peek(Rows, key))?.version,

  /** Changes a row, and says what became of its invalidation: by its key, by its tag, or with all others. */
  change: async (key: string, by: 'key' | 'tag' | 'family' = 'key') => {
    const version = await source.incr(key);
    const ways = {
      key: () => cache.invalidate(Rows, key),
      tag: () => cache.invalidateTag(tagOf(key)),
      family: () => cache.invalidateFamily(Rows),
    };
    return { version, outcome: await ways[by]() };
  },

  /** So many callers of one row at once: the different answers they got. */
  crowd: async (key: string, callers: number) => {
    const rows = await Promise.all(Array.from({ length: callers }, () => shop.find(key)));
    return [...new Set(rows.map((row) => JSON.stringify(row)))];
  },

  /** Readers, and a writer for as long as they read. */
  mix: async (keys: readonly string[], readers: number, times: number): Promise<History> => {
    const [reads, writes]: [Read[], Write[]] = [[], []];
    const reader = async () => {
      for (let time = 0; time < times; time++) {
        await pause(delays);
        const [key, call, at] = [one(keys), { joined: false }, micros()];
        const { version } = await calls.run(call, () => shop.find(key));
        reads.push({ key, at, version, ...call });
      }
    };
    let over = false;
    const writer = async () => {
      while (!over) {
        await pause(delays);
        const key = one(keys);
        writes.push({ key, version: await shop.change(key), at: micros() });
      }
    };
    const writing = writer();
    await Promise.all(Array.from({ length: readers }, reader));
    over = true;
    await writing;
    return { reads, writes };
  },

  /** Readers and a writer until they are stopped, who notes whether Redis has heard of what he changed. */
  live: async (keys: readonly string[], readers: number, restMs = 0) => {
    const [reads, writes, errors]: [Read[], Write[], string[]] = [[], [], []];
    let over = false;
    const repeat = async (step: () => Promise<void>) => {
      while (!over) {
        await pause(20);
        await step().catch((error: unknown) => errors.push(String(error)));
      }
    };
    const read = async () => {
      const [key, call, at] = [one(keys), { joined: false }, micros()];
      const { version } = await calls.run(call, () => shop.find(key));
      reads.push({ key, at, version, ...call });
    };
    const write = async () => {
      const key = one(keys);
      await pause(restMs);
      const version = await source.incr(key);
      const pending = (await invalidateSomehow(key)) === 'pending';
      writes.push({ key, version, at: micros(), pending });
    };
    const all = Promise.all([
      repeat(write),
      ...Array.from({ length: readers }, () => repeat(read)),
    ]);
    stopLive = async () => {
      over = true;
      await all;
      return { reads, writes, errors };
    };
  },

  finish: () => stopLive(),

  /** Callers that go on until they are stopped, half of them for rows that everybody wants, half for new ones. */
  begin: async (callers: number, hot: readonly string[]) => {
    const fared = { calls: 0, slow: 0, errors: [] as string[] };
    let [over, created] = [false, 0];
    const caller = async (_: unknown, index: number) => {
      while (!over) {
        const key = index % 2 === 0 ? one(hot) : `new-${process.pid}-${++created}`;
        const startedAt = performance.now();
        await shop.find(key).catch((error: unknown) => fared.errors.push(String(error)));
        fared.calls++;
        if (performance.now() - startedAt > SLOW_MS) fared.slow++;
        await pause(10);
      }
    };
    const all = Promise.all(Array.from({ length: callers }, caller));
    stopCallers = async () => {
      over = true;
      await all;
      return fared;
    };
  },

  stop: () => stopCallers(),

  seen: async () => ({ ...seen, readsOfStore: store.reads, waits: store.waits }),

  /** What keeps the process running when the application is closed. */
  close: async () => {
    await app.close();
    const ended = once(source, 'end');
    await source.quit();
    await ended;
    // The client gives a connection that has ended a timer of no time.
    await new Promise((resolve) => setTimeout(resolve, 1));
    return process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap');
  },
};
export type Tasks = typeof tasks;

async function answer({ id, name, args }: Question): Promise<Answer> {
  try {
    const task = tasks[name as keyof Tasks] as (...args: readonly unknown[]) => Promise<unknown>;
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
