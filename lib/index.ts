// Declaring what is cached, and how
export {
  entity,
  type AnyEntity,
  type Contract,
  type Defined,
  type Entity,
  type EntityKey,
  type KeyOf,
  type KeyPart,
  type ValueOf,
} from './contract/entity.js';
export {
  bypass,
  external,
  invalidate,
  readThrough,
  type LocalTierOptions,
  type ReadStrategy,
  type ReadThroughOptions,
  type WriteStrategy,
} from './contract/strategies.js';
export type { Exposure } from './contract/worst-case.js';
export type { Duration } from './time/duration.js';

// On methods
export { Cached } from './nest/cached.decorator.js';
export { Invalidates, type InvalidationTarget } from './nest/invalidates.decorator.js';
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
export { CacheError, CacheLoadTimeoutError, CacheUsageError } from './errors/cache.error.js';
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
