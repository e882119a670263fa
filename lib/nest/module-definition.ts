import { ConfigurableModuleBuilder, type Provider } from '@nestjs/common';

export interface CacheModuleOptions {
  /**
   * Names this application's cache in every event.
   *
   * @default 'cache'
   * @range letters, digits, `-`, `_` and `.`, at most 64
   */
  namespace?: string;
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
