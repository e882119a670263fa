// The same service by each library: `find(id)` answers from memory or loads. Configured for memory only, with the
// same ttl and the same bound where there is one, and called as the documentation of the library has it.
// Imported when opened, so that a library that is missing or broken concerns nobody else.
import 'reflect-metadata';
import { Module, UseInterceptors } from '@nestjs/common';
import { ExternalContextCreator, NestFactory } from '@nestjs/core';

export const CAPACITY = 100_000;
const SECONDS = 3600;
const MS = SECONDS * 1000;

export const subjects = {
  Map: async (load) => {
    const map = new Map();
    return {
      find: (id) => {
        const value = map.get(id);
        return value === undefined ? missed(map, id, load) : Promise.resolve(value);
      },
    };
  },
  'lru-cache: get, load, set': async (load) => {
    const { LRUCache } = await peer('lru-cache');
    const lru = new LRUCache({ max: CAPACITY, ttl: MS });
    return {
      find: (id) => {
        const value = lru.get(id);
        return value === undefined ? missed(lru, id, load) : Promise.resolve(value);
      },
    };
  },
  'lru-cache: fetch': async (load) => {
    const { LRUCache } = await peer('lru-cache');
    const cache = new LRUCache({ max: CAPACITY, ttl: MS, fetchMethod: (id) => load(id) });
    return { find: (id) => cache.fetch(id) };
  },
  'nestjs-cache-contract: @Cached': async (load) => {
    const { library, app, Users } = await ours();
    class Service {
      async find(id) {
        return load(id);
      }
    }
    decorate(Service, 'find', library.Cached(Users));
    const nest = await app([Service]);
    const service = nest.get(Service);
    return { find: (id) => service.find(id) };
  },
  'nestjs-cache-contract: EntityCache.get': async (load) => {
    const { library, app, Users } = await ours();
    const nest = await app([]);
    const cache = nest.get(library.EntityCache);
    return { find: (id) => cache.get(Users, id, () => load(id)) };
  },
  'bentocache: getOrSet': (load) => bento(load, {}),
  // By default every hit parses JSON. This hands out the stored object itself, as Map and most others here do.
  'bentocache: getOrSet, serialize: false': (load) => bento(load, { serialize: false }),
  'cache-manager: wrap': async (load) => {
    // Its own default store, a Keyv over a Map with JSON as values, which has no bound.
    const { createCache } = await peer('cache-manager');
    const cache = createCache({ ttl: MS });
    return { find: (id) => cache.wrap(id, () => load(id)) };
  },
  '@nestjs/cache-manager: CacheInterceptor': async (load) => {
    const { CacheInterceptor, CacheKey, CacheModule } = await peer('@nestjs/cache-manager');
    class Controller {
      async find(id) {
        return load(id);
      }
    }
    decorate(Controller, 'find', UseInterceptors(CacheInterceptor));
    decorate(
      Controller,
      'find',
      CacheKey((context) => context.getArgByIndex(0)),
    );
    const nest = await application([Controller], [CacheModule.register({ ttl: MS })]);
    // An interceptor only acts on what Nest calls: this is Nest's call of a handler, without the HTTP around it.
    const controller = nest.get(Controller);
    const find = nest
      .get(ExternalContextCreator)
      .create(controller, controller.find, 'find', undefined, undefined, undefined, undefined, {
        interceptors: true,
        guards: false,
        filters: false,
      });
    return { find };
  },
  'cacheable: getOrSet': async (load) => {
    const { Cacheable, createKeyv } = await peer('cacheable');
    const cache = new Cacheable({ primary: createKeyv({ ttl: MS, lruSize: CAPACITY }), ttl: MS });
    return { find: (id) => cache.getOrSet(id, () => load(id), { ttl: MS }) };
  },
  'async-cache-dedupe: define': async (load) => {
    const { createCache } = await peer('async-cache-dedupe');
    const storage = { type: 'memory', options: { size: CAPACITY } };
    const cache = createCache({ ttl: SECONDS, storage }).define('find', (id) => load(id));
    return { find: (id) => cache.find(id) };
  },
  'layered-loader: Loader.get': async (load) => {
    const { Loader } = await peer('layered-loader');
    const loader = new Loader({
      inMemoryCache: { cacheType: 'lru-map', ttlInMsecs: MS, maxItems: CAPACITY },
      dataSources: [{ name: 'users', get: (id) => load(id) }],
    });
    return { find: (id) => loader.get(id) };
  },
};

// A peer that is not installed here may be somewhere above, as a tool's own dependency and in another version.
export function peer(name) {
  const installed = new URL('node_modules/', import.meta.url).href;
  if (!import.meta.resolve(name).startsWith(installed)) throw new Error('not installed');
  return import(name);
}

async function missed(table, id, load) {
  const value = await load(id);
  table.set(id, value);
  return value;
}

async function ours() {
  // Not by its name: this folder has a package.json, and a package finds itself by name only from its own scope.
  const library = await import('../../dist/index.js');
  const Users = library.entity('user', {
    maxStaleness: '1h',
    read: library.readThrough({ ttl: '1h', l1: { maxEntries: CAPACITY } }),
    write: library.external(),
  });
  const imports = [library.CacheModule.forRoot(), library.CacheModule.forFeature([Users])];
  return { library, Users, app: (providers) => application(providers, imports) };
}

async function bento(load, options) {
  const { BentoCache, bentostore } = await peer('bentocache');
  const { memoryDriver } = await peer('bentocache/drivers/memory');
  const memory = bentostore().useL1Layer(memoryDriver({ maxItems: CAPACITY, ...options }));
  const cache = new BentoCache({ default: 'memory', stores: { memory } });
  return { find: (id) => cache.getOrSet({ key: id, ttl: MS, factory: () => load(id) }) };
}

export function application(providers, imports) {
  class App {}
  Module({ providers, imports })(App);
  return NestFactory.createApplicationContext(App, { logger: ['error'] });
}

function decorate({ prototype }, name, decorator) {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
  Object.defineProperty(prototype, name, decorator(prototype, name, descriptor) ?? descriptor);
}
