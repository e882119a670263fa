import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import {
  Cached,
  CacheModule,
  entity,
  Invalidates,
  invalidate,
  readThrough,
} from 'nestjs-cache-contract';
import { deferred } from '../support/engine.js';
import { closedLater } from './apps/start.js';

const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m', loadTimeout: '5m' }),
  write: invalidate(),
} as const;
const Answers = entity<number>('answer', contract);

@Injectable()
class Service {
  loads = 0;
  /** What a load waits for. */
  gate: Promise<void> | undefined;
  @Cached(Answers)
  async find(_id: string): Promise<number> {
    this.loads++;
    await this.gate;
    return this.loads;
  }
  @Invalidates(Answers)
  async save(_id: string): Promise<void> {}
}
@Module({ imports: [CacheModule.forRoot()], providers: [Service] })
class AppModule {}

const compile = async (...modules: NonNullable<Parameters<typeof testing>[0]>) =>
  closedLater(await testing(modules).compile());
const testing = (imports: any[]) => Test.createTestingModule({ imports });
const faultsOf = (module: TestingModule) =>
  module.init().then(
    () => 'none',
    (error: { faults: { code: string; fix: string }[] }) => error.faults.map(({ code }) => code),
  );

describe('two applications in one process, made of the same classes', () => {
  async function startTwo(): Promise<[Service, Service]> {
    const [one, two] = [await compile(AppModule), await compile(AppModule)];
    await Promise.all([one.init(), two.init()]);
    return [one.get(Service), two.get(Service)];
  }

  it('do not share entries, because each has a source of its own', async () => {
    const [one, two] = await startTwo();
    await one.find('a');
    expect([one.loads, two.loads]).toEqual([1, 0]);
    await Promise.all([two.find('a'), two.find('a')]);
    expect([one.loads, two.loads]).toEqual([1, 1]);
  });

  it('do not share invalidations, because a write in one changed one source', async () => {
    const [one, two] = await startTwo();
    await Promise.all([one.find('a'), two.find('a')]);
    await one.save('a');
    expect([await one.find('a'), await two.find('a')]).toEqual([2, 1]);
  });

  it('do not share loads under way, because a load asks one source', async () => {
    const [one, two] = await startTwo();
    const gate = deferred<void>();
    one.gate = two.gate = gate.promise;
    const answers = Promise.all([one, one, two, two].map((service) => service.find('a')));
    gate.resolve();
    expect([await answers, one.loads, two.loads]).toEqual([[1, 1, 1, 1], 1, 1]);
  });

  it('go on alone when the other one closes, because closing ends one cache', async () => {
    const [first, second] = [await compile(AppModule), await compile(AppModule)];
    await Promise.all([first.init(), second.init()]);
    const [one, two] = [first.get(Service), second.get(Service)];
    await Promise.all([one.find('a'), two.find('a')]);
    await first.close();
    expect([await one.find('a'), await two.find('a')]).toEqual([2, 1]);
  });
});

describe('an instance given by useValue', () => {
  function sharing() {
    const shared = new Service();
    const provider = { provide: Service, useValue: shared };
    @Module({ imports: [CacheModule.forRoot()], providers: [provider] })
    class SharingModule {}
    return { shared, SharingModule };
  }

  it('keeps a second running application from starting, because it can have one cache only', async () => {
    const { shared, SharingModule } = sharing();
    const [one, two] = [await compile(SharingModule), await compile(SharingModule)];
    await one.init();
    expect(await faultsOf(two)).toEqual(['CACHE_PROVIDER_SHARED']);
    await two.close();
    // The first one keeps its cache.
    expect([await shared.find('a'), await shared.find('a')]).toEqual([1, 1]);
  });

  it('serves the next application once the first has closed, with nothing of what the first stored', async () => {
    const { shared, SharingModule } = sharing();
    const [one, two] = [await compile(SharingModule), await compile(SharingModule)];
    await one.init();
    expect(await shared.find('a')).toBe(1);
    await one.close();
    expect(await faultsOf(two)).toBe('none');
    expect([await shared.find('a'), await shared.find('a')]).toEqual([2, 2]);
  });

  it('serves the next application if the first refused to start, because that one never ran', async () => {
    const { shared, SharingModule } = sharing();
    @Injectable()
    class Faulty {
      @Cached(undefined as unknown as typeof Answers)
      async find(_id: string): Promise<number> {
        return 1;
      }
    }
    @Module({ imports: [SharingModule], providers: [Faulty] })
    class FaultyModule {}
    const [one, two] = [await compile(FaultyModule), await compile(SharingModule)];
    expect(await faultsOf(one)).toEqual(['CACHE_ENTITY_EXPECTED']);
    expect(await faultsOf(two)).toBe('none');
    expect([await shared.find('a'), await shared.find('a')]).toEqual([1, 1]);
  });

  it('is refused when it is frozen, because it cannot be given its cache', async () => {
    @Module({
      imports: [CacheModule.forRoot()],
      providers: [{ provide: Service, useValue: Object.freeze(new Service()) }],
    })
    class FrozenModule {}
    expect(await faultsOf(await compile(FrozenModule))).toEqual(['CACHE_PROVIDER_FROZEN']);
  });

  it('may be frozen when its class has no decorated method, because it needs nothing', async () => {
    const providers = [{ provide: 'SETTINGS', useValue: Object.freeze({ colour: 'red' }) }];
    @Module({ imports: [CacheModule.forRoot()], providers })
    class FrozenModule {}
    expect(await faultsOf(await compile(FrozenModule))).toBe('none');
  });
});

describe('CacheModule.forRoot() in one application', () => {
  it('is refused twice with different options, because which cache a class gets would be chance', async () => {
    const two = [CacheModule.forRoot({ namespace: 'a' }), CacheModule.forRoot({ namespace: 'b' })];
    expect(await faultsOf(await compile(...two))).toEqual(['CACHE_MODULE_TWICE']);
  });

  it('is refused twice with the same options, because each call makes a cache', async () => {
    const error: Error = await (
      await compile(CacheModule.forRoot(), CacheModule.forRoot())
    )
      .init()
      .then(
        () => new Error('it started'),
        (thrown: Error) => thrown,
      );
    expect(error.message).toContain('[CACHE_MODULE_TWICE]');
    expect(error.message).not.toContain('different options');
  });

  it('may be imported by several modules as one and the same import, because that is one cache', async () => {
    const cache = CacheModule.forRoot({ namespace: 'a' });
    @Module({ imports: [cache], providers: [Service] })
    class Feature {}
    const module = await compile(cache, Feature);
    expect(await faultsOf(module)).toBe('none');
    const service = module.get(Service, { strict: false });
    expect([await service.find('a'), await service.find('a')]).toEqual([1, 1]);
  });
});
