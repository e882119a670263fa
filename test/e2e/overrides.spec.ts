import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { ConfigModule, registerAs } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import { jest } from '@jest/globals';
import { CacheModule, EntityCache, entity, external, readThrough } from 'nestjs-cache-contract';

const Products = entity<string>('product', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '10m' }),
  write: external(),
});
const config = registerAs('cache', () => ({ overrides: { product: { ttl: '5m' as const } } }));

async function start() {
  const module = await Test.createTestingModule({
    imports: [
      ConfigModule.forRoot({ ignoreEnvFile: true, load: [config] }),
      CacheModule.forRootAsync(config.asProvider()),
      CacheModule.forFeature([Products]),
    ],
  }).compile();
  return module.init();
}

const ttlMs = (app: { get(token: typeof EntityCache): EntityCache }) =>
  (app.get(EntityCache).contract(Products).read as { ttlMs: number }).ttlMs;

describe('what is changed of a contract from outside the code', () => {
  afterEach(() => {
    delete process.env.CACHE_ENTITY__PRODUCT__TTL;
    jest.restoreAllMocks();
  });

  it('comes through ConfigService, and under the environment', async () => {
    const configured = await start();
    expect(ttlMs(configured)).toBe(300_000);
    await configured.close();
    process.env.CACHE_ENTITY__PRODUCT__TTL = '30s';
    const surrounded = await start();
    expect(ttlMs(surrounded)).toBe(30_000);
    await surrounded.close();
  });

  it('is shown at the start with its source, beside what every contract promises', async () => {
    process.env.CACHE_ENTITY__PRODUCT__TTL = '30s';
    const log = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    const app = await start();
    const told = log.mock.calls.map(([message]) => String(message)).join('\n');
    expect(told).toContain('Contracts in force');
    expect(told).toMatch(/product +ttl 30s +external +origin +1h +30s +CACHE_ENTITY__PRODUCT__TTL/);
    await app.close();
  });

  it('keeps the application from starting when it breaks the contract', async () => {
    process.env.CACHE_ENTITY__PRODUCT__TTL = '2h';
    await expect(start()).rejects.toThrow(
      /CACHE_STALENESS_EXCEEDED[\s\S]*overridden by CACHE_ENTITY__PRODUCT__TTL/,
    );
  });
});
