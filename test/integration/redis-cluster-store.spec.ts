import { jest } from '@jest/globals';
import { describeCacheStore } from '../conformance/cache-store.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startCluster, type TestCluster } from '../support/redis-cluster.js';
import type { TestRedis } from '../support/redis-server.js';
import { RedisStores } from '../support/redis-stores.js';

// Histories take their time on a busy machine.
jest.setTimeout(120_000);

let cluster: TestCluster;
let servers: readonly TestRedis[];
const stores = new RedisStores(() => ({ source: { nodes: cluster.urls }, servers }));

beforeAll(async () => {
  if (!hasRedis()) return;
  cluster = (await startCluster())!;
  servers = cluster.primaries();
});
afterAll(async () => {
  await stores.close();
  await cluster?.stop();
});

(hasRedis() ? describe : describe.skip)('Redis Cluster', () => {
  describeCacheStore('a store in it', { create: stores.create, runs: 10 });
});
