// Declaring what is cached, and how
export {
  entity,
  type AnyEntity,
  type Bounds,
  type Contract,
  type Defined,
  type Entity,
  type EntityKey,
  type KeyOf,
  type KeyPart,
  type ValueOf,
  type Version,
} from './contract/entity.js';
export {
  bypass,
  external,
  invalidate,
  readThrough,
  staleWhileRevalidate,
  writeThrough,
  type LocalTierOptions,
  type ReadStrategy,
  type ReadThroughOptions,
  type StaleWhileRevalidateOptions,
  type WriteStrategy,
} from './contract/strategies.js';
export {
  acceptStale,
  fresh,
  type Acceptance,
  type AcceptStale,
  type Fresh,
} from './contract/acceptance.js';
export type { EntityOverrides } from './contract/overrides.js';
export { alwaysAvailable, guarded, readMostly } from './contract/presets.js';
export { origin, type Origin, type OriginOptions } from './contract/origin.js';
export type { Exposure } from './contract/worst-case.js';
export type { Duration } from './time/duration.js';

// On methods
export { Cached } from './nest/cached.decorator.js';
export { CachedMany } from './nest/cached-many.decorator.js';
export { Invalidates, type InvalidationTarget } from './nest/invalidates.decorator.js';
export { OverrideStrategy } from './nest/override-strategy.decorator.js';
export { WriteThrough } from './nest/write-through.decorator.js';
export { currentLoad, type LoadContext } from './read/call-context.js';

// As calls
export { EntityCache, type CacheOf, type ContractInForce } from './nest/entity-cache.js';
export { InjectCache } from './nest/inject-cache.decorator.js';
export type { InvalidationOutcome } from './invalidation/invalidator.js';

// In the module tree
export { CacheModule } from './cache.module.js';
export type {
  CacheModuleExtras,
  CacheModuleOptions,
  CacheModuleOptionsFactory,
} from './nest/module-definition.js';

// What goes wrong
export {
  CacheError,
  CacheLoadTimeoutError,
  CacheOriginBusyError,
  CacheUsageError,
} from './errors/cache.error.js';
export {
  CacheConfigurationError,
  type Fault,
  type FaultCode,
} from './errors/configuration.error.js';

// What happens
export {
  onCacheEvent,
  type AbsorbedFault,
  type CacheEvent,
  type CacheEventName,
  type CacheEvents,
} from './events/events.js';

// To replace by your own
export { Singleflight, type Flight } from './coordination/singleflight.js';
export { Clock } from './time/clock.js';
