// The same service in front of one Redis by each library, with the same ttl, without a copy in the process. What the
// libraries do besides (deadlines, tags, locks) is what they do by default.
import { Redis } from 'ioredis';
import { application, peer } from './subjects.mjs';

const SECONDS = 3600;
const MS = SECONDS * 1000;
const url = process.env.BENCH_REDIS_URL;

/** `find(id)` answers from Redis or loads. */
export const subjects = {
  'ioredis: GET, JSON.parse': async (load) => {
    const redis = new Redis(url);
    return {
      find: async (id) => {
        const text = await redis.get(`raw:${id}`);
        if (text !== null) return JSON.parse(text);
        const value = await load(id);
        await redis.set(`raw:${id}`, JSON.stringify(value), 'PX', MS);
        return value;
      },
    };
  },
  'ioredis: one MGET per turn, JSON.parse': async (load) => {
    const redis = new Redis(url);
    let batch;
    const get = (key) => {
      if (batch === undefined) {
        const keys = [];
        const values = new Promise((resolve) => setImmediate(resolve)).then(() => {
          batch = undefined;
          return redis.mget(keys);
        });
        batch = { keys, values };
      }
      const index = batch.keys.push(key) - 1;
      return batch.values.then((values) => values[index]);
    };
    return {
      find: async (id) => {
        const text = await get(`mget:${id}`);
        if (text !== null) return JSON.parse(text);
        const value = await load(id);
        await redis.set(`mget:${id}`, JSON.stringify(value), 'PX', MS);
        return value;
      },
    };
  },
  'node-redis: GET, JSON.parse': async (load) => {
    const { createClient } = await peer('redis');
    const redis = await createClient({ url }).connect();
    return {
      find: async (id) => {
        const text = await redis.get(`node:${id}`);
        if (text !== null) return JSON.parse(text);
        const value = await load(id);
        await redis.set(`node:${id}`, JSON.stringify(value), { PX: MS });
        return value;
      },
    };
  },
  'nestjs-cache-contract: EntityCache.get': async (load) => {
    const library = await import('../../dist/index.js');
    const { redisStore } = await import('../../dist/redis.js');
    const Users = library.entity('user', {
      maxStaleness: '2h',
      // No copy in the process.
      prefer: 'error',
      read: library.readThrough({ ttl: SECONDS * 1000, jitter: 0 }),
      write: library.invalidate(),
    });
    // A busy machine is no outage, but where outages are measured.
    const store = redisStore({ url, deadline: process.env.BENCH_DEADLINE ?? '10s' });
    const nest = await application(
      [],
      [
        library.CacheModule.forRoot({ namespace: 'bench', store }),
        library.CacheModule.forFeature([Users]),
      ],
    );
    const cache = nest.get(library.EntityCache);
    return { find: (id) => cache.get(Users, id, () => load(id)) };
  },
  'bentocache: getOrSet': async (load) => {
    const { BentoCache, bentostore } = await peer('bentocache');
    const { redisDriver } = await peer('bentocache/drivers/redis');
    const store = bentostore().useL2Layer(redisDriver({ connection: new Redis(url) }));
    const cache = new BentoCache({ default: 'redis', stores: { redis: store } });
    return {
      find: (id) => cache.getOrSet({ key: id, ttl: MS, factory: () => load(id) }),
    };
  },
  'cache-manager: wrap, @keyv/redis': async (load) => {
    const { createCache } = await peer('cache-manager');
    const { createKeyv } = await peer('@keyv/redis');
    const cache = createCache({ ttl: MS, stores: [createKeyv(url)] });
    return { find: (id) => cache.wrap(id, () => load(id)) };
  },
};
