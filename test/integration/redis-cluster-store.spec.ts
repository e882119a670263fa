import { jest } from '@jest/globals';
import { describeCacheStore } from '../conformance/cache-store.js';
import { hasRedis } from '../support/redis-binaries.js';
import { startCluster, type TestCluster } from '../support/redis-cluster.js';
import { RedisStores } from '../support/redis-stores.js';

// Histories take their time on a busy machine.
jest.setTimeout(120_000);

let cluster: TestCluster;
const stores = new RedisStores(() => ({
  source: { nodes: cluster.urls },
  servers: cluster.primaries(),
}));

beforeAll(async () => {
  if (hasRedis()) cluster = (await startCluster())!;
});
afterAll(async () => {
  await stores.close();
  await cluster?.stop();
});

(hasRedis() ? describe : describe.skip)('Redis Cluster', () => {
  describeCacheStore('a store in it', { create: stores.create, runs: 40 });
});
