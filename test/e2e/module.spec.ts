import 'reflect-metadata';
import {
  Global,
  Injectable,
  Module,
  type DynamicModule,
  type ModuleMetadata,
} from '@nestjs/common';
import { ConfigModule, registerAs } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheModule,
  Clock,
  entity,
  external,
  InjectCache,
  invalidate,
  onCacheEvent,
  readThrough,
  Singleflight,
  type CacheModuleOptions,
  type CacheModuleOptionsFactory,
  type CacheOf,
  type Flight,
} from 'nestjs-cache-contract';
import { ManualClock } from '../support/manual-clock.js';
import { closedLater } from './apps/start.js';

const Answers = entity<number>('answer', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m', jitter: 0 }),
  write: invalidate(),
});

@Injectable()
class Service {
  loads = 0;
  @Cached(Answers)
  async find(_id: string): Promise<number> {
    return ++this.loads;
  }
}
async function startWith(...imports: NonNullable<ModuleMetadata['imports']>) {
  const module = await Test.createTestingModule({ imports, providers: [Service] }).compile();
  return closedLater(await module.init());
}

@Injectable()
class Settings implements CacheModuleOptionsFactory {
  createCacheOptions(): CacheModuleOptions {
    return { namespace: 'shop' };
  }
}
@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}
const config = registerAs('cache', () => ({ namespace: 'shop' }));

describe.each<[string, DynamicModule, string]>([
  ['forRoot()', CacheModule.forRoot(), 'cache'],
  ['forRoot(options)', CacheModule.forRoot({ namespace: 'shop' }), 'shop'],
  [
    'forRootAsync({ useFactory })',
    CacheModule.forRootAsync({
      imports: [SettingsModule],
      inject: [Settings],
      useFactory: async (settings: Settings) => settings.createCacheOptions(),
    }),
    'shop',
  ],
  ['forRootAsync({ useClass })', CacheModule.forRootAsync({ useClass: Settings }), 'shop'],
  [
    'forRootAsync({ useExisting })',
    CacheModule.forRootAsync({ imports: [SettingsModule], useExisting: Settings }),
    'shop',
  ],
  ['forRootAsync(config.asProvider())', CacheModule.forRootAsync(config.asProvider()), 'shop'],
])('CacheModule.%s', (_, cache, namespace) => {
  it('caches under the namespace it was given, so that its events can be told from those of others', async () => {
    const configuration = ConfigModule.forRoot({ ignoreEnvFile: true, load: [config] });
    const module = await startWith(configuration, cache);
    const heard: string[] = [];
    const stop = onCacheEvent('load', (event) => heard.push(event.namespace));
    const service = module.get(Service);
    expect([await service.find('a'), await service.find('a')]).toEqual([1, 1]);
    stop();
    expect(heard).toEqual([namespace]);
  });
});

describe('what can be replaced', () => {
  it('uses the singleflight given as an extra, because coordination may need to be another', async () => {
    const flown: string[] = [];
    @Injectable()
    class Telling extends Singleflight {
      override fly<T>(
        family: string,
        id: string,
        load: (flight: Flight) => Promise<T>,
      ): Promise<T> {
        flown.push(`${family} ${id}`);
        return load({ poisoned: false });
      }
      override poison(): void {}
    }
    const providers = [{ provide: Singleflight, useClass: Telling }];
    const forms = [
      CacheModule.forRoot({ providers }),
      CacheModule.forRootAsync({ useClass: Settings, providers }),
    ];
    for (const cache of forms) await (await startWith(cache)).get(Service).find('a');
    expect(flown).toEqual(['answer a', 'answer a']);
  });

  it('lives by the clock a test puts in its place, so that a ttl passes without waiting', async () => {
    const clock = new ManualClock();
    const metadata = { imports: [CacheModule.forRoot()], providers: [Service] };
    const builder = Test.createTestingModule(metadata).overrideProvider(Clock).useValue(clock);
    const module = closedLater(await (await builder.compile()).init());
    const service = module.get(Service);
    expect(await service.find('a')).toBe(1);
    clock.advance(30 * 60_000 - 1);
    expect(await service.find('a')).toBe(1);
    clock.advance(1);
    expect(await service.find('a')).toBe(2);
    expect(clock.pending).toBe(0);
  });
});

describe('CacheModule.forFeature', () => {
  const Views = entity<number>('views', Answers.contract);
  @Injectable()
  class Counter {
    @InjectCache(Answers) answers: CacheOf<typeof Answers>;
    constructor(@InjectCache(Views) readonly views: CacheOf<typeof Views>) {}
  }
  @Module({
    imports: [CacheModule.forFeature([Answers, Views])],
    providers: [Counter],
  })
  class CounterModule {}
  @Injectable()
  class Reader {
    constructor(@InjectCache(Views) readonly views: CacheOf<typeof Views>) {}
  }
  @Module({ imports: [CacheModule.forFeature([Views])], providers: [Reader] })
  class ReaderModule {}

  it('injects the calls of one entity each, in constructors and properties', async () => {
    const module = await startWith(CacheModule.forRoot(), CounterModule);
    const { answers, views } = module.get(Counter, { strict: false });
    expect([answers.contract().entity, views.contract().entity]).toEqual(['answer', 'views']);
    expect(await views.get('a', async () => 1)).toBe(1);
    expect([await views.peek('a'), await answers.peek('a')]).toEqual([1, undefined]);
  });

  it('may name an entity in several modules, because they all mean the one cache', async () => {
    const module = await startWith(CacheModule.forRoot(), CounterModule, ReaderModule);
    const { views } = module.get(Counter, { strict: false });
    const { views: same } = module.get(Reader, { strict: false });
    expect(await views.get('a', async () => 1)).toBe(1);
    expect(await same.get('a', async () => 2)).toBe(1);
    await same.invalidate('a');
    expect(await views.peek('a')).toBeUndefined();
  });

  it('shares the entries of decorated methods, because the entity owns them', async () => {
    const module = await startWith(CacheModule.forRoot(), CounterModule);
    const { answers } = module.get(Counter, { strict: false });
    expect([await module.get(Service).find('a'), await answers.get('a', async () => 99)]).toEqual([
      1, 1,
    ]);
  });
});

describe('what is called wrongly', () => {
  it.each([
    [
      () => CacheModule.forRoot('shop' as never),
      /forRoot\(\) expected an object of options, got a text/,
    ],
    [
      () => CacheModule.forRoot(null as never),
      /forRoot\(\) expected an object of options, got null/,
    ],
    [
      () => CacheModule.forFeature(Answers as never),
      /forFeature\(\) expected an array of entities/,
    ],
  ])('is refused with what was expected, because nobody should have to guess', (call, message) => {
    expect(call).toThrow(message);
  });

  it('is told with all other faults, if it is an entity that is not there yet', async () => {
    const missing = undefined as unknown as typeof Answers;
    const module = await Test.createTestingModule({
      imports: [CacheModule.forRoot(), CacheModule.forFeature([missing])],
    }).compile();
    await expect(module.init()).rejects.toThrow(
      /CACHE_ENTITY_EXPECTED\][\s\S]*got undefined[\s\S]*CacheModule\.forFeature\(\)[\s\S]*two files import each other/,
    );
  });

  it('starts before every other module, global ones included, because it may refuse', async () => {
    const order: string[] = [];
    @Global()
    @Module({})
    class Eager {
      onModuleInit() {
        order.push('eager');
      }
    }
    const bad = entity<number>('bad', {
      maxStaleness: 0,
      read: readThrough({ ttl: '1m' }),
      write: external(),
    });
    const module = await Test.createTestingModule({
      imports: [Eager, CacheModule.forFeature([bad]), CacheModule.forRoot()],
    }).compile();
    await expect(module.init()).rejects.toMatchObject({ code: 'CACHE_CONFIGURATION' });
    expect(order).toEqual([]);
  });
});
