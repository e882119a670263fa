import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { hasRedis } from '../support/redis-binaries.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';
import { eventually } from '../support/engine.js';

jest.setTimeout(60_000);

const page = readFileSync(join(import.meta.dirname, '../../docs/keyv.md'), 'utf8');

(hasRedis() ? describe : describe.skip)('docs/keyv.md', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    Logger.overrideLogger(false);
    redis = (await startRedis())!;
    process.env.REDIS_URL = redis.url;
  });
  afterAll(() => redis?.stop());

  it('loads once, invalidates, and writes under the keys that the page names', async () => {
    const { once } = await import('./snippets/keyv.js');
    const [key] = /shop\/1\/profile\/u1/.exec(page)!;
    await once(async (shop) => {
      expect(await Promise.all([shop.profile('u1'), shop.profile('u1')])).toEqual([
        { name: 'Ada' },
        { name: 'Ada' },
      ]);
      const keys = () => redis.cli('--scan').split('\n');
      await eventually(() => keys().includes(`keyv::keyv:${key}`));
      expect(keys()).toContainEqual(expect.stringMatching(/^shop:k:\{shop%?.*lease.*\}:f$/));
      await shop.rename('u1', 'Grace');
      expect(await shop.profile('u1')).toEqual({ name: 'Grace' });
      expect(shop.loads).toBe(2);
    });
    const clients = redis.cli('CLIENT', 'LIST').split('\n');
    // The one that asks.
    expect(clients).toHaveLength(1);
  });
});
