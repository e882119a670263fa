// What a hit costs, and what an entry weighs, beside a raw Map and lru-cache in the same run.
// Numbers of a shared machine: read the ratios, and read them as rough.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import {
  Cached,
  CacheModule,
  EntityCache,
  entity,
  external,
  readThrough,
} from 'nestjs-cache-contract';
import { LRUCache } from 'lru-cache';

const COUNT = 10_000;
const CALLS = 1_000_000;

const Users = entity('user', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '1h', l1: { maxEntries: 200_000 } }),
  write: external(),
});

class Service {
  async find(id) {
    return { id, name: `user ${id}` };
  }
}
decorate(Service.prototype, 'find', Cached(Users));

class App {}
const app = await NestFactory.createApplicationContext(
  { module: App, imports: [CacheModule.forRoot()], providers: [Service] },
  { logger: ['error'] },
);
const service = app.get(Service);
const all = app.get(EntityCache);

const keys = Array.from({ length: COUNT }, (_, i) => `user:${i}`);
const one = new Array(4096).fill(keys[1]);
const zipf = zipfian(keys, 0.99, 1 << 16);
const map = new Map();
const lru = new LRUCache({ max: 200_000, ttl: 3_600_000 });
for (const key of keys) {
  const value = await service.find(key);
  map.set(key, value);
  lru.set(key, value);
}

console.log(
  `node ${process.version}, ${CALLS.toLocaleString('en')} awaited calls, best of 5 rounds`,
);
for (const [title, sequence] of [
  ['one key', one],
  ['10,000 keys, zipf 0.99', zipf],
]) {
  const subjects = {
    'Map.get': (key) => Promise.resolve(map.get(key)),
    'lru-cache': (key) => Promise.resolve(lru.get(key)),
    '@Cached method': (key) => service.find(key),
    'EntityCache.get': (key) => all.get(Users, key, () => Promise.reject(new Error('miss'))),
  };
  const best = Object.fromEntries(Object.keys(subjects).map((name) => [name, Infinity]));
  for (let round = 0; round < 5; round++) {
    for (const [name, call] of Object.entries(subjects)) {
      best[name] = Math.min(best[name], await time(call, sequence));
    }
  }
  console.log(`\nhit, ${title}`);
  for (const [name, ns] of Object.entries(best)) {
    const share = (best['Map.get'] / ns).toFixed(2);
    console.log(`  ${name.padEnd(18)} ${ns.toFixed(0).padStart(6)} ns   ${share} of Map`);
  }
}
await app.close();

console.log('\nbytes per entry, 100,000 entries of { id, name }');
const perMap = await weigh(async (add) => {
  const held = new Map();
  await add((key, value) => held.set(key, value));
  return held;
});
const report = (name, bytes) =>
  console.log(
    `  ${name.padEnd(18)} ${bytes.toFixed(0).padStart(6)} B    ${(bytes / perMap).toFixed(2)} of Map`,
  );
report('Map', perMap);
report(
  'lru-cache',
  await weigh(async (add) => {
    const held = new LRUCache({ max: 200_000, ttl: 3_600_000 });
    await add((key, value) => held.set(key, value));
    return held;
  }),
);
const second = await NestFactory.createApplicationContext(
  { module: App, imports: [CacheModule.forRoot()], providers: [Service] },
  { logger: ['error'] },
);
const cache = second.get(EntityCache);
await cache.get(Users, 'warm', async () => ({ id: 'warm', name: 'warm' }));
report(
  '@Cached method',
  await weigh(async (add) => {
    await add((key, value) => cache.get(Users, key, () => Promise.resolve(value)));
    return cache;
  }),
);
await second.close();

async function time(call, sequence) {
  const mask = sequence.length - 1;
  const start = process.hrtime.bigint();
  for (let i = 0; i < CALLS; i++) await call(sequence[i & mask]);
  return Number(process.hrtime.bigint() - start) / CALLS;
}

async function settle() {
  for (let i = 0; i < 5; i++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function weigh(fill) {
  await settle();
  const before = process.memoryUsage().heapUsed;
  const held = await fill(async (store) => {
    for (let i = 0; i < 100_000; i++) {
      const id = `u${i}`;
      await store(`user:${i}`, { id, name: `name of ${id}` });
    }
  });
  await settle();
  const bytes = (process.memoryUsage().heapUsed - before) / 100_000;
  if (held === undefined) throw new Error('nothing was held');
  return bytes;
}

function zipfian(items, exponent, length) {
  const cumulative = [];
  let total = 0;
  items.forEach((_, i) => cumulative.push((total += 1 / (i + 1) ** exponent)));
  let state = 42;
  const random = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
  return Array.from({ length }, () => {
    const point = random() * total;
    let low = 0;
    for (let high = items.length - 1; low < high;) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] < point) low = middle + 1;
      else high = middle;
    }
    return items[low];
  });
}

function decorate(target, name, decorator) {
  const descriptor = Object.getOwnPropertyDescriptor(target, name);
  decorator(target, name, descriptor);
  Object.defineProperty(target, name, descriptor);
}
