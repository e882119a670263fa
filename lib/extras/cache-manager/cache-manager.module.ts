import {
  ConfigurableModuleBuilder,
  Module,
  type ConfigurableModuleAsyncOptions,
  type DynamicModule,
} from '@nestjs/common';
import { isEntity, type Entity } from '../../contract/entity.js';
import type { ReadThroughPolicy } from '../../contract/policy.js';
import { CacheUsageError } from '../../errors/cache.error.js';
import type { Fault } from '../../errors/configuration.error.js';
import { show } from '../../errors/wording.js';
import type { CacheStrategyInterceptor } from '../../nest/cache-strategy.interceptor.js';
import { INTERCEPTOR } from '../../nest/decorate.js';
import type { Engine } from '../../nest/engine.js';
import { formatDuration } from '../../time/duration.js';
import { Cache, type Standards } from './cache.js';
import {
  checkManagerOptions,
  globalFaults,
  toldTooLate,
  type CacheManagerOptions,
} from './options.js';

/** The token of @nestjs/cache-manager: what is injected by it stays as it is. */
export const CACHE_MANAGER = 'CACHE_MANAGER';

/** What has to be known before options are. */
interface Extras {
  /** The entity in which the keys live, with its contract. One for each `register()`. */
  entity: Entity<any>;
  /**
   * Whether `CACHE_MANAGER` can be injected without importing the module.
   *
   * @default false
   */
  isGlobal?: boolean;
}

export interface CacheManagerOptionsFactory {
  createCacheOptions(): CacheManagerOptions | Promise<CacheManagerOptions>;
}

export type CacheManagerModuleOptions = CacheManagerOptions & Extras;
export type CacheManagerModuleAsyncOptions = ConfigurableModuleAsyncOptions<
  CacheManagerOptions,
  keyof CacheManagerOptionsFactory
> &
  Extras;

const ENTITY = Symbol('entity of CacheManagerModule');
const PLACE = 'CacheManagerModule.register()';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } =
  new ConfigurableModuleBuilder<CacheManagerOptions>()
    .setClassMethodName('register')
    .setFactoryMethodName('createCacheOptions')
    .setExtras<Partial<Extras>>(
      { entity: undefined, isGlobal: false },
      (definition, { entity, isGlobal }) => ({
        ...definition,
        global: isGlobal,
        // In an object, because a circle of imports makes it `undefined`, which the boot report tells.
        providers: [
          ...(definition.providers ?? []),
          { provide: ENTITY, useValue: { entity, isGlobal } },
        ],
      }),
    )
    .build();

function createCache(
  // The first one because its text asks for CacheModule.forRoot(): Nest shows it when it is missing.
  { engine }: CacheStrategyInterceptor,
  { entity, isGlobal }: Extras,
  options: unknown,
): Cache {
  const tooLate = toldTooLate(options);
  // Without one it has been told where it belongs.
  if (entity !== undefined || tooLate.length === 0) engine.entities.register(entity, PLACE);
  const at = isEntity(entity) ? `${PLACE} with entity '${entity.name}'` : PLACE;
  const { known, faults } = checkManagerOptions(options, at);
  const standards: Standards = known;
  engine.checkAtStart(() => [
    ...faults,
    ...tooLate,
    ...globalFaults(isGlobal, at),
    ...(isEntity(entity) ? contradictions(engine, entity, standards, at) : []),
  ]);
  return new Cache(engine, entity, standards);
}

function contradictions(
  engine: Engine,
  { name, contract }: Entity<any>,
  { ttl }: Standards,
  at: string,
): Fault[] {
  const faults: Fault[] = [];
  if ((contract.write as { kind?: unknown } | undefined)?.kind === 'write-behind') {
    faults.push({
      code: 'CACHE_WRITE_CONTRADICTED',
      problem: `what is set in CACHE_MANAGER would overtake what waits to be written to '${name}', whose contract says that it is written behind.`,
      at,
      fix: 'give it an entity of its own, with `write: writeThrough()`.',
    });
  }
  const read = engine.entities.policies().find(({ entity }) => entity === name)?.read;
  const most = (read as ReadThroughPolicy | undefined)?.ttlMs;
  if (ttl !== undefined && most !== undefined && ttl > most) {
    faults.push({
      code: 'CACHE_OPTION_INVALID',
      problem: `\`ttl\` of CacheManagerModule must not be longer than the one of entity '${name}' (${formatDuration(most)}), got ${formatDuration(ttl)}.`,
      at,
      fix: `lower it to '${formatDuration(most)}' or less, or raise the \`ttl\` in the contract.`,
    });
  }
  return faults;
}

/**
 * Provides `CACHE_MANAGER` and `Cache` with the calls of cache-manager, over one entity of this cache.
 *
 * `CacheModule.forRoot()` is imported too, once, in the root module.
 */
@Module({
  providers: [
    {
      provide: CACHE_MANAGER,
      useFactory: createCache,
      inject: [INTERCEPTOR, ENTITY, MODULE_OPTIONS_TOKEN],
    },
    { provide: Cache, useExisting: CACHE_MANAGER },
  ],
  exports: [CACHE_MANAGER, Cache],
})
export class CacheManagerModule {
  /** @throws {CacheUsageError} CACHE_ARGUMENT_INVALID if it is called without options */
  static register(options: CacheManagerModuleOptions): DynamicModule {
    const given: unknown = options;
    if (typeof given !== 'object' || given === null) throw misused('register', given);
    return { ...ConfigurableModuleClass.register(options), module: CacheManagerModule };
  }

  /** The same with options that a factory tells; `entity` and `isGlobal` stand beside it. */
  static registerAsync(options: CacheManagerModuleAsyncOptions): DynamicModule {
    const given: unknown = options;
    if (typeof given !== 'object' || given === null) throw misused('registerAsync', given);
    return { ...ConfigurableModuleClass.registerAsync(options), module: CacheManagerModule };
  }
}

function misused(method: string, got: unknown): CacheUsageError {
  const more = method === 'register' ? '' : ', useFactory: () => ({ … })';
  return new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `CacheManagerModule.${method}() expected an object of options, got ${show(got)}`,
    `write CacheManagerModule.${method}({ entity: Legacy${more} }), with Legacy made by entity().`,
  );
}
