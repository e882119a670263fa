import 'reflect-metadata';
import { jest } from '@jest/globals';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  add,
  Cached,
  CacheModule,
  Clock,
  counter,
  entity,
  external,
  readThrough,
  EntityCache,
  Flushes,
  onCacheEvent,
  WriteBehind,
  writeBehind,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { Engine } from '../../lib/nest/engine.js';
import { deferred } from '../support/engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { closedLater } from './apps/start.js';

const contract = {
  ...counter(),
  write: writeBehind({ merge: 'sum', flushEvery: '20s' }),
  maxStaleness: '5m',
} as const;
const Likes = entity<number, number>('like', contract);
const Views = entity<number, number>('view', contract);

type Called = (inside: ShopService) => unknown;

@Injectable()
class ShopService {
  readonly likes = new Map<number, number>();
  readonly views = new Map<number, number>();
  readonly read: { by: string; says: unknown[] }[] = [];
  /** Called by each flushing method before it writes, and by the loader of likes. */
  inFlush: Called = () => undefined;
  inLoader: Called = () => undefined;
  constructor(@Inject(EntityCache) readonly cache: EntityCache) {}

  @Cached(Likes)
  async likesOf(id: number): Promise<number> {
    await this.inLoader(this);
    return this.likes.get(id) ?? 0;
  }
  @Cached(Views)
  async viewsOf(id: number): Promise<number> {
    return this.views.get(id) ?? 0;
  }
  @WriteBehind(Likes)
  async like(_id: number) {
    return add(1);
  }
  @WriteBehind(Views)
  async view(_id: number) {
    return add(1);
  }

  @Flushes(Likes, { atLeastOnce: true })
  async writeLikes({ entries }: FlushBatch<typeof Likes>): Promise<void> {
    await this.inFlush(this);
    for (const { key } of entries) {
      const says = [
        await this.viewsOf(key),
        await this.cache.get(Views, key, async () => this.views.get(key) ?? 0),
        ...(await this.cache.getMany(Views, [key], async () => [this.views.get(key) ?? 0])),
      ];
      this.read.push({ by: 'likes', says });
    }
    for (const entry of entries)
      if (entry.op === 'add')
        this.likes.set(entry.key, (this.likes.get(entry.key) ?? 0) + Number(entry.by));
  }
  @Flushes(Views, { atLeastOnce: true })
  async writeViews({ entries }: FlushBatch<typeof Views>): Promise<void> {
    await this.inFlush(this);
    for (const { key } of entries) this.read.push({ by: 'views', says: [await this.likesOf(key)] });
    for (const entry of entries)
      if (entry.op === 'add')
        this.views.set(entry.key, (this.views.get(entry.key) ?? 0) + Number(entry.by));
  }
}

async function open() {
  const clock = new ManualClock();
  const module = await Test.createTestingModule({
    imports: [CacheModule.forRoot()],
    providers: [ShopService],
  })
    .overrideProvider(Clock)
    .useValue(clock)
    .compile();
  await closedLater(module).init();
  const faults: string[] = [];
  stops.push(onCacheEvent('fault', ({ code }) => faults.push(code)));
  return { clock, service: module.get(ShopService), engine: module.get(Engine), faults };
}
const stops: (() => void)[] = [];
const turns = async (count = 30) => {
  while (count-- > 0) await new Promise(setImmediate);
};
/** What became of it by now. */
const settled = async (work: Promise<unknown>) => {
  let outcome: unknown = 'waits';
  work.then(
    (value) => (outcome = value ?? 'done'),
    (error: unknown) => (outcome = error),
  );
  await turns();
  return outcome;
};

beforeEach(() => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
});
afterEach(() => {
  jest.restoreAllMocks();
  for (const stop of stops.splice(0)) stop();
});

describe('two entities whose flushing methods read each other', () => {
  it('are both written, though both batches are under way: neither waits for the other, and nothing is buried', async () => {
    const { service, faults } = await open();
    // Something is cached, and something is not.
    expect([await service.likesOf(1), await service.viewsOf(1)]).toEqual([0, 0]);
    for (const id of [1, 2]) {
      await service.like(id);
      await service.view(id);
    }
    const both = deferred<void>();
    let begun = 0;
    service.inFlush = () => {
      if (++begun === 2) both.resolve();
      return both.promise;
    };
    const flushing = Promise.all([
      service.cache.journal(Likes).flush(),
      service.cache.journal(Views).flush(),
    ]);
    expect(await settled(flushing)).toEqual([undefined, undefined]);
    for (const journal of [service.cache.journal(Likes), service.cache.journal(Views)]) {
      expect(journal.status()).toMatchObject({ pending: 0, flushed: 2, dead: 0, duplicates: 0 });
      expect(await journal.deadLetters()).toEqual([]);
    }
    expect([begun, faults]).toEqual([2, []]);
    expect([...service.likes, ...service.views]).toEqual([
      [1, 1],
      [2, 1],
      [1, 1],
      [2, 1],
    ]);
    expect([await service.likesOf(1), await service.viewsOf(2)]).toEqual([1, 1]);
  });

  it('read what the source says, which is what will be true if the other batch fails', async () => {
    const { service } = await open();
    service.views.set(1, 40);
    expect(await service.viewsOf(1)).toBe(40);
    await service.view(1);
    await service.like(1);
    const reasons: string[] = [];
    stops.push(onCacheEvent('bypass', ({ reason }) => reasons.push(reason)));
    await service.cache.journal(Likes).flush();
    expect(reasons).toEqual(['own flush', 'own flush', 'own flush']);
    expect(service.read).toEqual([{ by: 'likes', says: [40, 40, 40] }]);
    expect(await service.viewsOf(1)).toBe(41);
  });

  it('are written also where somebody loads what both of them read', async () => {
    const { service, faults } = await open();
    await service.like(1);
    await service.view(1);
    const go = deferred<void>();
    service.inLoader = () => go.promise;
    const reading = service.likesOf(1);
    await turns();
    const flushing = Promise.all([
      service.cache.journal(Views).flush(),
      service.cache.journal(Likes).flush(),
    ]);
    await turns();
    go.resolve();
    expect(await settled(flushing)).toEqual([undefined, undefined]);
    expect([await reading, await service.likesOf(1), faults]).toEqual([1, 1, []]);
    expect(service.cache.journal(Views).status()).toMatchObject({ pending: 0, dead: 0 });
  });
});

describe('a flushing method that reads what somebody else is just making of its own entity', () => {
  const Totals = entity<number>('total', {
    maxStaleness: '5m',
    read: readThrough({ ttl: '20s' }),
    write: external(),
  });

  // It joins a load of an entity that is not written behind, which waits for the batch.
  it('does not wait for itself', async () => {
    const { clock, service } = await open();
    const total = () => service.cache.get(Totals, 'all', () => service.likesOf(1));
    await service.like(1);
    const go = deferred<void>();
    service.inFlush = async () => {
      await go.promise;
      await total();
    };
    const flushing = service.cache.journal(Likes).flush();
    await turns();
    const reading = total();
    await turns();
    go.resolve();
    const outcome = await settled(flushing);
    // What waits is ended by its time, so that the application can close.
    clock.advance(10_000);
    await Promise.allSettled([flushing, reading]);
    expect([outcome, await reading]).toEqual(['done', 1]);
  });
});

describe('a call that would wait for itself is refused at once', () => {
  const calls: [string, string, (service: ShopService, engine: Engine) => Promise<unknown>][] = [
    ['flush()', 'flush()', ({ cache }) => cache.journal(Likes).flush()],
    [
      'a mutation that is to be written at once',
      'a mutation that is to be written at once',
      (_, engine) => engine.behindOf(Likes).acceptWritten('1', 1, add(1)),
    ],
    ['retry()', 'retry()', ({ cache }) => cache.journal(Likes).retry('x')],
  ];
  const refusal = (what: string, inside: string) => ({
    code: 'CACHE_ARGUMENT_INVALID',
    message: expect.stringContaining(
      `${what} of 'like' was called inside ${inside}: it might wait for itself`,
    ) as string,
  });

  it.each(calls)('where it is %s inside a loader of the same entity', async (_, what, call) => {
    const { service, engine, faults } = await open();
    await service.like(1);
    service.inLoader = (inside) => call(inside, engine);
    const outcome = await settled(service.likesOf(1));
    expect(outcome).toMatchObject(refusal(what, 'a loader of the same entity'));
    expect(service.cache.journal(Likes).status()).toMatchObject({ accepted: 1, pending: 1 });
    service.inLoader = () => undefined;
    expect(await settled(service.cache.journal(Likes).flush())).toBe('done');
    expect([service.likes.get(1), faults]).toEqual([1, []]);
  });

  it.each(calls)(
    'where it is %s inside a load that is part of a load of the same entity',
    async (_, what, call) => {
      const { service, engine } = await open();
      const outer = service.cache.get(Likes, 5, () =>
        service.cache.get(Views, 5, async () => Number(await call(service, engine))),
      );
      expect(await settled(outer)).toMatchObject(refusal(what, 'a loader of the same entity'));
    },
  );

  it.each(calls)('where it is %s inside a method that writes a batch', async (_, what, call) => {
    const { service, engine } = await open();
    await service.like(1);
    let first = true;
    service.inFlush = (inside) => {
      if (!first) return undefined;
      first = false;
      return call(inside, engine);
    };
    const outcome = await settled(service.cache.journal(Likes).flush());
    expect(outcome).toMatchObject(refusal(what, 'a method that writes a batch'));
    expect(service.cache.journal(Likes).status()).toMatchObject({ accepted: 1, pending: 1 });
    expect(await settled(service.cache.journal(Likes).flush())).toBe('done');
    expect(service.likes.get(1)).toBe(1);
  });

  it('but not inside a loader of another entity, nor after the loader or the method has ended', async () => {
    const { service, engine } = await open();
    await service.like(1);
    const done = service.cache.get(Views, 1, async () => {
      await service.cache.journal(Likes).flush();
      await engine.behindOf(Likes).acceptWritten('1', 1, add(1));
      return Number(await service.cache.journal(Likes).retry('x'));
    });
    expect(await settled(done.then(String))).toBe('0');
    let left: Promise<unknown> | undefined;
    const go = deferred<void>();
    service.inLoader = (inside) => {
      service.inLoader = () => undefined;
      left = go.promise.then(() => inside.cache.journal(Likes).flush());
    };
    await service.likesOf(2);
    service.inFlush = (inside) => {
      service.inFlush = () => undefined;
      left = Promise.all([left, go.promise.then(() => inside.cache.journal(Views).flush())]);
    };
    await service.view(1);
    await service.cache.journal(Views).flush();
    await service.like(3);
    go.resolve();
    expect(await settled(left!)).toEqual([undefined, undefined]);
    expect(service.likes.get(3)).toBe(1);
  });
});
