import {
  entity,
  invalidate,
  readThrough,
  staleWhileRevalidate,
  type Defined,
} from 'nestjs-cache-contract';
import { calls } from '../../../lib/read/call-context.js';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source, told } from '../../support/fleet.js';

const swr = staleWhileRevalidate({ ttl: '10s', staleFor: '1m', jitter: 0, loadTimeout: '3s' });
/** Fresh for 10 seconds, stale for a minute; in the store alone. */
const Feeds = entity<Defined>('feed', {
  maxStaleness: { normal: '30s', incident: '2h' },
  read: swr,
  write: invalidate(),
});
/** The same, with a copy in each process. */
const Menus = entity<Defined>('menu', { maxStaleness: '2h', read: swr, write: invalidate() });

const onError = { ttl: '10s', staleIfError: '1m', jitter: 0, loadTimeout: '3s' } as const;
/** Fresh for 10 seconds; stale for a minute once loading has failed. */
const Rates = entity<Defined>('rate', {
  maxStaleness: { normal: '9s', incident: '2h' },
  read: readThrough(onError),
  write: invalidate(),
});
/** The same, with a copy in each process. */
const Shelves = entity<Defined>('shelf', {
  maxStaleness: '2h',
  read: readThrough(onError),
  write: invalidate(),
});

const early = { ttl: '10s', jitter: 0, earlyRefresh: 1 } as const;
const Prices = entity<Defined>('price', {
  maxStaleness: { normal: '5s', incident: '10s' },
  read: readThrough(early),
  write: invalidate(),
});

const Labels = entity<Defined>('label', {
  maxStaleness: '10s',
  read: readThrough(early),
  write: invalidate(),
});

describe('a value that is stale and may be served', () => {
  it.each([Feeds, Menus])(
    'is loaded again once for all processes, behind all callers ($name)',
    async (entity) => {
      const { clock, processes, pass, underWay } = fleet(4);
      await processes[0]!.read(entity, 'a', async () => 'old');
      clock.advance(10_000);
      const answer = deferred<string>();
      let loads = 0;
      const load = () => (loads++, answer.promise);
      for (let round = 0; round < 3; round++) {
        const answers = await Promise.all(processes.map(({ read }) => read(entity, 'a', load)));
        expect(new Set(answers)).toEqual(new Set(['old']));
        await settled();
      }
      expect(loads).toBe(1);
      answer.resolve('new');
      await settled();
      for (const { read } of processes) {
        // The first answer of a process that has its own copy may still be the old one; it hears of the new one then.
        await read(entity, 'a', load);
        await settled();
        expect(await read(entity, 'a', load)).toBe('new');
      }
      expect(loads).toBe(1);
      await pass(100);
      expect(underWay()).toBe(0);
    },
  );

  it('leaves one load behind in each process, however many callers go by while another process loads', async () => {
    const { clock, processes } = fleet(2);
    const [first, second] = processes;
    await first!.read(Feeds, 'a', async () => 'old');
    clock.advance(10_000);
    await first!.read(Feeds, 'a', () => deferred().promise);
    await settled();
    const load = source();
    const joins = await told('join', async () => {
      for (let i = 0; i < 100; i++) expect(await second!.read(Feeds, 'a', load)).toBe('old');
    });
    // The load, its refresh, the timer of its wait and the one of the store's deadline.
    expect(second!.engine.background.size).toBeLessThanOrEqual(4);
    expect(joins).toEqual([]);
    expect(load.runs).toBe(0);
  });

  it('is not loaded behind its callers past another process that is slow to load it', async () => {
    const { clock, processes, pass } = fleet(2);
    const [first, second] = processes;
    await first!.read(Feeds, 'a', async () => 'old');
    clock.advance(10_000);
    void first!.read(Feeds, 'a', () => deferred().promise);
    await settled();
    const load = source();
    expect(await second!.read(Feeds, 'a', load)).toBe('old');
    await pass(2_000);
    expect([load.runs, second!.engine.background.size]).toEqual([0, 0]);
  });

  it('has who accepts nothing stale wait for the load of another process once, also where he joins one behind somebody', async () => {
    const { clock, processes, pass } = fleet(2);
    const [first, second] = processes;
    await first!.read(Feeds, 'a', async () => 'old');
    clock.advance(10_000);
    void first!.read(Feeds, 'a', () => deferred().promise);
    await settled();
    const load = source();
    expect(await second!.read(Feeds, 'a', load)).toBe('old');
    await settled();
    const state = second!.engine.entities.stateOf(Feeds);
    const fresh = { accepts: new Map([[state, 0]]) };
    const insisting = [1, 2, 3].map(() => calls.run(fresh, () => second!.read(Feeds, 'a', load)));
    await pass(1_999);
    expect(load.runs).toBe(0);
    await pass(1);
    expect(await Promise.all(insisting)).toEqual([1, 1, 1]);
    expect(load.runs).toBe(1);
  });

  it('is so from its ttl after its load was allowed, however long that took', async () => {
    const { clock, processes } = fleet(2);
    const [first, second] = processes;
    const slow = deferred<string>();
    const call = first!.read(Feeds, 'a', () => slow.promise);
    await settled();
    clock.advance(2_000);
    slow.resolve('old');
    await call;
    const load = source();
    clock.advance(7_999);
    expect(await second!.read(Feeds, 'a', load)).toBe('old');
    expect(load.runs).toBe(0);
    clock.advance(1);
    expect(await second!.read(Feeds, 'a', load)).toBe('old');
    await settled();
    expect(load.runs).toBe(1);
  });

  it('is served until staleFor and not a millisecond longer, by every process', async () => {
    const { clock, processes } = fleet(2);
    await processes[0]!.read(Feeds, 'a', async () => 'old');
    clock.advance(69_999);
    for (const { peek } of processes) expect(await peek(Feeds, 'a')).toBe('old');
    clock.advance(1);
    for (const { peek } of processes) expect(await peek(Feeds, 'a')).toBeUndefined();
    expect(await processes[1]!.read(Feeds, 'a', async () => 'new')).toBe('new');
  });
});

describe('a value that is about to expire', () => {
  it.each([Prices, Labels])('is loaded early, once for all processes ($name)', async (entity) => {
    const { clock, processes, pass } = fleet(3);
    const slow = deferred<string>();
    const call = processes[0]!.read(entity, 'a', () => slow.promise);
    await settled();
    clock.advance(1_000);
    slow.resolve('old');
    await call;
    for (const { read } of processes) expect(await read(entity, 'a', source())).toBe('old');
    clock.advance(8_500);
    // A load took a second, and half of one is left: with that luck everybody is drawn.
    clock.chance = 0.9;
    const answer = deferred<string>();
    let loads = 0;
    const load = () => (loads++, answer.promise);
    for (const { read } of processes) expect(await read(entity, 'a', load)).toBe('old');
    await settled();
    expect(loads).toBe(1);
    answer.resolve('new');
    clock.chance = 0;
    await pass(501);
    for (const { read } of processes) expect(await read(entity, 'a', load)).toBe('new');
    expect(loads).toBe(1);
  });
});

describe('a load that failed in one process', () => {
  it.each([Rates, Shelves, Feeds, Menus])(
    'keeps the others from asking for as long as they have something acceptable ($name)',
    async (entity) => {
      const { clock, processes } = fleet(3);
      const load = source();
      for (const { read } of processes) expect(await read(entity, 'a', load)).toBe(1);
      load.error = new Error('connection refused');
      clock.advance(10_000);
      expect(await processes[0]!.read(entity, 'a', load)).toBe(1);
      await settled();
      expect(load.runs).toBe(2);
      clock.advance(249);
      for (const { read } of processes) {
        for (let i = 0; i < 3; i++) expect(await read(entity, 'a', load)).toBe(1);
        await settled();
      }
      expect(load.runs).toBe(2);
      clock.advance(1);
      for (const { read } of processes) {
        expect(await read(entity, 'a', load)).toBe(1);
        await settled();
      }
      // One of them tries again; a process that has not failed before rests as long as one that has failed once.
      expect(load.runs).toBe(3);
    },
  );

  it('does not answer those who accept nothing stale: they ask the source together, and what comes is for all', async () => {
    const { clock, processes } = fleet(2);
    const [first, second] = processes;
    const load = source();
    await first!.read(Rates, 'a', load);
    load.error = new Error('connection refused');
    clock.advance(10_000);
    expect(await first!.read(Rates, 'a', load)).toBe(1);
    const state = second!.engine.entities.stateOf(Rates);
    const fresh = { accepts: new Map([[state, 0]]) };
    const insist = () => calls.run(fresh, () => second!.read(Rates, 'a', load));
    const ends = await Promise.allSettled(Array.from({ length: 10 }, insist));
    expect(ends).toEqual(Array(10).fill({ status: 'rejected', reason: load.error }));
    expect(load.runs).toBe(3);
    // For all others it rests.
    expect(await second!.read(Rates, 'a', load)).toBe(1);
    load.error = undefined;
    expect(await Promise.all(Array.from({ length: 10 }, insist))).toEqual(Array(10).fill(4));
    expect(await first!.read(Rates, 'a', load)).toBe(4);
    expect(load.runs).toBe(4);
  });

  it('is over when somebody invalidates, because the source has changed since', async () => {
    const { clock, processes } = fleet(2);
    const [first, second] = processes;
    const load = source();
    await first!.read(Rates, 'a', load);
    load.error = new Error('connection refused');
    clock.advance(10_000);
    await first!.read(Rates, 'a', load);
    load.error = undefined;
    await first!.invalidate(Rates, 'a');
    expect(await second!.read(Rates, 'a', load)).toBe(3);
  });

  it('gives way to the error where staleIfError ends, in every process', async () => {
    const { clock, processes } = fleet(2);
    const load = source();
    for (const { read } of processes) await read(Rates, 'a', load);
    load.error = new Error('connection refused');
    clock.advance(69_999);
    for (const { read } of processes) expect(await read(Rates, 'a', load)).toBe(1);
    clock.advance(1);
    for (const { read } of processes) await expect(read(Rates, 'a', load)).rejects.toBe(load.error);
  });

  it('answers all who waited for it in other processes, without a load of theirs', async () => {
    const { clock, processes } = fleet(3);
    const load = source();
    await processes[0]!.read(Rates, 'a', load);
    clock.advance(10_000);
    const down = deferred<never>();
    let loads = 0;
    const waiting = processes.flatMap(({ read }) =>
      [1, 2].map(() => read(Rates, 'a', () => (loads++, down.promise))),
    );
    await settled();
    down.reject(new Error('connection refused'));
    expect(await Promise.all(waiting)).toEqual(Array(6).fill(1));
    expect(loads).toBe(1);
  });
});
