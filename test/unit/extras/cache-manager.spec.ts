import fc from 'fast-check';
import {
  entity,
  readThrough,
  staleWhileRevalidate,
  writeThrough,
  type Defined,
} from 'nestjs-cache-contract';
import { Cache } from 'nestjs-cache-contract/cache-manager';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source, told } from '../../support/fleet.js';
import { holds } from '../../support/property.js';

const terms = {
  read: readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' }),
  write: writeThrough(),
} as const;
const KINDS = {
  'in the store alone': entity<Defined>('kept', {
    ...terms,
    maxStaleness: { normal: '5s', incident: '1m' },
  }),
  'with a copy in each process': entity<Defined>('copied', { ...terms, maxStaleness: '1m' }),
};

describe.each(Object.entries(KINDS))('CACHE_MANAGER in several processes, %s', (_, kind) => {
  const caches = (size: number) => {
    const world = fleet(size);
    const processes = world.processes.map((process) => ({
      ...process,
      cache: new Cache(process.engine, kind, {}),
    }));
    return { ...world, processes };
  };
  type Process = ReturnType<typeof caches>['processes'][0];

  it('gives what one has set to the others', async () => {
    const { processes } = caches(2);
    const [{ cache: one }, { cache: other }] = processes as [Process, Process];
    await one.set('a', 1);
    expect([await other.get('a'), await other.wrap('a', () => 2)]).toEqual([1, 1]);
    await one.set('a', 3);
    expect(await one.get('a')).toBe(3);
    expect(await one.del('a')).toBe(true);
    expect(await one.get('a')).toBeUndefined();
  });

  it('has what it wrapped where the others find it, however slow the store is', async () => {
    const { processes } = caches(2);
    const [one, other] = processes as [Process, Process];
    one.way.has('held up', ['fill']);
    let got: unknown;
    const raw = one.cache.wrap('a', () => 1, { raw: true }).then((wrapped) => (got = wrapped));
    await settled();
    expect(got).toBeUndefined();
    await one.way.deliver();
    expect(await raw).toEqual({ value: 1, expires: expect.any(Number) });
    expect([await one.cache.get('a'), await other.cache.get('a')]).toEqual([1, 1]);
  });

  it('waits no longer for a store that does not answer than for its deadline', async () => {
    const { processes, pass, underWay } = caches(1);
    const [one] = processes as [Process];
    one.way.has('lost', ['fill']);
    const wrapped = one.cache.wrap('a', () => 1);
    await pass(500);
    expect(await wrapped).toBe(1);
    one.way.recovers();
    await pass(500);
    expect(underWay()).toBe(0);
  });

  it('stores nothing new where the old value could not be removed', async () => {
    const { processes } = caches(2);
    const [one] = processes as [Process];
    await one.cache.set('a', 'old');
    one.way.has('rejected', ['invalidate']);
    one.way.asked.length = 0;
    await one.cache.set('a', 'new');
    expect(new Set(one.way.asked)).toEqual(new Set(['invalidate']));
  });

  it('tells nothing of a refresh that is left to another process', async () => {
    const { processes, clock, pass } = caches(2);
    const [one, other] = processes as [Process, Process];
    const refreshed: unknown[] = [];
    one.cache.on('refresh', (about) => refreshed.push(about));
    const load = source();
    const wrap = ({ cache }: Process, how = load as () => unknown) =>
      cache.wrap('a', how, 10_000, 3_000);
    await wrap(one);
    await wrap(other);
    clock.advance(8_000);
    const loading = deferred<string>();
    await wrap(other, () => loading.promise);
    await settled();
    await wrap(one);
    // Longer than one process waits for another.
    for (let i = 0; i < 5; i++) await pass(500);
    loading.resolve('loaded');
    await pass(0);
    expect([load.runs, refreshed]).toEqual([1, []]);
  });

  it('keeps nothing of what has expired before it was loaded', async () => {
    const { processes } = caches(1);
    const { cache } = processes[0]!;
    expect(await cache.wrap('a', () => 'loaded', -5)).toBe('loaded');
    expect(await cache.get('a')).toBeUndefined();
  });

  it('keeps one of the values that several set at once, in whatever order the store hears of it', async () => {
    const orders = fc.array(fc.nat(2), { minLength: 10, maxLength: 40 });
    const law = fc.asyncProperty(orders, async (order) => {
      const { processes } = caches(5);
      const writers = processes.slice(0, 3);
      const [before, after] = processes.slice(3) as [Process, Process];
      await before.cache.set('a', 'before');
      for (const { way } of writers) way.has('held up');
      let open = writers.length;
      for (const [i, { cache }] of writers.entries()) void cache.set('a', i).then(() => open--);
      await settled();
      for (const i of order) await writers[i]!.way.deliver(1);
      while (open > 0) for (const { way } of writers) await way.deliver(1);
      expect([0, 1, 2]).toContain(await after.cache.get('a'));
    });
    await holds(law, 100);
  });

  it('does not let what was loaded before it replace what is set', async () => {
    const { processes } = caches(3);
    const [one, other, third] = processes as [Process, Process, Process];
    const loading = deferred<string>();
    const wrapped = other.cache.wrap('a', () => loading.promise);
    await settled();
    await one.cache.set('a', 'set');
    loading.resolve('loaded');
    expect([await wrapped, await third.cache.get('a')]).toEqual(['loaded', 'set']);
  });

  it('loads again behind the callers once for all processes', async () => {
    const { processes, clock, pass } = caches(3);
    const load = source();
    const refreshed: unknown[] = [];
    for (const { cache } of processes) cache.on('refresh', (about) => refreshed.push(about));
    const all = () =>
      Promise.all(processes.map(({ cache }) => cache.wrap('a', load, 10_000, 3_000)));
    expect(await all()).toEqual([1, 1, 1]);
    clock.advance(8_000);
    expect(await processes[0]!.cache.wrap('a', load, 10_000, 3_000)).toBe(1);
    await all();
    await pass(0);
    expect([load.runs, refreshed]).toEqual([2, [{ key: 'a', value: 2 }]]);
  });

  it.each(['claim', 'fill'] as const)(
    'does not leave the old value where the store takes no %s of the new one',
    async (command) => {
      const { processes } = caches(2);
      const [one, other] = processes as [Process, Process];
      await one.cache.set('a', 'old');
      one.way.has('rejected', [command]);
      expect(await one.cache.set('a', 'new')).toBe('new');
      expect([await one.cache.get('a'), await other.cache.get('a')]).toEqual([
        undefined,
        undefined,
      ]);
    },
  );

  it('lets nobody wait for a value that cannot be kept', async () => {
    const { processes } = caches(2);
    const [one, other] = processes as [Process, Process];
    await one.cache.set('a', 'old');
    await one.cache.set('a', () => 'a function');
    await one.cache.set('b', 'x'.repeat(5 * 2 ** 20));
    // The time stands still here: who waited for the lease would wait for ever.
    expect(await other.cache.wrap('a', () => 'loaded')).toBe('loaded');
    expect(await other.cache.wrap('b', () => 'loaded')).toBe('loaded');
  });

  it('goes on without the store: nobody here gets the old value, and false says that others may', async () => {
    const { processes, pass } = caches(2);
    const [one, other] = processes as [Process, Process];
    await one.cache.set('a', 'old');
    one.way.has('rejected');
    const faults = await told('fault', async () => {
      expect(await one.cache.set('a', 'new')).toBe('new');
      expect(await one.cache.del('a')).toBe(false);
      expect(await one.cache.mdel(['a', 'b'])).toBe(false);
    });
    expect(new Set(faults.map(({ code }) => code))).toEqual(
      new Set(['CACHE_INVALIDATION_PENDING']),
    );
    expect(await one.cache.get('a')).toBeUndefined();
    expect(await one.cache.wrap('a', () => 'loaded')).toBe('loaded');
    one.way.recovers();
    for (let i = 0; i < 10; i++) await pass(500);
    expect(await other.cache.get('a')).toBeUndefined();
    expect(await one.cache.del('a')).toBe(true);
  });
});

it('keeps neither value where a set overlaps with a write that asks the source', async () => {
  const { processes } = fleet(1);
  const [{ engine, cache: entities }] = processes as [(typeof processes)[0]];
  const Alone = entity<Defined>('alone', { ...terms, maxStaleness: '1m', store: 'process' });
  const cache = new Cache(engine, Alone, {});
  await cache.set('a', 'before');
  const asked = deferred<string>();
  const writing = entities.prime(Alone, 'a', () => asked.promise);
  await cache.set('a', 'set');
  asked.resolve('asked');
  expect([await writing, await cache.get('a')]).toEqual(['asked', undefined]);
});

describe('CACHE_MANAGER over a contract that serves what is stale', () => {
  const Patient = entity<Defined>('patient', {
    ...terms,
    maxStaleness: '2m',
    read: staleWhileRevalidate({ ttl: '30s', staleFor: '1m', jitter: 0 }),
    store: 'process',
  });
  const start = () => {
    const { processes, pass, clock } = fleet(1);
    return { cache: new Cache(processes[0]!.engine, Patient, {}), pass, clock };
  };

  it('gets it without loading, and loads it again behind who wraps', async () => {
    const { cache, pass, clock } = start();
    const load = source();
    await cache.wrap('a', load);
    clock.advance(40_000);
    expect([await cache.get('a'), load.runs]).toEqual([1, 1]);
    expect(await cache.wrap('a', load)).toBe(1);
    await pass(0);
    expect([await cache.get('a'), load.runs]).toEqual([2, 2]);
  });

  it('serves nothing that had expired before it was set, nor what was there', async () => {
    const { cache } = start();
    await cache.set('a', 'old');
    await cache.set('a', 'new', -1);
    expect(await cache.get('a')).toBeUndefined();
  });
});

it('loads nothing for a call that cannot be meant, and says what to write', async () => {
  const { processes } = fleet(1);
  const Kind = entity<Defined>('kind', { ...terms, maxStaleness: '1m', store: 'process' });
  const cache = new Cache(processes[0]!.engine, Kind, {});
  const load = source();
  await expect(cache.wrap('a', load, '5s' as never)).rejects.toThrow(
    "a call of CACHE_MANAGER expected a ttl in milliseconds, got '5s' (string). " +
      "Fix: write a number, such as 60_000 for a minute; '1m' can be written in contracts and in CacheManagerModule.register().",
  );
  const calls = [
    cache.wrap('a', load, { refreshThreshold: NaN }),
    cache.wrap('a', load, 1_000, '1s' as never),
    cache.wrap('', load),
    cache.mset([{ key: 'a', value: 1, ttl: NaN }]),
  ];
  const codes = calls.map((call) => call.catch(({ code }: { code: string }) => code));
  const invalid = 'CACHE_ARGUMENT_INVALID';
  expect(await Promise.all(codes)).toEqual([invalid, invalid, 'CACHE_KEY_INVALID', invalid]);
  expect([load.runs, await cache.get('a')]).toEqual([0, undefined]);
});
