import cluster from 'node:cluster';
import {
  Logger,
  Module,
  type DynamicModule,
  type MiddlewareConsumer,
  type NestModule,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR, DiscoveryModule } from '@nestjs/core';
import { checkOptions } from './contract/check-options.js';
import type { AnyEntity } from './contract/entity.js';
import { MODULE_OPTIONS } from './contract/options.js';
import { Overrides } from './contract/overrides.js';
import { DistributedLock } from './coordination/distributed-lock.js';
import { MemoryLock } from './coordination/memory-lock.js';
import { ProcessSingleflight, Singleflight } from './coordination/singleflight.js';
import { CacheUsageError } from './errors/cache.error.js';
import { showNoText } from './errors/wording.js';
import type { EntryName } from './store/cache-store.js';
import { AcceptanceGuard } from './nest/acceptances.js';
import { Binder } from './nest/binder.js';
import { INTERCEPTOR } from './nest/decorate.js';
import { CacheBoot } from './nest/boot.js';
import { CacheStrategyInterceptor } from './nest/cache-strategy.interceptor.js';
import { CacheDrainModule } from './nest/drain.js';
import { Engine } from './nest/engine.js';
import { EntityCache } from './nest/entity-cache.js';
import { FlushTargets } from './nest/flush-targets.js';
import { cacheProvider } from './nest/inject-cache.decorator.js';
import { openStores } from './nest/stores.js';
import {
  ASYNC_OPTIONS_TYPE,
  CACHE_MODULE_OPTIONS,
  ConfigurableModuleClass,
  OPTIONS_TYPE,
} from './nest/module-definition.js';
import { Clock, SystemClock } from './time/clock.js';

function createEngine(
  options: unknown,
  clock: Clock,
  flights: Singleflight,
  lock: DistributedLock,
): Engine {
  const place = { owner: 'CacheModule', path: '', at: 'CacheModule.forRoot()' };
  // Faults are reported by the boot check, together with all others.
  const { known } = checkOptions(MODULE_OPTIONS, options, place);
  const logger = new Logger('CacheModule');
  // The one that is given, not the standard: applications that share a store must not share that too.
  const { namespace } = (options ?? {}) as { readonly namespace?: string };
  const onUnreadable = ({ entity }: EntryName) => engine.unreadable(entity);
  const onRefused = (store: string, error: Error) => engine.refused(store, error);
  const parts = { clock, lock, onUnreadable, onRefused };
  const { stores, faults, unopened } = openStores({ ...known, namespace }, parts);
  const engine = new Engine({
    stores,
    storeFaults: faults,
    unopened,
    namespace: (known.namespace as string | undefined) ?? 'cache',
    clock,
    flights,
    lock,
    surroundings: { worker: cluster.isWorker },
    warn: (message) => logger.warn(message),
    overrides: new Overrides(
      known.overrides as { readonly [entity: string]: unknown },
      process.env,
    ),
  });
  return engine;
}

function misused(method: string, expected: string, got: unknown, right: string): CacheUsageError {
  return new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `CacheModule.${method}() expected ${expected}, got ${showNoText(got)}`,
    `write CacheModule.${right}.`,
  );
}

/** Import `CacheModule.forRoot()` once, in the root module. It is global. */
@Module({
  imports: [DiscoveryModule, CacheDrainModule],
  providers: [
    { provide: Clock, useClass: SystemClock },
    { provide: Singleflight, useClass: ProcessSingleflight },
    {
      provide: DistributedLock,
      useFactory: (clock: Clock) => new MemoryLock(clock),
      inject: [Clock],
    },
    {
      provide: Engine,
      useFactory: createEngine,
      inject: [CACHE_MODULE_OPTIONS, Clock, Singleflight, DistributedLock],
    },
    CacheStrategyInterceptor,
    { provide: INTERCEPTOR, useExisting: CacheStrategyInterceptor },
    { provide: APP_INTERCEPTOR, useExisting: CacheStrategyInterceptor },
    {
      provide: APP_GUARD,
      useFactory: ({ acceptances }: CacheStrategyInterceptor) => new AcceptanceGuard(acceptances),
      inject: [CacheStrategyInterceptor],
    },
    EntityCache,
    Binder,
    FlushTargets,
    CacheBoot,
  ],
  exports: [INTERCEPTOR, EntityCache, DistributedLock],
})
export class CacheModule
  extends ConfigurableModuleClass
  implements NestModule, OnApplicationShutdown
{
  constructor(
    private readonly interceptor: CacheStrategyInterceptor,
    private readonly lock: DistributedLock,
  ) {
    super();
  }

  /** Nest calls it after the hooks of the providers, whose last flush may need a lock. */
  async onApplicationShutdown(): Promise<void> {
    await this.lock.close();
  }

  configure(consumer: MiddlewareConsumer): void {
    consumer
      .apply((_request: unknown, _response: unknown, next: () => void) =>
        this.interceptor.open(next),
      )
      .forRoutes('{*path}');
  }

  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    if (typeof options !== 'object' || options === null) {
      throw misused('forRoot', 'an object of options', options, "forRoot({ namespace: 'shop' })");
    }
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }

  /** Makes `@InjectCache(entity)` work for these entities, and includes them in the boot check. */
  static forFeature(entities: readonly AnyEntity[]): DynamicModule {
    if (!Array.isArray(entities)) {
      throw misused('forFeature', 'an array of entities', entities, 'forFeature([Views])');
    }
    const providers = (entities as readonly AnyEntity[]).map(cacheProvider);
    return { module: CacheFeature, providers, exports: providers.map(({ provide }) => provide) };
  }
}

@Module({})
class CacheFeature {}
