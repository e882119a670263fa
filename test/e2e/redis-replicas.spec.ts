import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  bypass,
  Cached,
  CacheConfigurationError,
  CacheModule,
  entity,
  external,
  invalidate,
  readThrough,
} from 'nestjs-cache-contract';
import { redisStore } from 'nestjs-cache-contract/redis';
import { hasRedis } from '../support/redis-binaries.js';
import { startPair, type RedisPair } from '../support/redis-pair.js';

const bounds = { maxStaleness: { normal: '5s', incident: '1m' } } as const;
const read = readThrough({ ttl: '1m', jitter: 0 });
const strict = { ...bounds, read, write: invalidate(), prefer: 'error' } as const;

const Baskets = entity<string>('basket', strict);
const Rights = entity<string>('right', { ...strict, store: 'other' });
const Own = entity<string>('own', { ...strict, maxStaleness: '1m', store: 'process' });
const Prices = entity<string>('price', { ...strict, prefer: 'origin' });
const Uncached = entity<string>('uncached', { ...strict, read: bypass() });
const Rates = entity<string>('rate', { ...strict, maxStaleness: '1m', write: external() });

@Injectable()
class Shop {
  @Cached(Baskets)
  async basket(id: string): Promise<string> {
    return id;
  }
  @Cached(Rights)
  async right(id: string): Promise<string> {
    return id;
  }
}

/** For whom nothing depends on what Redis has acknowledged. */
@Injectable()
class Others {
  @Cached(Own)
  async own(id: string): Promise<string> {
    return id;
  }
  @Cached(Prices)
  async price(id: string): Promise<string> {
    return id;
  }
  @Cached(Uncached)
  async uncached(id: string): Promise<string> {
    return id;
  }
  @Cached(Rates)
  async rate(id: string): Promise<string> {
    return id;
  }
}

(hasRedis() ? describe : describe.skip)('an application that prefers an error', () => {
  let pair: RedisPair;
  beforeAll(async () => void (pair = (await startPair())!));
  afterAll(() => pair.stop());

  /** What keeps it from starting. */
  const report = async (...providers: (typeof Shop | typeof Others)[]) => {
    const store = redisStore({ url: pair.primary().url });
    @Module({
      imports: [CacheModule.forRoot({ namespace: 'shop', store, stores: { other: store } })],
      providers,
    })
    class App {}
    const app = NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
    try {
      await (await app).close();
      return undefined;
    } catch (error) {
      expect(error).toBeInstanceOf(CacheConfigurationError);
      return (error as Error).message.replaceAll(`${pair.primary().port}`, '<port>');
    }
  };

  it('does not start with a Redis that may lose what it has acknowledged', async () => {
    expect(await report(Shop, Others)).toMatchInlineSnapshot(`
     "2 faults keep the cache from starting.

     1. [CACHE_STORE_UNFIT] entity 'basket' prefers an error to a stale answer, and the store 'default' may lose an invalidation that it has acknowledged.
        At:  entity 'basket', used by Shop.basket → @Cached(basket)
        Why: 127.0.0.1:<port> goes on to acknowledge while cut off from its replicas, one of which may have taken over.
        Fix: set min-replicas-to-write 1 in the redis.conf of primaries and replicas, with a short min-replicas-max-lag; or write \`read: bypass()\`, or admit it with \`prefer: 'origin'\`.

     2. [CACHE_STORE_UNFIT] entity 'right' prefers an error to a stale answer, and the store 'other' may lose an invalidation that it has acknowledged.
        At:  entity 'right', used by Shop.right → @Cached(right)
        Why: 127.0.0.1:<port> goes on to acknowledge while cut off from its replicas, one of which may have taken over.
        Fix: set min-replicas-to-write 1 in the redis.conf of primaries and replicas, with a short min-replicas-max-lag; or write \`read: bypass()\`, or admit it with \`prefer: 'origin'\`."
    `);
  });

  it('starts with one that acknowledges nothing while no replica is in step', async () => {
    pair.primary().cli('CONFIG', 'SET', 'min-replicas-to-write', '1');
    try {
      expect(await report(Shop, Others)).toBeUndefined();
    } finally {
      pair.primary().cli('CONFIG', 'SET', 'min-replicas-to-write', '0');
    }
  });

  it('starts where none of its entities relies on that', async () => {
    expect(await report(Others)).toBeUndefined();
  });
});
