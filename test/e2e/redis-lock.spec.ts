import 'reflect-metadata';
import { jest } from '@jest/globals';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { CacheModule, Clock, DistributedLock } from 'nestjs-cache-contract';
import { RedisLock } from 'nestjs-cache-contract/redis';
import { eventually } from '../support/engine.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

jest.setTimeout(30_000);

/** An application whose last hook still needs a lock. */
@Injectable()
class Reports implements OnApplicationShutdown {
  atTheEnd: string | undefined;
  constructor(private readonly locks: DistributedLock) {}
  async onApplicationShutdown(): Promise<void> {
    this.atTheEnd = (await this.locks.acquire('report', { patience: 0 }))?.name;
  }
}

async function application(url: string) {
  const lock = {
    provide: DistributedLock,
    useFactory: (clock: Clock) => new RedisLock({ url, namespace: 'shop' }, clock),
    inject: [Clock],
  };
  const module = await Test.createTestingModule({
    imports: [CacheModule.forRoot({ namespace: 'shop', providers: [lock] })],
    providers: [Reports],
  }).compile();
  return module.createNestApplication().init();
}

(hasRedis() ? describe : describe.skip)('an application with locks in Redis', () => {
  let redis: TestRedis;
  beforeAll(async () => void (redis = (await startRedis())!));
  afterAll(() => redis?.stop());
  const connections = () => redis.cli('CLIENT', 'LIST').split('\n').length - 1;

  it('has them wherever it injects DistributedLock, until its last hook, and leaves no connection', async () => {
    const app = await application(redis.url);
    const locks = app.get(DistributedLock);
    expect(await locks.run('report', () => redis.cli('EXISTS', 'shop:k:{report}'))).toBe('1');
    const reports = app.get(Reports);
    await app.close();
    expect(reports.atTheEnd).toBe('report');
    await eventually(() => connections() === 0);
    expect(redis.cli('EXISTS', 'shop:k:{report}')).toBe('0');
  });

  it('starts and ends without Redis', async () => {
    await redis.kill();
    const app = await application(redis.url);
    expect(await app.get(DistributedLock).acquire('report', { patience: 0 })).toBeUndefined();
    await app.close();
    await redis.restart();
  });
});
