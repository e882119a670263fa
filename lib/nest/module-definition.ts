import type { EntityOverrides } from '../contract/overrides.js';
import type { StoreDefinition } from '../store/store-definition.js';
import { ConfigurableModuleBuilder, type Provider } from '@nestjs/common';

export interface CacheModuleOptions {
  /**
   * Names this application's cache in every event, and its entries in every store. Required with a store; the same for
   * all processes of the application, and for no other.
   *
   * @default 'cache'
   * @range letters, digits, `-`, `_` and `.`, at most 64
   */
  namespace?: string;
  /**
   * Where entries are kept that processes share: `redisStore({ url })` of `nestjs-cache-contract/redis`.
   *
   * @default none: entries are kept in each process
   */
  store?: StoreDefinition;
  /**
   * Further stores by name, for entities that name one as their `store`.
   *
   * @default none
   */
  stores?: { readonly [name: string]: StoreDefinition };
  /**
   * Options of entities, by entity, laid over their contracts: `{ product: { ttl: '30s' } }`. Checked as if they stood in
   * the contract, and shown with their source. Over them goes the environment: `CACHE_ENTITY__PRODUCT__TTL=30s`.
   *
   * @default none
   */
  overrides?: { readonly [entity: string]: EntityOverrides };
}

/** What has to be known before options are: given beside the factory of `forRootAsync`, not returned by it. */
export interface CacheModuleExtras {
  /** Your own `Clock` or `Singleflight`: `[{ provide: Singleflight, useClass: MySingleflight }]`. */
  providers?: Provider[];
}

export interface CacheModuleOptionsFactory {
  createCacheOptions(): CacheModuleOptions | Promise<CacheModuleOptions>;
}

export const {
  ConfigurableModuleClass,
  MODULE_OPTIONS_TOKEN: CACHE_MODULE_OPTIONS,
  OPTIONS_TYPE,
  ASYNC_OPTIONS_TYPE,
} = new ConfigurableModuleBuilder<CacheModuleOptions>({
  optionsInjectionToken: Symbol('options (is it imported as CacheModule.forRoot()?)'),
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createCacheOptions')
  .setExtras<CacheModuleExtras>({ providers: [] }, (definition, { providers = [] }) => ({
    ...definition,
    global: true,
    providers: [...(definition.providers ?? []), ...providers],
  }))
  .build();
