import 'reflect-metadata';
import { jest } from '@jest/globals';
import { Injectable, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheModule,
  Clock,
  counter,
  entity,
  EntityCache,
  Invalidates,
  invalidate,
  readThrough,
  WriteThrough,
  writeThrough,
} from 'nestjs-cache-contract';
import { keyvStore } from 'nestjs-cache-contract/cache-manager';
import { redisStore } from 'nestjs-cache-contract/redis';
import Keyv from 'keyv';
import type { CacheStore } from '../../lib/store/cache-store.js';
import type { StoreDefinition } from '../../lib/store/store-definition.js';
import { ManualClock } from '../support/manual-clock.js';
import { MemoryStore } from '../support/memory-store/memory-store.js';
import { TroubledStore } from '../support/troubled-store.js';

const read = readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' });
const Users = entity<string>('user', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read,
  write: invalidate(),
});
const Prices = entity<number>('price', {
  maxStaleness: '1m',
  read,
  write: writeThrough(),
  store: 'durable',
});

@Injectable()
class ShopService {
  readonly asked: string[] = [];
  user = 'first';

  @Cached(Users)
  async find(id: string): Promise<string> {
    this.asked.push(id);
    return `${this.user} ${id}`;
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

const silent = {
  log: () => {},
  error: () => {},
  warn: () => {},
  debug: () => {},
  verbose: () => {},
};

/** A definition of a store that the test holds. */
const over = (store: CacheStore, deadlineMs = 100): StoreDefinition => ({
  deadlineMs,
  open: () => store,
});

async function start(
  options: object,
  clock = new ManualClock(),
  providers: unknown[] = [ShopService],
) {
  const module = await Test.createTestingModule({
    imports: [CacheModule.forRoot(options as never)],
    providers: providers as never,
  })
    .overrideProvider(Clock)
    .useValue(clock)
    .setLogger(silent)
    .compile();
  await module.init();
  return { module, service: module.get(ShopService), cache: module.get(EntityCache) };
}

/** What the report says when the application does not start. */
async function report(options: object, providers: unknown[] = []): Promise<string> {
  const started = start(options, undefined, providers);
  const message = await started.then(
    ({ module }) => module.close().then(() => 'it started'),
    ({ message }: Error) => message,
  );
  return message;
}

describe('two applications with one store', () => {
  it('share what they load, and what they invalidate and write', async () => {
    const clock = new ManualClock();
    const [shared, durable] = [new MemoryStore(clock), new MemoryStore(clock)];
    const options = { namespace: 'shop', store: over(shared), stores: { durable: over(durable) } };
    const [first, second] = [await start(options, clock), await start(options, clock)];
    expect(await first.service.find('a')).toBe('first a');
    expect(await second.service.find('a')).toBe('first a');
    expect(second.service.asked).toEqual([]);
    first.service.user = second.service.user = 'second';
    await second.service.rename('a', 'second');
    expect(await first.service.find('a')).toBe('second a');
    expect(await first.service.setPrice('tea', 3)).toBe(3);
    expect(await second.service.price('tea')).toBe(3);
    // Each entity in the store it names.
    expect(await durable.read({ entity: 'price', id: 'tea' })).toBeDefined();
    expect(await shared.read({ entity: 'price', id: 'tea' })).toBeUndefined();
    expect(second.cache.contract(Users)).toMatchObject({ keptIn: 'store', store: 'default' });
    await first.module.close();
    await second.module.close();
  });

  it('each open it with their namespace, and close it at their end', async () => {
    const clock = new ManualClock();
    const store = new TroubledStore(new MemoryStore(clock));
    const namespaces: string[] = [];
    const definition: StoreDefinition = {
      deadlineMs: 100,
      open: ({ namespace }) => (namespaces.push(namespace), store),
    };
    const { module, service } = await start(
      { namespace: 'shop', store: definition, stores: { durable: over(new MemoryStore(clock)) } },
      clock,
    );
    await service.find('a');
    expect([namespaces, store.closed]).toEqual([['shop'], 0]);
    await module.close();
    expect(store.closed).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('open and close one once that has two names', async () => {
    const clock = new ManualClock();
    const stores: TroubledStore[] = [];
    const definition: StoreDefinition = {
      deadlineMs: 100,
      open: () => (stores.push(new TroubledStore(new MemoryStore(clock))), stores.at(-1)!),
    };
    const options = { namespace: 'shop', store: definition, stores: { durable: definition } };
    const { module } = await start(options, clock);
    await module.close();
    expect(stores.map(({ closed }) => closed)).toEqual([1]);
    const again = { ...options, stores: { ...options.stores, default: definition } };
    expect(await report(again, [ShopService])).toContain("names a store 'default'");
    expect(stores.map(({ closed }) => closed)).toEqual([1, 1]);
  });

  it('start and answer where the store is out of reach', async () => {
    const store = new TroubledStore(new MemoryStore(new ManualClock()));
    store.has('rejected');
    const options = { namespace: 'shop', store: over(store), stores: { durable: over(store) } };
    const { module, service } = await start(options);
    expect(await service.find('a')).toBe('first a');
    await service.rename('a', 'second');
    expect(await service.find('a')).toBe('second a');
    expect(await service.setPrice('tea', 3)).toBe(3);
    await module.close();
  });
});

describe('stores that are at fault', () => {
  const good = over(new MemoryStore(new ManualClock()));

  it('keep the application from starting, together with every other fault', async () => {
    const Tagged = entity<string>('tagged', {
      maxStaleness: '1m',
      read,
      write: invalidate(),
      tags: () => ['a'],
    });
    const Behind = entity<number, number>('behind', { ...counter(), store: 'durable' });
    const Lost = entity<string>('lost', {
      maxStaleness: '1m',
      read,
      write: invalidate(),
      store: 'durabel',
    });
    const Late = entity<string>('late', { maxStaleness: '1s', read, write: invalidate() });
    class Host {
      @Cached(Tagged)
      async tagged(id: string): Promise<string> {
        return id;
      }
      @Cached(Behind)
      async behind(id: number): Promise<number> {
        return id;
      }
      @Cached(Lost)
      async lost(id: string): Promise<string> {
        return id;
      }
      @Cached(Late)
      async late(id: string): Promise<string> {
        return id;
      }
      @Invalidates(Users, { family: true })
      async renameAll(): Promise<void> {}
    }
    const text = await report(
      { store: good, stores: { durable: 'redis://localhost', 'no name!': good } },
      [Host, { provide: 'shop', useClass: ShopService }],
    );
    const faults = text.split('\n').filter((line) => /^\d+\. /.test(line));
    expect(text.split('\n')[0]).toBe(`${faults.length} faults keep the cache from starting.`);
    expect(faults.map((line) => line.replace(/^\d+\. /, '')).sort()).toEqual(
      [
        '[CACHE_OPTION_INVALID] `stores.durable` of CacheModule must be a store, got a text.',
        '[CACHE_OPTION_MISSING] CacheModule has a store that processes share, and says nothing about `namespace`.',
        "[CACHE_OPTION_INVALID] `stores` of CacheModule names a store 'no name!' (string).",
        "[CACHE_STALENESS_EXCEEDED] entity 'late' promises maxStaleness 1s, its policy allows 3s when the source is changed elsewhere.",
        "[CACHE_STALENESS_EXCEEDED] entity 'late' promises maxStaleness.incident 1s, its policy allows 1m when the store is out of reach of who changes the source.",
        "[CACHE_STORE_UNFIT] Host.renameAll invalidates all entries of 'user', which processes share in a store where they can only be invalidated one by one.",
        "[CACHE_STORE_UNFIT] entity 'behind' is written behind, which entities in the store 'durable' cannot be.",
        "[CACHE_STORE_UNFIT] entity 'tagged' has tags, and its entries in the store 'default' can only be invalidated one by one.",
        "[CACHE_STORE_UNKNOWN] entity 'lost' names the store 'durabel', and there is none of that name.",
      ].sort(),
    );
  });

  it('are told of once, and not also with every entity that names them', async () => {
    const text = await report({ namespace: 'shop', stores: { durable: 'redis' }, store: good }, [
      ShopService,
    ]);
    expect(text.split('\n').filter((line) => /^\d+\. /.test(line))).toEqual([
      '1. [CACHE_OPTION_INVALID] `stores.durable` of CacheModule must be a store, got a text.',
    ]);
  });

  it.each([
    {
      what: 'a url',
      store: 'redis://u:s3cret@localhost',
      problem: '`store` of CacheModule must be a store, got a text.',
    },
    { what: 'nothing', store: null, problem: '`store` of CacheModule must be a store, got null.' },
    {
      what: 'half a store',
      store: { open: () => undefined },
      problem: '`store` of CacheModule must be a store, got an object.',
    },
    {
      what: 'one that opens nothing',
      store: { deadlineMs: 10, open: () => undefined },
      problem:
        '`store` of CacheModule cannot be used: its open() must return a CacheStore, got undefined, which has no check, now, read, readAll, lease, fill, fail, claim, invalidate and close.',
    },
    {
      what: 'no url of Redis',
      store: redisStore({ url: 'http://u:s3cret@localhost' }),
      problem:
        '`store` of CacheModule cannot be used: redisStore expected a url that begins with redis:// or rediss://, got a text that begins otherwise.',
    },
    {
      what: 'a password that is not encoded',
      store: redisStore({ url: 'redis://:s3cret@50%off@localhost' }),
      problem: 'percent-encode user and password, as encodeURIComponent does.',
    },
    {
      what: 'one with options that it does not have',
      store: redisStore({
        url: 'redis://localhost:1',
        deadlin: '1s',
        startWithot: false,
        namespace: 'shop',
      } as never),
      problem:
        'redisStore has no options `deadlin`, `startWithot` and `namespace`.\n   At:  CacheModule.forRoot()\n   Fix: write `deadline` instead of `deadlin`, write `startWithout` instead of `startWithot` and remove `namespace`; the options are url,',
    },
    {
      what: 'one with a text for true or false',
      store: redisStore({ url: 'redis://localhost:1', startWithout: 'false' } as never),
      problem: "redisStore() expected as startWithout true or false, got 'false' (string).",
    },
    {
      what: 'a Keyv with options that a store of Keyv does not have',
      store: keyvStore(new Keyv(), { deadlin: '1s' } as never),
      problem:
        'keyvStore has no option `deadlin`.\n   At:  CacheModule.forRoot()\n   Fix: write `deadline` instead of `deadlin`; the options are deadline.',
    },
    {
      what: 'a deadline that is none',
      store: redisStore({ url: 'redis://localhost:1', deadline: 'soon' } as never),
      problem: '`store` of CacheModule cannot be used:',
    },
  ])('are told of: a store that is $what', async ({ store, problem }) => {
    const text = await report({ namespace: 'shop', store });
    expect(text.split('\n')[0]).toMatch(/^1 fault keeps/);
    expect(text).toContain(problem);
    expect(text).not.toContain('s3cret');
  });

  it.each([
    ['all options', 'redis://u:s3cret@localhost'],
    ['several stores', { namespace: 'shop', stores: 'redis://u:s3cret@localhost' }],
    ['the name of one', { namespace: 'shop', stores: { 'redis://u:s3cret@localhost': good } }],
    ['the namespace', { namespace: 'redis://u:s3cret@localhost' }],
  ])('never show an address that was given for %s', async (_, options) => {
    const useFactory = () => options as never;
    const module = await Test.createTestingModule({
      imports: [CacheModule.forRootAsync({ useFactory })],
    })
      .setLogger(silent)
      .compile();
    const { message } = await module.init().then(
      () => ({ message: 'it started' }),
      (error: Error) => error,
    );
    expect(message).toMatch(/^1 fault keeps/);
    expect(message).not.toContain('s3cret');
  });

  it('are told of where a store says itself that it can never do what is asked of it', async () => {
    const store = new MemoryStore(new ManualClock());
    store.check = () => Promise.reject(new Error('it evicts. Fix: set `maxmemory-policy`.'));
    expect(await report({ namespace: 'shop', store: over(store) })).toBe(
      [
        '1 fault keeps the cache from starting.',
        '',
        "1. [CACHE_STORE_UNFIT] the store 'default' cannot be used: it evicts.",
        '   At:  CacheModule.forRoot()',
        '   Fix: set `maxmemory-policy`.',
      ].join('\n'),
    );
  });

  it('are closed again where the application does not start for another reason', async () => {
    const store = new TroubledStore(new MemoryStore(new ManualClock()));
    await report({ namespace: 'no name!', store: over(store) });
    expect(store.closed).toBe(1);
  });
});

describe('the table of contracts', () => {
  it('says at the start where each entity is kept', async () => {
    const said: string[] = [];
    const log = jest
      .spyOn(Logger.prototype, 'log')
      .mockImplementation((message) => void said.push(String(message)));
    const clock = new ManualClock();
    const store = over(new MemoryStore(clock));
    const { module } = await start({ namespace: 'shop', store, stores: { durable: store } }, clock);
    log.mockRestore();
    const table = said.find((message) => message.startsWith('Contracts in force'));
    expect(table).toMatch(/kept in/);
    expect(table).toMatch(/^user .* store 'default'$/m);
    expect(table).toMatch(/^price .* store 'durable' and process$/m);
    await module.close();
  });
});

describe('stores that are out of reach when the application starts', () => {
  it('are named in a warning, and do not keep it from starting, also if they never say so', async () => {
    const said: string[] = [];
    const warn = jest
      .spyOn(Logger.prototype, 'warn')
      .mockImplementation((message) => void said.push(String(message)));
    const clock = new ManualClock();
    const [away, silentOne, there] = [1, 2, 3].map(() => new MemoryStore(clock));
    away!.check = async () => ({ outOfReach: 'nothing listens there. Fix: start it.' });
    let sayLate!: (reason: Error) => void;
    silentOne!.check = () => new Promise((_, reject) => (sayLate = reject));
    const stores = { durable: over(silentOne!), spare: over(there!) };
    const starting = start({ namespace: 'shop', store: over(away!), stores }, clock);
    let started: Awaited<typeof starting> | undefined;
    void starting.then((all) => (started = all));
    while (started === undefined) {
      await new Promise(setImmediate);
      clock.advance(1_000);
    }
    expect(said).toEqual([
      "Out of reach: 'default', 'durable'. The application starts without, each process asks its source for what is kept there, and uses it as soon as it is back.\n" +
        "'default': nothing listens there. Fix: start it.\n" +
        "'durable': it does not say whether it is there",
    ]);
    sayLate(new Error('it evicts. Fix: set `maxmemory-policy`.'));
    await new Promise(setImmediate);
    expect(said.slice(1)).toEqual([
      "[CACHE_STORE_OUT_OF_REACH] The store 'durable' does not do what it is asked: it evicts. Fix: set `maxmemory-policy`.",
    ]);
    warn.mockRestore();
    await started.module.close();
  });
});
