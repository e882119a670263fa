import 'reflect-metadata';
import { Controller, HttpCode, Injectable, Param, Put } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheInvalidationUnacknowledgedError,
  CacheModule,
  Clock,
  entity,
  EntityCache,
  Invalidates,
  invalidate,
  onCacheEvent,
  readThrough,
  WriteThrough,
  writeThrough,
} from 'nestjs-cache-contract';
import { fleet, settled } from '../support/fleet.js';
import { ManualClock } from '../support/manual-clock.js';
import { MemoryLog } from '../support/memory-store/memory-log.js';
import { MemoryStore } from '../support/memory-store/memory-store.js';
import { TroubledStore } from '../support/troubled-store.js';
import { closedLater } from './apps/start.js';

const base = {
  maxStaleness: { normal: '5s', incident: '1m' },
  read: readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' }),
  write: invalidate(),
} as const;
const Rights = entity<string>('right', { ...base, onUnacknowledged: 'fail' });
const Roles = entity<string>('role', { ...base, onUnacknowledged: 'fail' });
const Names = entity<string>('name', base);
const Doors = entity<string>('door', { ...base, prefer: 'error', onUnacknowledged: 'fail' });
const Tables = entity<string>('table', {
  ...base,
  maxStaleness: '1m',
  store: 'process',
  onUnacknowledged: 'fail',
});
const Locks = entity<string>('lock', {
  ...base,
  prefer: 'error',
  write: writeThrough(),
  onUnacknowledged: 'fail',
});
const Prices = entity<number>('price', {
  ...base,
  write: writeThrough(),
  onUnacknowledged: 'fail',
});

const DOWN = new Error('the database is down');

@Injectable()
class Service {
  /** What the database holds: a commit cannot be undone by an error of the cache. */
  readonly written: string[] = [];
  error: Error | undefined;

  @Cached(Rights)
  async rights(id: string): Promise<string> {
    return `rights of ${id} after ${this.written.length} writes`;
  }

  @Invalidates(Rights, (id: string) => id)
  async grant(id: string): Promise<string> {
    return this.write(`granted ${id}`);
  }

  @Invalidates(Rights, { keys: (ids: string[]) => ids })
  async grantAll(ids: string[]): Promise<string> {
    return this.write(`granted ${ids.length}`);
  }

  @Invalidates(Rights, { keysOf: (_: string, id: string) => [id] })
  async grantNew(id: string): Promise<string> {
    return this.write(`granted new ${id}`);
  }

  @Invalidates(Rights, { key: (id: string) => id, when: () => false })
  async grantNothing(id: string): Promise<string> {
    return this.write(`granted nothing to ${id}`);
  }

  @Invalidates(Doors, { keysOf: () => [''] })
  async openSome(id: string): Promise<string> {
    return this.write(`opened ${id}`);
  }

  @WriteThrough(Locks, { keyOf: () => '' })
  async lockSome(id: string): Promise<string> {
    return this.write(`locked ${id}`);
  }

  @Invalidates(Tables, { tags: (id: string) => [id] })
  async lay(id: string): Promise<string> {
    return this.write(`laid ${id}`);
  }

  @Invalidates(Names, (id: string) => id)
  async rename(id: string): Promise<string> {
    return this.write(`renamed ${id}`);
  }

  @Invalidates(Names, (id: string) => id)
  @Invalidates(Rights, (id: string) => id)
  @Invalidates(Roles, (id: string) => id)
  @WriteThrough(Prices, { keyOf: () => 'dear' })
  async promote(id: string): Promise<number> {
    return this.write(`promoted ${id}`).length;
  }

  @WriteThrough(Prices, (id: string) => id)
  async price(id: string, cents: number): Promise<number> {
    this.write(`priced ${id}`);
    return cents;
  }

  private write(what: string): string {
    if (this.error !== undefined) throw this.error;
    this.written.push(what);
    return what;
  }
}

@Controller('rights')
class Rest {
  constructor(private readonly service: Service) {}

  @Put(':id')
  @HttpCode(204)
  grant(@Param('id') id: string): Promise<string> {
    return this.service.grant(id);
  }
}

/** One process of an application, of which the way to the store may have trouble, and another that has none. */
async function shop({ log = false } = {}) {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const way = new TroubledStore(store);
  const told = log ? new MemoryLog().way() : undefined;
  way.log = told;
  const module = await Test.createTestingModule({
    imports: [
      CacheModule.forRoot({ namespace: 'shop', store: { deadlineMs: 100, open: () => way } }),
    ],
    providers: [Service],
    controllers: [Rest],
  })
    .overrideProvider(Clock)
    .useValue(clock)
    .compile();
  const app = closedLater(module.createNestApplication({ logger: false }));
  await app.init();
  const others = fleet(1, () => store).processes[0]!;
  /** What stands in the store, as others see it. */
  const seen = async (entity: string, id: string) =>
    (await store.read({ entity, id })) !== undefined;
  const pass = async (ms: number) => {
    await settled();
    clock.advance(ms);
    await settled();
  };
  const service = app.get(Service);
  return {
    app,
    service,
    cache: app.get(EntityCache),
    way,
    told,
    others,
    seen,
    pass,
  };
}

async function failed(call: Promise<unknown>): Promise<CacheInvalidationUnacknowledgedError> {
  const error: unknown = await call.then(
    (value) => `it resolved to ${String(value)}`,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(CacheInvalidationUnacknowledgedError);
  return error as CacheInvalidationUnacknowledgedError;
}

/** The codes of the faults that are told meanwhile. */
async function faultsOf(during: () => Promise<unknown>): Promise<string[]> {
  const codes: string[] = [];
  const stop = onCacheEvent('fault', ({ code }) => codes.push(code));
  await during().finally(stop);
  return codes;
}

const PENDING = 'CACHE_INVALIDATION_PENDING';

describe("methods that change an entity with onUnacknowledged: 'fail'", () => {
  it('resolve to their result where the store acknowledges', async () => {
    const { service, cache } = await shop();
    expect(await service.grant('a')).toBe('granted a');
    expect(await service.grantAll(['a', 'b'])).toBe('granted 2');
    expect(await service.grantNew('a')).toBe('granted new a');
    expect(await service.promote('a')).toBe('promoted a'.length);
    expect(await service.price('a', 5)).toBe(5);
    expect(await cache.prime(Prices, 'a', async () => 6)).toBe(6);
    expect(await cache.invalidate(Rights, 'a')).toBe('acknowledged');
  });

  it.each([
    { method: '@Invalidates(key)', run: (s: Service) => s.grant('a'), result: 'granted a' },
    { method: '@Invalidates(keys)', run: (s: Service) => s.grantAll(['a']), result: 'granted 1' },
    {
      method: '@Invalidates(keysOf)',
      run: (s: Service) => s.grantNew('a'),
      result: 'granted new a',
    },
  ])(
    'reject where it does not, with the result of what they have written: $method',
    async ({ run, result }) => {
      const { service, way, others, seen, pass } = await shop();
      expect(await service.rights('a')).toBe('rights of a after 0 writes');
      expect(await seen('right', 'a')).toBe(true);
      way.has('rejected', ['invalidate']);
      let error!: CacheInvalidationUnacknowledgedError;
      const codes = await faultsOf(async () => void (error = await failed(run(service))));
      expect([error.result, error.entities, codes]).toEqual([result, ['right'], [PENDING]]);
      expect(service.written).toEqual([result]);
      // In force here, and told again until others know too.
      expect(await service.rights('a')).toBe('rights of a after 1 writes');
      expect(await seen('right', 'a')).toBe(true);
      way.recovers();
      await pass(500);
      expect(await seen('right', 'a')).toBe(false);
      expect(await others.read(Rights, 'a', async () => 'new')).toBe('new');
      expect(await service.rights('a')).toBe('new');
      expect(service.written).toEqual([result]);
    },
  );

  it("resolve as before with 'pending', which is the standard", async () => {
    const { service, way, cache } = await shop();
    way.has('rejected');
    const codes = await faultsOf(async () => {
      expect(await service.rename('a')).toBe('renamed a');
      expect(await cache.invalidate(Names, 'a')).toBe('pending');
    });
    expect(codes).toEqual([PENDING, PENDING]);
    expect(cache.contract(Names).onUnacknowledged).toBe('pending');
    expect(cache.contract(Rights).onUnacknowledged).toBe('fail');
  });

  it.each([
    {
      method: '@Invalidates(keysOf)',
      run: (s: Service) => s.openSome('a'),
      result: 'opened a',
      entity: 'door',
    },
    {
      method: '@WriteThrough(keyOf)',
      run: (s: Service) => s.lockSome('a'),
      result: 'locked a',
      entity: 'lock',
    },
  ])(
    'reject where nobody knows which keys changed, and others cannot be told that all of them may have: $method',
    async ({ run, result, entity }) => {
      const { service } = await shop();
      let error!: CacheInvalidationUnacknowledgedError;
      const codes = await faultsOf(async () => void (error = await failed(run(service))));
      expect([error.result, error.entities]).toEqual([result, [entity]]);
      expect(codes.sort()).toEqual([PENDING, 'CACHE_KEYS_UNKNOWN']);
      service.error = DOWN;
      await expect(run(service)).rejects.toBe(DOWN);
    },
  );

  it('resolve where entries are kept in the process, also if others could not be told of a tag', async () => {
    const { service, cache, told } = await shop({ log: true });
    expect(await service.lay('a')).toBe('laid a');
    told!.answers = 'none';
    expect(await cache.invalidateTag('a')).toBe('pending');
    expect(await service.lay('a')).toBe('laid a');
  });

  it('resolve where nothing was to be invalidated', async () => {
    const { service, way } = await shop();
    way.has('rejected');
    expect(await service.grantNothing('a')).toBe('granted nothing to a');
  });

  it('wait for all keys, of which some may be acknowledged', async () => {
    const { service, way, seen, pass } = await shop();
    for (const id of ['a', 'b', 'c']) await service.rights(id);
    way.has('held up', ['invalidate']);
    const call = failed(service.grantAll(['a', 'b', 'c']));
    await settled();
    await way.deliver(1);
    await pass(100);
    expect((await call).result).toBe('granted 3');
    expect(await Promise.all(['a', 'b', 'c'].map((id) => seen('right', id)))).toEqual([
      false,
      true,
      true,
    ]);
    way.recovers();
    for (let round = 0; round < 2; round++) await pass(500);
    expect(await Promise.all(['b', 'c'].map((id) => seen('right', id)))).toEqual([false, false]);
  });

  it('name each entity that failed, once all of the decorators have been carried out', async () => {
    const { service, way, cache, seen, pass } = await shop();
    for (const kind of [Names, Rights, Roles]) await cache.get(kind, 'a', async () => 'old');
    await cache.get(Prices, 'dear', async () => 1);
    way.has('rejected', ['claim', 'fill', 'invalidate']);
    let error!: CacheInvalidationUnacknowledgedError;
    const codes = await faultsOf(async () => void (error = await failed(service.promote('a'))));
    expect(codes).toEqual(Array(4).fill(PENDING));
    expect([...error.entities].sort()).toEqual(['price', 'right', 'role']);
    expect(error.result).toBe('promoted a'.length);
    expect(error.message).toMatch(
      /^Entries of '\w+', '\w+' and '\w+' were invalidated, and the store 'default' did not/,
    );
    way.recovers();
    for (let round = 0; round < 2; round++) await pass(500);
    const left = [seen('name', 'a'), seen('right', 'a'), seen('role', 'a'), seen('price', 'dear')];
    expect(await Promise.all(left)).toEqual([false, false, false, false]);
  });

  it('reject with their own error where they throw, whatever becomes of the invalidation', async () => {
    const { service, way, seen, pass } = await shop();
    await service.rights('a');
    way.has('rejected', ['claim', 'fill', 'invalidate']);
    service.error = DOWN;
    const calls = [
      () => service.grant('a'),
      () => service.grantAll(['a']),
      () => service.grantNew('a'),
      () => service.promote('a'),
      () => service.price('a', 5),
    ];
    for (const call of calls) await expect(call()).rejects.toBe(DOWN);
    // A commit whose answer was lost still wrote.
    way.recovers();
    for (let round = 0; round < 2; round++) await pass(500);
    expect(await seen('right', 'a')).toBe(false);
  });

  it('that are written through reject where others may see what was before', async () => {
    const { service, way, cache, others, pass } = await shop();
    await cache.get(Prices, 'a', async () => 1);
    way.has('rejected', ['claim', 'fill', 'invalidate']);
    const error = await failed(service.price('a', 5));
    expect([error.result, error.entities]).toEqual([5, ['price']]);
    expect(await others.read(Prices, 'a', async () => 5)).toBe(1);
    expect(await cache.get(Prices, 'a', async () => 5)).toBe(5);
    way.recovers();
    await pass(500);
    expect(await others.read(Prices, 'a', async () => 5)).toBe(5);
  });

  it('that are written through resolve where the value is not stored, and nobody sees what was before', async () => {
    const { service, way, cache, others } = await shop();
    await cache.get(Prices, 'a', async () => 1);
    way.has('rejected', ['claim', 'fill']);
    expect(await service.price('a', 5)).toBe(5);
    expect(await others.peek(Prices, 'a')).toBeUndefined();
  });

  it('of a cache that is primed reject with what was loaded, and with the error of the loader', async () => {
    const { cache, way } = await shop();
    way.has('rejected');
    expect((await failed(cache.prime(Prices, 'a', async () => 6))).result).toBe(6);
    await expect(cache.prime(Prices, 'a', () => Promise.reject(DOWN))).rejects.toBe(DOWN);
  });

  it('are answered by Nest with a status that asks for no second attempt, and without their data', async () => {
    const { app, service, way } = await shop();
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    const put = () => fetch(`${url}/rights/ada`, { method: 'PUT' });
    expect((await put()).status).toBe(204);
    way.has('rejected', ['invalidate']);
    const answer = await put();
    expect([answer.status, answer.headers.get('retry-after'), await answer.json()]).toEqual([
      500,
      null,
      { statusCode: 500, message: 'Internal server error' },
    ]);
    expect(service.written).toEqual(['granted ada', 'granted ada']);
  });
});
