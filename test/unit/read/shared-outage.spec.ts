import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source, told } from '../../support/fleet.js';

const read = readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' });
/** In the store alone. */
const Users = entity<string>('user', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read,
  write: invalidate(),
});
/** With a copy in each process. */
const Texts = entity<string>('text', { maxStaleness: '1m', read, write: invalidate() });

describe('a store that fails', () => {
  it.each(['rejected', 'thrown'] as const)(
    'is nobody’s error: callers get what the source says, and each time it is told (%s)',
    async (trouble) => {
      const { processes, pass, underWay } = fleet(1);
      const [{ way, read }] = processes as [(typeof processes)[0]];
      way.has(trouble);
      const load = source();
      const faults = await told('fault', async () => {
        for (let i = 1; i <= 20; i++) expect(await read(Users, 'a', load)).toBe(i);
      });
      expect(new Set(faults.map(({ code }) => code))).toEqual(
        new Set(['CACHE_STORE_OUT_OF_REACH']),
      );
      expect(faults.length).toBeGreaterThanOrEqual(20);
      expect(load.runs).toBe(20);
      await pass(100);
      expect(underWay()).toBe(0);
    },
  );

  it('is logged once for each entity, in words that say what happens meanwhile', async () => {
    const { processes } = fleet(1);
    const [{ way, read, warnings }] = processes as [(typeof processes)[0]];
    way.has('rejected');
    for (let i = 0; i < 5; i++) await read(Users, `${i}`, source());
    expect(warnings).toEqual([
      "[CACHE_STORE_OUT_OF_REACH] The store 'default' is out of reach, or gave no answer in time. Calls of 'user' ask the source until it does. Further ones are only told as 'fault' events.",
    ]);
  });

  it('does not come between a caller and his loader’s own error, and the loader runs once', async () => {
    const { processes } = fleet(1);
    const [{ way, read }] = processes as [(typeof processes)[0]];
    way.has('rejected');
    const load = source();
    load.error = new Error('no such row');
    await expect(read(Users, 'a', load)).rejects.toBe(load.error);
    expect(load.runs).toBe(1);
  });

  it('keeps one load for all callers of one process, as where there is no store', async () => {
    const { processes } = fleet(1);
    const [{ way, read }] = processes as [(typeof processes)[0]];
    way.has('rejected');
    const answer = deferred<string>();
    let loads = 0;
    const callers = Array.from({ length: 50 }, () =>
      read(Users, 'a', () => (loads++, answer.promise)),
    );
    await settled();
    answer.resolve('loaded');
    expect(new Set(await Promise.all(callers))).toEqual(new Set(['loaded']));
    expect(loads).toBe(1);
  });

  it('leaves a process what it may keep itself', async () => {
    const { processes } = fleet(1);
    const [{ way, read }] = processes as [(typeof processes)[0]];
    way.has('rejected');
    const load = source();
    await read(Texts, 'a', load);
    expect(await read(Texts, 'a', load)).toBe(1);
    expect(load.runs).toBe(1);
  });

  it('only at storing: the value is the caller’s, the failure is told, and nobody waits for a lease that is of no use', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    first!.way.has('rejected', ['fill']);
    const faults = await told('fault', async () => {
      expect(await first!.read(Users, 'a', async () => 'loaded')).toBe('loaded');
      await settled();
    });
    expect(faults.map(({ code }) => code)).toEqual(['CACHE_STORE_OUT_OF_REACH']);
    expect(await second!.peek(Users, 'a')).toBeUndefined();
    const load = source();
    expect(await second!.read(Users, 'a', load)).toBe(1);
    await settled();
    expect(await first!.peek(Users, 'a')).toBe(1);
  });

  it('only at giving a lease back: that is told too', async () => {
    const { processes } = fleet(1);
    const [{ way, read }] = processes as [(typeof processes)[0]];
    way.has('rejected', ['fail']);
    const load = source();
    load.error = new Error('connection refused');
    const faults = await told('fault', async () => {
      await expect(read(Users, 'a', load)).rejects.toBe(load.error);
      await settled();
    });
    expect(faults.map(({ code }) => code)).toEqual(['CACHE_STORE_OUT_OF_REACH']);
  });

  it('and peek sees nothing, and is no error', async () => {
    const { processes } = fleet(1);
    const [{ way, peek }] = processes as [(typeof processes)[0]];
    way.has('rejected');
    expect(await peek(Users, 'a')).toBeUndefined();
  });
});

describe('a store that answers and takes nothing', () => {
  it('has each process load for itself, and it is told that the store is full or a replica', async () => {
    const { processes } = fleet(1);
    const [{ way, read, warnings }] = processes as [(typeof processes)[0]];
    way.lease = async () => ({ outcome: 'refused' });
    const load = source();
    const faults = await told('fault', async () => {
      expect(await read(Users, 'a', load)).toBe(1);
      expect(await read(Users, 'a', load)).toBe(2);
    });
    expect(faults.map(({ code }) => code)).toEqual(Array(2).fill('CACHE_STORE_OUT_OF_REACH'));
    expect(warnings).toEqual([
      "[CACHE_STORE_OUT_OF_REACH] The store 'default' takes nothing: it is full, a replica, or short of replicas (min-replicas-to-write). Each process loads 'user' for itself until it does. Further ones are only told as 'fault' events.",
    ]);
  });
});

describe('a store that never answers', () => {
  it('costs five calls their deadline, and then nobody anything', async () => {
    const { processes, pass } = fleet(1);
    const [{ way, read }] = processes as [(typeof processes)[0]];
    way.has('lost');
    const load = source();
    for (let i = 0; i < 5; i++) {
      const call = read(Users, `${i}`, load);
      await pass(100);
      expect(await call).toBe(i + 1);
    }
    way.asked.length = 0;
    for (let i = 5; i < 100; i++) expect(await read(Users, `${i}`, load)).toBe(i + 1);
    expect(way.asked).toEqual([]);
  });

  it('is tried every 500 ms, and used again by all after one answer', async () => {
    const { processes, pass } = fleet(2);
    const [first, second] = processes;
    first!.way.has('rejected');
    for (let i = 0; i < 5; i++) await first!.read(Users, 'a', source());
    await second!.read(Users, 'a', async () => 'shared');
    first!.way.recovers();
    expect(await first!.read(Users, 'a', async () => 'own')).toBe('own');
    await pass(500);
    expect(await first!.read(Users, 'a', source())).toBe('shared');
    expect(await first!.read(Users, 'a', source())).toBe('shared');
  });

  it('does not keep the application from closing, and leaves nothing behind', async () => {
    const { clock, processes, pass, underWay } = fleet(1);
    const [{ way, read, peek, engine }] = processes as [(typeof processes)[0]];
    way.has('lost');
    const calls = [read(Users, 'a', async () => 'a'), read(Users, 'b', async () => 'b')];
    const look = peek(Users, 'c');
    const closing = engine.close();
    for (let i = 0; i < 3; i++) await pass(100);
    await closing;
    expect(await Promise.all(calls)).toEqual(['a', 'b']);
    expect(await look).toBeUndefined();
    await pass(100);
    expect([underWay(), clock.pending, way.closed]).toEqual([0, 0, 1]);
  });
});

describe('the end of an application', () => {
  it('lets callers have their answers, stores nothing, and closes the store after that', async () => {
    const { clock, processes, pass, underWay } = fleet(2);
    const [first, second] = processes;
    const slow = deferred<string>();
    const call = first!.read(Users, 'a', () => slow.promise);
    await settled();
    const waiting = second!.read(Users, 'a', async () => 'second');
    await settled();
    const closing = first!.engine.close();
    await settled();
    expect(first!.way.closed).toBe(0);
    slow.resolve('first');
    expect(await call).toBe('first');
    await pass(100);
    await closing;
    expect(first!.way.closed).toBe(1);
    // Who waited for it in another process does not wait any longer.
    expect(await waiting).toBe('second');
    // From now on the method runs, without a look at the store.
    first!.way.asked.length = 0;
    expect(await first!.read(Users, 'a', async () => 'past it')).toBe('past it');
    expect(first!.way.asked).toEqual([]);
    await pass(100);
    expect([underWay(), clock.pending]).toEqual([0, 0]);
  });

  it('does not wait longer than 2 seconds for the load of another process', async () => {
    const { processes, pass } = fleet(2);
    const [first, second] = processes;
    void first!.read(Users, 'a', () => deferred().promise);
    await settled();
    const call = second!.read(Users, 'a', async () => 'second');
    await settled();
    let closed = false;
    const closing = second!.engine.close().then(() => (closed = true));
    await pass(1_999);
    expect(closed).toBe(false);
    await pass(1);
    await closing;
    expect(await call).toBe('second');
  });
});
