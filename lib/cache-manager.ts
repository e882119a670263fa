// For who has a Keyv, the optional peer dependency keyv
export { keyvStore, type KeyvStoreOptions } from './store/keyv/keyv-store.definition.js';
export type { SharedKeyv } from './store/keyv/attentive-keyv.js';
// For code that injects cache-manager
export {
  CACHE_MANAGER,
  CacheManagerModule,
  type CacheManagerModuleAsyncOptions,
  type CacheManagerModuleOptions,
  type CacheManagerOptionsFactory,
} from './extras/cache-manager/cache-manager.module.js';
export { Cache } from './extras/cache-manager/cache.js';
export type { CacheManagerEvents } from './extras/cache-manager/events.js';
export type { CacheManagerOptions } from './extras/cache-manager/options.js';
export type { WrapOptions } from './extras/cache-manager/wrap.js';
