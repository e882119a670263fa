import { entity, invalidate, readThrough, type Defined } from 'nestjs-cache-contract';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source, told } from '../../support/fleet.js';

const times = { ttl: '10s', negativeTtl: '2s', jitter: 0, loadTimeout: '3s' } as const;

/** Kept in the store alone: a copy could be older than it promises. */
const Stocks = entity<Defined>('stock', {
  maxStaleness: { normal: '5s', incident: '10s' },
  read: readThrough(times),
  write: invalidate(),
});
/** Kept in each process as well. */
const Texts = entity<Defined>('text', {
  maxStaleness: '10s',
  read: readThrough(times),
  write: invalidate(),
});

describe('a key that is missing', () => {
  it.each([Stocks, Texts])(
    'is loaded once for all callers of all processes ($name)',
    async (entity) => {
      const { processes, underWay, pass } = fleet(5);
      const answer = deferred<string>();
      let loads = 0;
      const load = () => (loads++, answer.promise);
      const callers = processes.flatMap(({ read }) =>
        Array.from({ length: 20 }, () => read(entity, 'a', load)),
      );
      await settled();
      expect(loads).toBe(1);
      answer.resolve('loaded');
      // Nobody needs a timer to be told: no time goes by.
      expect(new Set(await Promise.all(callers))).toEqual(new Set(['loaded']));
      expect(loads).toBe(1);
      await pass(100);
      expect(underWay()).toBe(0);
    },
  );

  it('is not loaded again by a process that comes later', async () => {
    const { processes } = fleet(3);
    const load = source();
    for (const { read } of processes) expect(await read(Stocks, 'a', load)).toBe(1);
    expect(load.runs).toBe(1);
  });

  it('holds up no other key, nor the same key of another entity', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    void first!.read(Stocks, 'a', () => deferred().promise);
    await settled();
    expect(await second!.read(Stocks, 'b', async () => 'b')).toBe('b');
    expect(await second!.read(Texts, 'a', async () => 'text')).toBe('text');
  });

  it('is fresh for its ttl from the moment its load was allowed, whoever loaded it and however long that took', async () => {
    const { clock, processes } = fleet(2);
    const [first, second] = processes;
    const slow = deferred<string>();
    const call = first!.read(Stocks, 'a', () => slow.promise);
    await settled();
    clock.advance(2_000);
    slow.resolve('old');
    await call;
    clock.advance(7_999);
    expect(await second!.read(Stocks, 'a', async () => 'new')).toBe('old');
    clock.advance(1);
    expect(await second!.read(Stocks, 'a', async () => 'new')).toBe('new');
  });
});

describe('what another process was allowed to load', () => {
  const slowly = async () => {
    const test = fleet(2);
    const slow = deferred<string>();
    const call = test.processes[0]!.read(Stocks, 'a', () => slow.promise);
    await settled();
    test.clock.advance(2_000);
    slow.resolve('loaded');
    await call;
    await settled();
    return test;
  };

  it('is as old as its load, however long that took', async () => {
    const { processes } = await slowly();
    const hits = await told('hit', () => processes[1]!.read(Stocks, 'a', source()));
    expect(hits.map(({ ageMs }) => ageMs)).toEqual([2_000]);
  });

  it('is in the store until it is of no use to anybody, and no longer', async () => {
    const { clock, store } = await slowly();
    const entry = { entity: 'stock', id: 'a' };
    clock.advance(7_999);
    expect(await store.read(entry)).toBeDefined();
    clock.advance(1);
    expect(await store.read(entry)).toBeUndefined();
  });
});

describe('a process whose load does not come to an end', () => {
  it('is followed by another one when its lease is over, for it may be dead', async () => {
    const { processes, pass } = fleet(3);
    const [dead, second, third] = processes;
    // Its engine never settles it, and no time-out of its own helps: it is another process, and gone.
    dead!.engine.background.after = () => () => undefined;
    void dead!.read(Stocks, 'a', () => deferred().promise);
    await settled();
    // 3.5 seconds of lease, of which the others see the last one.
    await pass(2_500);
    const load = source();
    const calls = [second!.read(Stocks, 'a', load), third!.read(Stocks, 'a', load)];
    await settled();
    await pass(999);
    expect(load.runs).toBe(0);
    await pass(51);
    expect(await Promise.all(calls)).toEqual([1, 1]);
    expect(load.runs).toBe(1);
    expect(await second!.read(Stocks, 'a', load)).toBe(1);
  });

  it('is not followed by all others at once: each asks at a moment of its own', async () => {
    const { clock, processes, pass } = fleet(2);
    const [dead, second] = processes;
    dead!.engine.background.after = () => () => undefined;
    void dead!.read(Stocks, 'a', () => deferred().promise);
    await pass(2_500);
    const load = source();
    clock.chance = 0.9;
    const call = second!.read(Stocks, 'a', load);
    // Up to 50 milliseconds after the end of the lease.
    await pass(1_044);
    expect(load.runs).toBe(0);
    await pass(1);
    expect(await call).toBe(1);
  });

  it('is waited for by all callers of a process together, however long its loadTimeout is over', async () => {
    const Quick = entity<Defined>('quick', {
      maxStaleness: { normal: '5s', incident: '10s' },
      read: readThrough({ ttl: '10s', jitter: 0, loadTimeout: '1s' }),
      write: invalidate(),
    });
    const { processes, pass } = fleet(3);
    const [dead, second, third] = processes;
    dead!.engine.background.after = () => () => undefined;
    void dead!.read(Quick, 'a', () => deferred().promise);
    await settled();
    const load = source();
    const first = second!.read(Quick, 'a', load);
    await pass(1_200);
    const later = second!.read(Quick, 'a', load);
    await pass(350);
    expect(await Promise.all([first, later])).toEqual([1, 1]);
    expect(await third!.read(Quick, 'a', load)).toBe(1);
  });

  it('is waited for 2 seconds; then a process loads for itself, and stores nothing', async () => {
    const { clock, processes, pass } = fleet(3);
    const [first, second, third] = processes;
    const slow = deferred<string>();
    const call = first!.read(Stocks, 'a', () => slow.promise);
    await settled();
    const load = source();
    const impatient = [1, 2, 3].map(() => second!.read(Stocks, 'a', load));
    await pass(1_999);
    expect(load.runs).toBe(0);
    await pass(1);
    expect(await Promise.all(impatient)).toEqual([1, 1, 1]);
    expect(load.runs).toBe(1);
    expect(await third!.peek(Stocks, 'a')).toBeUndefined();
    slow.resolve('first');
    expect(await call).toBe('first');
    await settled();
    expect(await third!.read(Stocks, 'a', load)).toBe('first');
    expect(clock.monotonic()).toBe(3_000);
  });

  it('does not store what it brings when its lease is over: something newer may be there', async () => {
    const { processes, pass, clock } = fleet(2);
    const [slow, second] = processes;
    const late = deferred<string>();
    const call = slow!.read(Stocks, 'a', () => late.promise);
    await settled();
    // It sleeps, timers and all, until after its lease.
    clock.stall(3_500);
    expect(await second!.read(Stocks, 'a', async () => 'newer')).toBe('newer');
    const fills = await told('fill', async () => {
      late.resolve('older');
      expect(await call).toBe('older');
      await settled();
    });
    expect(fills.map(({ outcome }) => outcome)).toEqual(['invalidated meanwhile']);
    for (const { read } of [slow!, second!]) {
      expect(await read(Stocks, 'a', async () => 'not asked')).toBe('newer');
    }
    await pass(3_000);
  });

  it('is told what it is for a single process too: nothing after its loadTimeout, and the next caller loads', async () => {
    const { processes, pass } = fleet(2);
    const [first, second] = processes;
    const call = first!.read(Stocks, 'a', () => deferred().promise);
    const failed = expect(call).rejects.toMatchObject({ code: 'CACHE_LOAD_TIMEOUT' });
    await settled();
    await pass(3_000);
    await failed;
    // The pause after a failure is for those who have something else to answer with.
    expect(await second!.read(Stocks, 'a', async () => 'loaded')).toBe('loaded');
  });
});

describe('a loader that fails', () => {
  it('is asked once by its process, and its own error reaches its callers unchanged', async () => {
    const { processes, pass, underWay } = fleet(2);
    const load = source();
    load.error = new Error('connection refused');
    const calls = [1, 2, 3].map(() => processes[0]!.read(Stocks, 'a', load));
    for (const call of calls) await expect(call).rejects.toBe(load.error);
    expect(load.runs).toBe(1);
    await pass(100);
    expect(underWay()).toBe(0);
  });

  it('keeps nobody waiting in another process: who waited for it asks at once, one after another', async () => {
    const { clock, processes } = fleet(3);
    const gate = deferred<void>();
    let [running, most, loads] = [0, 0, 0];
    const load = async () => {
      loads++;
      most = Math.max(most, ++running);
      await gate.promise;
      running--;
      throw new Error(`refused ${loads}`);
    };
    const calls = processes.map(({ read }) => read(Stocks, 'a', load));
    const outcomes = Promise.allSettled(calls);
    await settled();
    gate.resolve();
    const messages = (await outcomes).map(
      (outcome) => (outcome as { reason: Error }).reason.message,
    );
    expect(messages.sort()).toEqual(['refused 1', 'refused 2', 'refused 3']);
    expect(most).toBe(1);
    expect(clock.monotonic()).toBe(1_000);
  });
});

describe('what the source says is not there', () => {
  it('is remembered for all processes, for negativeTtl', async () => {
    const { clock, processes } = fleet(3);
    const load = source();
    const absent = async () => (await load(), null);
    for (const { read } of processes) expect(await read(Stocks, 'a', absent)).toBeNull();
    clock.advance(1_999);
    for (const { read } of processes) expect(await read(Stocks, 'a', absent)).toBeNull();
    expect(load.runs).toBe(1);
    clock.advance(1);
    for (const { read } of processes) expect(await read(Stocks, 'a', absent)).toBeNull();
    expect(load.runs).toBe(2);
  });
});

describe('loads inside loads', () => {
  it('of two processes that wait for each other end after 2 seconds, not never', async () => {
    const { processes, pass, underWay } = fleet(2);
    const [first, second] = processes;
    const met = deferred<void>();
    let begun = 0;
    const meet = async () => {
      if (++begun === 2) met.resolve();
      await met.promise;
    };
    const outer = (process: typeof first, inner: string) => async () => {
      await meet();
      return `around ${String(await process!.read(Stocks, inner, async () => `own ${inner}`))}`;
    };
    const calls = [
      first!.read(Stocks, 'a', outer(first, 'b')),
      second!.read(Stocks, 'b', outer(second, 'a')),
    ];
    await settled();
    await pass(2_000);
    expect(await Promise.all(calls)).toEqual(['around own b', 'around own a']);
    await pass(100);
    expect(underWay()).toBe(0);
  });

  it('of the same key run past the cache, as in a single process', async () => {
    const { clock, processes } = fleet(1);
    const [{ read }] = processes as [(typeof processes)[0]];
    const load = () => read(Stocks, 'a', async () => 'inner');
    expect(await read(Stocks, 'a', load)).toBe('inner');
    expect(clock.monotonic()).toBe(1_000);
  });
});
