// What needs the optional peer dependency ioredis
export { redisStore, type RedisStoreDefinition } from './store/redis/redis-store.definition.js';
export { RedisLock, type RedisLockOptions } from './coordination/redis/redis-lock.js';
export type { RedisSource } from './connection/redis-source.js';
export { CacheRedisError } from './connection/redis.error.js';
