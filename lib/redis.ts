// What needs the optional peer dependency ioredis
export { RedisLock, type RedisLockOptions } from './coordination/redis/redis-lock.js';
export type { RedisSource } from './connection/redis-source.js';
export { CacheRedisError } from './connection/redis.error.js';
