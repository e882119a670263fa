import 'reflect-metadata';
import { Injectable, Module, type ModuleMetadata } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheModule,
  entity,
  InjectCache,
  invalidate,
  readThrough,
  type CacheOf,
} from 'nestjs-cache-contract';
import { closedLater } from './apps/start.js';

const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
} as const;
const Answers = entity<number>('answer', contract);
/** Under `maxStaleness: '1m'` a ttl of half an hour cannot be kept. */
const Broken = entity<number>('broken', { ...contract, maxStaleness: '1m' });

@Injectable()
class Service {
  loads = 0;
  @Cached(Answers)
  async find(_id: string): Promise<number> {
    return ++this.loads;
  }
  @Cached(Broken)
  async findBroken(_id: string): Promise<number> {
    return ++this.loads;
  }
}
@Injectable()
class Counter {
  constructor(@InjectCache(Answers) readonly answers: CacheOf<typeof Answers>) {}
}
async function messageOf(metadata: ModuleMetadata): Promise<string> {
  return Test.createTestingModule(metadata)
    .compile()
    .then(
      (module) => module.close().then(() => 'it compiled'),
      (error: Error) => error.message,
    );
}

it('asks whether CacheModule.forRoot() is imported where a class is decorated and the cache missing', async () => {
  const message = await messageOf({ providers: [Service] });
  expect(message).toContain('resolve dependencies of the Service');
  expect(message).toContain('is CacheModule.forRoot() imported?');
});

it('asks the same where only CacheModule.forFeature() is imported', async () => {
  const imports = [CacheModule.forFeature([Answers])];
  expect(await messageOf({ imports, providers: [Counter] })).toContain(
    'is CacheModule.forRoot() imported?',
  );
});

it('asks for CacheModule.forFeature() where the calls of an entity are injected without it', async () => {
  const message = await messageOf({ imports: [CacheModule.forRoot()], providers: [Counter] });
  expect(message).toContain('CacheOf(answer) (is it in CacheModule.forFeature([…])?)');
});

describe('a testing module that is compiled and never initialised', () => {
  it('caches, because Nest has injected what the methods need', async () => {
    const metadata = { imports: [CacheModule.forRoot()], providers: [Service] };
    const module = closedLater(await Test.createTestingModule(metadata).compile());
    const service = module.get(Service);
    expect([await service.find('a'), await service.find('a')]).toEqual([1, 1]);
  });

  it('refuses calls under a contract that cannot be kept, because nobody checked it at the start', async () => {
    const metadata = { imports: [CacheModule.forRoot()], providers: [Service] };
    const module = closedLater(await Test.createTestingModule(metadata).compile());
    const service = module.get(Service);
    await expect(service.findBroken('a')).rejects.toMatchObject({
      code: 'CACHE_CONFIGURATION',
      faults: [{ code: 'CACHE_STALENESS_EXCEEDED' }],
    });
    expect(service.loads).toBe(0);
  });
});

it('caches in an application context, which has no server', async () => {
  @Module({ imports: [CacheModule.forRoot()], providers: [Counter] })
  class Unfinished {}
  @Module({
    imports: [CacheModule.forRoot(), CacheModule.forFeature([Answers])],
    providers: [Counter],
  })
  class Finished {}
  const options = { logger: false, abortOnError: false } as const;
  await expect(NestFactory.createApplicationContext(Unfinished, options)).rejects.toThrow(
    'is it in CacheModule.forFeature([…])?',
  );
  const app = closedLater(await NestFactory.createApplicationContext(Finished, options));
  const { answers } = app.get(Counter);
  expect([await answers.get('a', async () => 1), await answers.get('a', async () => 2)]).toEqual([
    1, 1,
  ]);
});
