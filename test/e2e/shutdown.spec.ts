import 'reflect-metadata';
import {
  Injectable,
  type BeforeApplicationShutdown,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheModule,
  Clock,
  EntityCache,
  entity,
  invalidate,
  onCacheEvent,
  readThrough,
} from 'nestjs-cache-contract';
import { deferred } from '../support/engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { closedLater, start } from './apps/start.js';

const Answers = entity<number>('answer', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m', loadTimeout: '5m' }),
  write: invalidate(),
});

@Injectable()
class Service {
  loads = 0;
  gate: Promise<void> | undefined;
  @Cached(Answers)
  async find(_id: string): Promise<number> {
    const load = ++this.loads;
    await this.gate;
    return load;
  }
}
async function startService() {
  const app = await start({ providers: [Service] });
  const { background } = app.get(EntityCache)['engine'];
  return { app, background, service: app.get(Service), cache: app.get(EntityCache) };
}
/** Long enough for everything that needs no outside event to have happened. */
const turns = async (count = 10) => {
  while (count-- > 0) await new Promise(setImmediate);
};

it('passes calls through after close, because what still runs then needs answers and no cache', async () => {
  const { app, service, cache } = await startService();
  expect([await service.find('a'), await service.find('a')]).toEqual([1, 1]);
  await app.close();
  const reasons: string[] = [];
  const stop = onCacheEvent('bypass', ({ reason }) => reasons.push(reason));
  expect([await service.find('a'), await service.find('a')]).toEqual([2, 3]);
  expect(await cache.get(Answers, 'a', async () => 99)).toBe(99);
  stop();
  expect(await cache.peek(Answers, 'a')).toBeUndefined();
  expect(reasons).toEqual(['closed', 'closed', 'closed']);
});

it('passes calls through after close for an entity nobody had asked for, though it opens only then', async () => {
  const { app, service, background } = await startService();
  await app.close();
  expect([await service.find('a'), await service.find('a')]).toEqual([1, 2]);
  expect(background.size).toBe(0);
});

it('waits at close for a load under way, gives its caller the value and leaves no timer or promise', async () => {
  const { app, service, cache, background } = await startService();
  const gate = deferred<void>();
  service.gate = gate.promise;
  const answer = service.find('a');
  expect(background.size).toBeGreaterThan(0);
  let closed = false;
  const closing = app.close().then(() => (closed = true));
  await turns();
  expect(closed).toBe(false);
  gate.resolve();
  await closing;
  expect(await answer).toBe(1);
  expect(background.size).toBe(0);
  expect(await cache.peek(Answers, 'a')).toBeUndefined();
});

it('waits at close for a load that fails as well, and does not fail with it', async () => {
  const { app, service, background } = await startService();
  const gate = deferred<void>();
  service.gate = gate.promise;
  const answer = service.find('a').catch((error: Error) => error.message);
  const closing = app.close();
  gate.reject(new Error('the source went away'));
  await closing;
  expect(await answer).toBe('the source went away');
  expect(background.size).toBe(0);
});

it('waits for a load under way before the phase in which databases close, because the load may need one', async () => {
  const seen: string[] = [];
  @Injectable()
  class Database implements OnApplicationShutdown {
    onApplicationShutdown(): void {
      seen.push('closed');
    }
  }
  const app = await start({ providers: [Database, Service] });
  const service = app.get(Service);
  const gate = deferred<void>();
  service.gate = gate.promise.then(() => void seen.push('read'));
  const answer = service.find('a');
  const closing = app.close();
  await turns();
  gate.resolve();
  await closing;
  expect([await answer, ...seen]).toEqual([1, 'read', 'closed']);
});

it('waits at close no longer than the load timeout, so that a source that hangs cannot keep it from ending', async () => {
  const clock = new ManualClock();
  const metadata = { imports: [CacheModule.forRoot()], providers: [Service] };
  const builder = Test.createTestingModule(metadata).overrideProvider(Clock).useValue(clock);
  const app = closedLater(await (await builder.compile()).init());
  const service = app.get(Service);
  service.gate = new Promise(() => undefined);
  const answer = service.find('a').catch((error: { code: string }) => error.code);
  let closed = false;
  const closing = app.close().then(() => (closed = true));
  clock.advance(5 * 60_000 - 1);
  await turns();
  expect(closed).toBe(false);
  clock.advance(1);
  await closing;
  expect([await answer, clock.pending]).toEqual(['CACHE_LOAD_TIMEOUT', 0]);
});

it('leaves nothing behind between calls either, so that an idle cache holds no timer', async () => {
  const { service, background } = await startService();
  await Promise.all([service.find('a'), service.find('a'), service.find('b')]);
  await turns();
  expect(background.size).toBe(0);
});

it('waits for a load that begins while the application closes, because its caller still waits for it', async () => {
  const gate = deferred<void>();
  let answer: Promise<number> | undefined;
  @Injectable()
  class Straggler implements OnApplicationShutdown {
    constructor(readonly service: Service) {}
    onApplicationShutdown(): void {
      this.service.gate = gate.promise;
      answer = this.service.find('a');
    }
  }
  const app = await start({ providers: [Service, Straggler] });
  const { background } = app.get(EntityCache)['engine'];
  let closed = false;
  const closing = app.close().then(() => (closed = true));
  await turns();
  expect([closed, background.size > 0]).toEqual([false, true]);
  gate.resolve();
  await closing;
  expect([await answer, background.size]).toEqual([1, 0]);
});

it('still caches in the hooks that stop the application, because they run before the cache closes', async () => {
  const seen: number[] = [];
  @Injectable()
  class Reporter implements OnModuleDestroy, BeforeApplicationShutdown {
    constructor(readonly service: Service) {}
    async onModuleDestroy(): Promise<void> {
      seen.push(await this.service.find('a'), await this.service.find('a'));
    }
    async beforeApplicationShutdown(): Promise<void> {
      seen.push(await this.service.find('a'));
    }
  }
  const app = await start({ providers: [Service, Reporter] });
  await app.close();
  expect(seen).toEqual([1, 1, 1]);
});

it('may be closed twice, because a test and a signal may both do it', async () => {
  const { app, background } = await startService();
  await app.close();
  await app.close();
  expect(background.size).toBe(0);
});
