import 'reflect-metadata';
import { Injectable, type LoggerService } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Keyv } from 'keyv';
import {
  Cached,
  CacheModule,
  Clock,
  DistributedLock,
  entity,
  EntityCache,
  Invalidates,
  invalidate,
  onCacheEvent,
  readThrough,
  WriteThrough,
  writeThrough,
  type LockOptions,
} from 'nestjs-cache-contract';
import { keyvStore } from 'nestjs-cache-contract/cache-manager';
import { MemoryLock } from '../../lib/coordination/memory-lock.js';
import { TroubledKeyv, TroubledKeyvOfMany } from '../support/keyv-adapters.js';
import { KeyvSqlite } from '../support/keyv-sqlite.js';
import { KeyvTime } from '../support/keyv-time.js';

const read = readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' });
/** Not kept in the process, so that the store is asked each time. */
const l1 = { maxEntries: 1 };
const Users = entity<string | null>('user', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s', l1 }),
  write: invalidate(),
});
const Prices = entity<number>('price', { maxStaleness: '1m', read, write: writeThrough() });

@Injectable()
class ShopService {
  readonly asked: string[] = [];
  user = 'first';

  @Cached(Users)
  async find(id: string): Promise<string | null> {
    this.asked.push(id);
    return id === 'nobody' ? null : `${this.user} ${id}`;
  }

  @Invalidates(Users, (id: string) => id)
  async rename(_id: string, name: string): Promise<void> {
    this.user = name;
  }

  @Cached(Prices)
  async price(_id: string): Promise<number> {
    return 1;
  }

  @WriteThrough(Prices, (id: string) => id)
  async setPrice(_id: string, price: number): Promise<number> {
    return price;
  }
}

let time: KeyvTime;
let faults: string[];
let stopListening: () => void;
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown) => void unhandled.push(reason);
beforeEach(() => {
  time = new KeyvTime();
  faults = [];
  stopListening = onCacheEvent('fault', ({ code }) => void faults.push(code));
  process.on('unhandledRejection', onUnhandled);
});
afterEach(() => {
  time.end();
  stopListening();
  process.off('unhandledRejection', onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

/** `lock`: one for all processes, as RedisLock is. */
async function start(keyv: unknown, { lock }: { readonly lock?: DistributedLock } = {}) {
  const said = { log: '', warn: '' };
  const logger: LoggerService = {
    log: (text: string) => void (said.log += text),
    warn: (text: string) => void (said.warn += text),
    error: () => {},
  };
  const own = lock === undefined ? [] : [{ provide: DistributedLock, useValue: lock }];
  const module = await Test.createTestingModule({
    imports: [
      CacheModule.forRoot({
        namespace: 'shop',
        store: keyvStore(keyv as Keyv),
        providers: own as never,
      }),
    ],
    providers: [ShopService],
  })
    .overrideProvider(Clock)
    .useValue(time)
    .setLogger(logger)
    .compile();
  await module.init();
  return { module, said, service: module.get(ShopService), cache: module.get(EntityCache) };
}

/** Resolves when what nobody waits for has been done. */
async function quiet() {
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
}

describe.each([
  { kind: 'in memory', adapter: () => new Map() },
  { kind: 'in SQLite', adapter: () => new KeyvSqlite() },
])('applications that share a Keyv $kind', ({ adapter }) => {
  it('share what they load, write and invalidate', async () => {
    const keyv = new Keyv({ store: adapter() });
    const lock = { lock: new MemoryLock(time) };
    const [first, second] = [await start(keyv, lock), await start(keyv, lock)];
    expect(await first.service.find('a')).toBe('first a');
    expect(await first.service.find('nobody')).toBeNull();
    await quiet();
    expect(await second.service.find('a')).toBe('first a');
    expect(await second.service.find('nobody')).toBeNull();
    expect(second.service.asked).toEqual([]);
    await first.service.rename('a', 'second');
    expect(await first.service.find('a')).toBe('second a');
    await first.service.setPrice('tea', 3);
    expect(await second.service.price('tea')).toBe(3);
    expect(second.cache.contract(Users)).toMatchObject({ store: 'default', leases: 'lock' });
    await first.module.close();
    await second.module.close();
    expect(time.pending).toBe(0);
    // It is still there, for those who have made it.
    expect(await keyv.set('mine', 1)).toBe(true);
    await keyv.disconnect();
  });

  it('load an entry once, however many ask for it at once', async () => {
    const keyv = new Keyv({ store: adapter() });
    const lock = { lock: new MemoryLock(time) };
    const [first, second] = [await start(keyv, lock), await start(keyv, lock)];
    const calls = [first, second].flatMap(({ service }) =>
      Array.from({ length: 50 }, () => service.find('a')),
    );
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['first a']));
    expect([...first.service.asked, ...second.service.asked]).toEqual(['a']);
    await first.module.close();
    await second.module.close();
    await keyv.disconnect();
  });
});

describe('an application', () => {
  const OWN_LOCK =
    /^Where several processes share a store .* each loads for itself: .* Entities: (user, price|price, user)\. Fix: provide a lock for all of them, as RedisLock/;

  it('warns that each process loads for itself, unless it is given a lock for all of them', async () => {
    const alone = await start(new Keyv());
    expect(alone.said.warn).toMatch(OWN_LOCK);
    expect(alone.said.log).toContain("store 'default'*");
    expect(alone.said.log).toContain('* refuses nothing');
    await alone.module.close();

    class FleetLock extends DistributedLock {
      private readonly locks = new MemoryLock(time);
      override acquire(...of: Parameters<DistributedLock['acquire']>) {
        return this.locks.acquire(...of);
      }
    }
    const one = await start(new Keyv(), { lock: new FleetLock() });
    expect(one.said.warn).toBe('');
    await one.module.close();
  });

  it('answers from the source after two seconds where its lock never comes', async () => {
    class NoLock extends DistributedLock {
      override acquire(_: string, { patience, signal }: LockOptions = {}): Promise<undefined> {
        if (patience === 0) return Promise.resolve(undefined);
        return new Promise((_, reject) => signal?.addEventListener('abort', reject));
      }
    }
    const { module, service } = await start(new Keyv(), { lock: new NoLock() });
    let answer: string | null | undefined;
    void service.find('a').then((value) => (answer = value));
    await quiet();
    await time.pass(1_900);
    await quiet();
    expect([answer, service.asked]).toEqual([undefined, []]);
    await time.pass(200);
    await quiet();
    expect(answer).toBe('first a');
    await module.close();
    expect(time.pending).toBe(0);
  });

  it.each([
    {
      what: 'an adapter without its Keyv',
      keyv: new TroubledKeyv(),
      says: /keyvStore\(\) expected a Keyv of version 5\.6 or later, got an object, which has no getRaw, getMany/,
    },
    { what: 'nothing', keyv: undefined, says: /got undefined, which has no getRaw/ },
    {
      what: 'a Keyv that does not tell its errors',
      keyv: new Keyv({ emitErrors: false }),
      says: /got a Keyv with `emitErrors: false`/,
    },
  ])('does not start with $what', async ({ keyv, says }) => {
    await expect(start(keyv)).rejects.toMatchObject({
      faults: [{ code: 'CACHE_STORE_UNFIT', problem: expect.stringMatching(says) }],
    });
  });

  it.each([
    {
      options: '100ms',
      says: "expected an object of options after the Keyv, got '100ms' (string)",
    },
    { options: { deadlin: 5 }, says: 'has no option `deadlin`' },
  ])('does not start with options that are none: $options', async ({ options, says }) => {
    const store = keyvStore(new Keyv(), options as never);
    const module = Test.createTestingModule({
      imports: [CacheModule.forRoot({ namespace: 'shop', store })],
    });
    const started = module.setLogger({ log: () => {}, warn: () => {}, error: () => {} }).compile();
    await expect(started.then((app) => app.init())).rejects.toThrow(says);
  });

  it('starts where the Keyv is out of reach, and says so', async () => {
    const store = new TroubledKeyv();
    store.trouble = 'tells';
    const { module, said, service } = await start(new Keyv({ store }));
    expect(said.warn).toContain("Out of reach: 'default'.");
    expect(await service.find('a')).toBe('first a');
    await module.close();
  });

  it('does not start with a deadline that is none, nor with what it could not keep', async () => {
    const Strict = entity<string>('strict', {
      maxStaleness: '1m',
      read,
      write: invalidate(),
      prefer: 'error',
    });
    class Host {
      @Cached(Strict)
      async find(id: string): Promise<string> {
        return id;
      }
    }
    const options = { namespace: 'shop', store: keyvStore(new Keyv(), { deadline: '2m' }) };
    const refused = (store: object) =>
      Test.createTestingModule({
        imports: [CacheModule.forRoot({ ...options, ...store })],
        providers: [Host],
      })
        .setLogger({ log: () => {}, warn: () => {}, error: () => {} })
        .compile()
        .then((module) => module.init());
    await expect(refused({})).rejects.toThrow(
      "keyvStore() expected as deadline a duration from 1ms to 1m, got '2m' (string)",
    );
    await expect(refused({ store: keyvStore(new Keyv()) })).rejects.toMatchObject({
      faults: [{ code: 'CACHE_STORE_UNFIT', problem: expect.stringContaining("'strict'") }],
    });
    await expect(refused({ store: { ...options.store, leases: 'mine' } })).rejects.toThrow(
      'must be a store',
    );
  });
});

describe.each([
  { kind: 'reads one by one', Adapter: TroubledKeyv },
  { kind: 'reads several at once', Adapter: TroubledKeyvOfMany },
])('callers of an application whose Keyv $kind', ({ Adapter }) => {
  it.each(['throws', 'tells', 'hangs'] as const)(
    'are answered by the source while it %s, and by the Keyv when it is back',
    async (trouble) => {
      const store = new Adapter();
      const { module, service } = await start(new Keyv({ store }));
      store.trouble = trouble;
      const call = async <T>(made: Promise<T>) => {
        const answer = { value: undefined as T | undefined };
        void made.then((value) => (answer.value = value));
        // Each deadline on its way.
        for (let waits = 0; waits < 8 && answer.value === undefined; waits++) {
          await quiet();
          time.advance(100);
          await quiet();
        }
        return answer.value;
      };
      expect(await call(Promise.all([service.find('a'), service.find('b')]))).toEqual([
        'first a',
        'first b',
      ]);
      expect(await call(service.setPrice('tea', 3))).toBe(3);
      void service.rename('a', 'second');
      await quiet();
      expect(await call(service.find('c'))).toBe('second c');
      expect(new Set(faults)).toContain('CACHE_STORE_OUT_OF_REACH');
      store.trouble = 'none';
      for (let id = 0; id < 50 && store.table.size === 0; id++) {
        expect(await call(service.find(`${id}`))).toBe(`second ${id}`);
        await time.pass(500);
        await quiet();
      }
      expect([...store.table.keys()]).toEqual([expect.stringMatching(/^keyv:shop\/1\/user\/\d+$/)]);
      const closed = module.close();
      await quiet();
      await time.pass(1_000);
      await closed;
      expect(time.pending).toBe(0);
    },
  );

  it('are answered by the source where something else has written rubbish, which is told', async () => {
    const store = new Adapter();
    const { module, service } = await start(new Keyv({ store }));
    for (const [id, rubbish] of Object.entries({ a: 'rubbish', b: '{"value":{}}', c: '7' })) {
      store.table.set(`keyv:shop/1/user/${id}`, rubbish);
    }
    const all = await Promise.all(['a', 'b', 'c'].map((id) => service.find(id)));
    expect(all).toEqual(['first a', 'first b', 'first c']);
    expect(new Set(faults)).toEqual(new Set(['CACHE_STORED_UNREADABLE']));
    await quiet();
    for (const id of ['a', 'b', 'c']) {
      expect(store.table.get(`keyv:shop/1/user/${id}`)).toContain('nestjs-cache-contract/1');
    }
    await module.close();
  });
});
