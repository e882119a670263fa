import 'reflect-metadata';
import { Test } from '@nestjs/testing';
import { Keyv } from 'keyv';
import {
  CacheModule,
  Clock,
  readThrough,
  writeThrough,
  entity,
  type AnyEntity,
  type Defined,
} from 'nestjs-cache-contract';
import { Cache, CacheManagerModule, keyvStore } from 'nestjs-cache-contract/cache-manager';
import { MemoryStore } from '../support/memory-store/memory-store.js';
import { KeyvTime } from '../support/keyv-time.js';
import { InKeyv, InRedis } from '../docs/snippets/cache-manager-shared.js';

let time: KeyvTime;
beforeEach(() => void (time = new KeyvTime()));
afterEach(() => time.end());

const Copied = entity<Defined>('legacy', {
  maxStaleness: '5m',
  read: readThrough({ ttl: '5m' }),
  write: writeThrough(),
});

const STORES = {
  keyvStore: () => {
    const keyv = new Keyv();
    return () => keyvStore(keyv);
  },
  /** Which refuses what redisStore refuses. */
  'a store that refuses what is old': () => {
    const store = new MemoryStore(time);
    return () => ({ deadlineMs: 100, open: () => store });
  },
};

/** Two applications on one store, as two processes are. */
async function two(kind: keyof typeof STORES, of: AnyEntity) {
  const store = STORES[kind]();
  const start = async () => {
    const module = await Test.createTestingModule({
      imports: [
        CacheModule.forRoot({ namespace: 'shop', store: store() }),
        CacheManagerModule.register({ entity: of }),
      ],
    })
      .overrideProvider(Clock)
      .useValue(time)
      .setLogger({ log: () => {}, warn: () => {}, error: () => {} })
      .compile();
    return module.init();
  };
  const apps = [await start(), await start()] as const;
  const [one, other] = apps.map((app) => app.get(Cache)) as [Cache, Cache];
  return { one, other, close: () => Promise.all(apps.map((app) => app.close())) };
}

it.each([
  ['keyvStore', InKeyv],
  ['a store that refuses what is old', InRedis],
] as const)(
  'CACHE_MANAGER in %s shows at once what another process has set and deleted, where none keeps a copy',
  async (kind, of) => {
    const { one, other, close } = await two(kind, of);
    await one.set('a', 'old');
    expect([await other.get('a'), await other.wrap('a', () => 'loaded')]).toEqual(['old', 'old']);
    await one.set('a', 'new');
    expect([await one.get('a'), await other.get('a')]).toEqual(['new', 'new']);
    expect(await other.wrap('a', () => 'loaded')).toBe('new');
    expect(await one.del('a')).toBe(true);
    expect([await one.get('a'), await other.get('a')]).toEqual([undefined, undefined]);
    expect(await other.wrap('a', () => 'loaded')).toBe('loaded');
    await close();
  },
);

it('CACHE_MANAGER in keyvStore shows it after the ttl, where each process keeps a copy', async () => {
  const { one, other, close } = await two('keyvStore', Copied);
  await one.set('a', 'old');
  expect(await other.get('a')).toBe('old');
  await one.set('a', 'new');
  expect([await one.get('a'), await other.get('a')]).toEqual(['new', 'old']);
  await one.del('a');
  expect([await one.get('a'), await other.get('a')]).toEqual([undefined, 'old']);
  await time.pass(5 * 60_000);
  expect(await other.wrap('a', () => 'loaded')).toBe('loaded');
  await close();
});
