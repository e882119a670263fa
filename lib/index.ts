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
  writeBehind,
  writeThrough,
  type LocalTierOptions,
  type ReadStrategy,
  type ReadThroughOptions,
  type RetryOptions,
  type StaleWhileRevalidateOptions,
  type WriteBehindOptions,
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
export { alwaysAvailable, counter, guarded, readMostly } from './contract/presets.js';
export { origin, type Origin, type OriginOptions } from './contract/origin.js';
export type { Exposure } from './contract/worst-case.js';
export type { Duration } from './time/duration.js';

// On methods
export { Cached } from './nest/cached.decorator.js';
export { CachedMany } from './nest/cached-many.decorator.js';
export { Flushes } from './nest/flushes.decorator.js';
export { Invalidates, type InvalidationTarget } from './nest/invalidates.decorator.js';
export { OverrideStrategy, type StrategyOverride } from './nest/override-strategy.decorator.js';
export { WriteBehind } from './nest/write-behind.decorator.js';
export { WriteThrough } from './nest/write-through.decorator.js';
export {
  add,
  remove,
  set,
  type AddMutation,
  type Mutation,
  type Receipt,
  type RemoveMutation,
  type SetMutation,
} from './write/behind/mutation.js';
export type { FlushBatch, Flushed, FlushEntry } from './write/behind/flush-batch.js';
export { currentLoad, type LoadContext } from './read/call-context.js';

// As calls
export {
  EntityCache,
  type CacheOf,
  type ContractInForce,
  type JournalOf,
} from './nest/entity-cache.js';
export { InjectCache } from './nest/inject-cache.decorator.js';
export type { DeadLetter } from './write/behind/dead-letters.js';
export type { JournalStatus } from './write/behind/flush-report.js';
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
  CacheFlushFailedError,
  CacheFlushTimeoutError,
  CacheJournalFullError,
  CacheMutationRejectedError,
} from './errors/write-behind.error.js';
export { CacheInvalidationUnacknowledgedError } from './errors/unacknowledged.error.js';
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

// To extend, for write-behind
export {
  Ledger,
  type BatchPosition,
  type BuriedRow,
  type LedgerVerdict,
} from './write/behind/ledger.js';
export { SqlLedger } from './write/behind/sql-ledger.js';
export { ledgerSchema, type SqlDialect } from './write/behind/sql-statements.js';

// To replace by your own
export {
  CacheLockBusyError,
  CacheLockLostError,
  DistributedLock,
  type Lock,
  type LockAttempt,
  type LockOptions,
} from './coordination/distributed-lock.js';
export {
  CacheStore,
  type CheckOutcome,
  type EntryName,
  type FillOutcome,
  type Generations,
  type Lease,
  type LeaseAnswer,
  type LeaseTerms,
  type StoredEntry,
} from './store/cache-store.js';
export {
  InvalidationLog,
  type Changes,
  type LogAnswer,
  type LogListener,
  type LogMessage,
  type LogPosition,
  type TagsAnswer,
} from './store/invalidation-log.js';
export type { StoreDefinition, StoreParts } from './store/store-definition.js';
export { Singleflight, type Flight } from './coordination/singleflight.js';
export { Clock } from './time/clock.js';
