import { entity, invalidate, readThrough, staleWhileRevalidate } from 'nestjs-cache-contract';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source, told } from '../../support/fleet.js';

interface Row {
  readonly text: string;
  readonly version: number;
}

const read = readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' });
/** In the store alone. */
const Users = entity<string>('user', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read,
  write: invalidate(),
});
/** With a copy in each process. */
const Texts = entity<string>('text', { maxStaleness: '1m', read, write: invalidate() });
/** With a version, and replicas that lag. */
const Rows = entity<Row>('row', {
  maxStaleness: { normal: '5s', incident: '2m' },
  read: readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' }),
  write: invalidate(),
  version: ({ version }) => version,
});
const row = (version: number) => async () => ({ text: 'row', version });

describe('an invalidation that is acknowledged', () => {
  it('leaves no process the old value, wherever it was loaded', async () => {
    const { processes } = fleet(3);
    const [first, second, third] = processes;
    for (const { read } of processes) await read(Users, 'a', async () => 'old');
    expect(await second!.invalidate(Users, 'a')).toBe('acknowledged');
    expect(await first!.peek(Users, 'a')).toBeUndefined();
    expect(await third!.read(Users, 'a', async () => 'new')).toBe('new');
    for (const { read } of processes) expect(await read(Users, 'a', source())).toBe('new');
  });

  it('leaves its own process no copy either', async () => {
    const { processes } = fleet(2);
    for (const { read } of processes) await read(Texts, 'a', async () => 'old');
    await processes[0]!.invalidate(Texts, 'a');
    expect(await processes[0]!.read(Texts, 'a', async () => 'new')).toBe('new');
  });

  it('leaves a copy in another process that is as old as its contract bears, and no older', async () => {
    const { clock, processes } = fleet(2);
    const [first, second] = processes;
    await first!.read(Texts, 'a', async () => 'old');
    clock.advance(50_000);
    // A copy has the end of what it was copied from, not a ttl of its own.
    await second!.read(Texts, 'a', source());
    await first!.invalidate(Texts, 'a');
    clock.advance(9_999);
    expect(await second!.read(Texts, 'a', source())).toBe('old');
    clock.advance(1);
    expect(await second!.read(Texts, 'a', async () => 'new')).toBe('new');
  });

  it('keeps a load from being stored that another process began before it', async () => {
    const { processes } = fleet(3);
    const [loading, invalidating, third] = processes;
    const slow = deferred<string>();
    const call = loading!.read(Users, 'a', () => slow.promise);
    await settled();
    await invalidating!.invalidate(Users, 'a');
    const fills = await told('fill', async () => {
      slow.resolve('old');
      expect(await call).toBe('old');
      await settled();
    });
    expect(fills.map(({ outcome }) => outcome)).toEqual(['invalidated meanwhile']);
    expect(await third!.read(Users, 'a', async () => 'new')).toBe('new');
    expect(await loading!.read(Users, 'a', source())).toBe('new');
  });

  it('has those who waited for such a load in other processes load for themselves, at once', async () => {
    const { clock, processes } = fleet(3);
    const [loading, waiting, invalidating] = processes;
    void loading!.read(Users, 'a', () => deferred<string>().promise);
    await settled();
    const call = waiting!.read(Users, 'a', async () => 'new');
    await settled();
    await invalidating!.invalidate(Users, 'a');
    expect(await call).toBe('new');
    expect(clock.monotonic()).toBe(1_000);
  });

  it('hands what was there to nobody who asks a loadTimeout later, however late the store answers who asked before', async () => {
    const Quick = entity<string>('quick', {
      maxStaleness: { normal: '5s', incident: '1m' },
      read: readThrough({ ttl: '1m', jitter: 0, loadTimeout: '50ms' }),
      write: invalidate(),
    });
    const { processes, pass } = fleet(2);
    const [first, second] = processes;
    second!.way.has('answered late', ['read', 'lease']);
    const load = source();
    const before = second!.read(Quick, 'a', load);
    await settled();
    await first!.read(Quick, 'a', async () => 'old');
    // What was read was nothing; the lease that is asked for then finds the old value.
    await second!.way.deliver(1);
    await first!.invalidate(Quick, 'a');
    await pass(49);
    second!.way.has('answered late', ['lease']);
    const joining = second!.read(Quick, 'a', load);
    await pass(1);
    second!.way.recovers();
    const after = second!.read(Quick, 'a', async () => 'new');
    await settled();
    await second!.way.deliver();
    expect(await after).toBe('new');
    // Those share one answer, whichever that is.
    expect(new Set(await Promise.all([before, joining])).size).toBe(1);
    expect(load.runs).toBe(0);
  });

  it('is of one entry: another key and another entity keep theirs', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    await first!.read(Users, 'a', async () => 'a');
    await first!.read(Users, 'b', async () => 'b');
    await first!.read(Texts, 'a', async () => 'text');
    await second!.invalidate(Users, 'a');
    expect(await second!.peek(Users, 'b')).toBe('b');
    expect(await second!.peek(Texts, 'a')).toBe('text');
  });
});

describe('an invalidation on its way', () => {
  it.each(['held up', 'answered late'] as const)(
    'lets no value back into its own process that is stored just now (%s)',
    async (trouble) => {
      const { processes } = fleet(1);
      const [{ read, way, invalidate: drop }] = processes as [(typeof processes)[0]];
      way.has(trouble, ['fill']);
      await read(Texts, 'a', async () => 'old');
      way.recovers();
      await drop(Texts, 'a');
      await way.deliver();
      expect(await read(Texts, 'a', async () => 'new')).toBe('new');
    },
  );

  it('lets no value back into its own process that is read just now', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    await second!.read(Texts, 'a', async () => 'old');
    first!.way.has('answered late', ['read']);
    const before = first!.read(Texts, 'a', source());
    await settled();
    first!.way.recovers();
    await first!.invalidate(Texts, 'a');
    await first!.way.deliver();
    expect(await before).toBe('old');
    expect(await first!.read(Texts, 'a', async () => 'new')).toBe('new');
  });

  it('lets no value back into its own process that is read before the store has heard', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    await second!.read(Texts, 'a', async () => 'old');
    first!.way.has('held up', ['invalidate']);
    const outcome = first!.invalidate(Texts, 'a');
    // A call that begins before it is acknowledged may be answered with what is there.
    expect(await first!.read(Texts, 'a', source())).toBe('old');
    await first!.way.deliver();
    expect(await outcome).toBe('acknowledged');
    expect(await first!.read(Texts, 'a', async () => 'new')).toBe('new');
  });

  it('lets no value back into its own process that somebody else has stored meanwhile', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    first!.way.has('answered late', ['read', 'lease']);
    const before = first!.read(Texts, 'a', source());
    await settled();
    await second!.read(Texts, 'a', async () => 'old');
    await first!.way.deliver();
    first!.way.recovers();
    await first!.invalidate(Texts, 'a');
    await first!.way.deliver();
    // Its own load is the answer: what was stored is gone by now.
    expect(await before).toBe(1);
    expect(await first!.read(Texts, 'a', async () => 'new')).toBe('new');
  });

  it('hands what was there to nobody who joins a load after it, though that began before it had arrived', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    first!.way.has('answered late', ['read', 'lease']);
    first!.way.has('held up', ['invalidate']);
    const before = first!.read(Users, 'a', async () => 'new');
    await settled();
    await second!.read(Users, 'a', async () => 'old');
    const outcome = first!.invalidate(Users, 'a');
    // What was read was nothing; the lease that is asked for then finds the old value.
    await first!.way.deliver(1);
    // The invalidation arrives; the answer that was given before it is still on its way.
    await first!.way.deliver(1);
    expect(await outcome).toBe('acknowledged');
    first!.way.recovers();
    const after = first!.read(Users, 'a', source());
    await settled();
    await first!.way.deliver();
    expect(await Promise.all([before, after])).toEqual(['new', 'new']);
  });

  it.each(Array.from({ length: 12 }, (_, ticks) => ticks))(
    'of which the store could not be told lets no value back into its own process that is read %i ticks later',
    async (ticks) => {
      const { processes } = fleet(2);
      const [first, second] = processes;
      await second!.read(Texts, 'a', async () => 'old');
      const refused = deferred<void>();
      first!.way.invalidate = () => refused.promise;
      const outcome = first!.invalidate(Texts, 'a');
      refused.reject(new Error('connection reset'));
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      const meanwhile = first!.read(Texts, 'a', async () => 'new');
      expect(await outcome).toBe('pending');
      await meanwhile;
      expect(await first!.read(Texts, 'a', async () => 'new')).toBe('new');
    },
  );

  it('of nobody knows what lets no value back into its own process that is read just now', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    const { engine, way, read } = first!;
    await second!.read(Texts, 'a', async () => 'old');
    way.has('answered late', ['read']);
    const before = read(Texts, 'a', source());
    await settled();
    void engine.invalidator.doubt(engine.entities.stateOf(Texts));
    await way.deliver();
    expect(await before).toBe('old');
    expect(await read(Texts, 'a', async () => 'new')).toBe('new');
  });

  it('of one key keeps no other one from being copied', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    await second!.read(Texts, 'b', async () => 'b');
    first!.way.has('held up', ['invalidate']);
    void first!.invalidate(Texts, 'a');
    expect(await first!.read(Texts, 'b', source())).toBe('b');
    first!.way.asked.length = 0;
    expect(await first!.read(Texts, 'b', source())).toBe('b');
    expect(first!.way.asked).toEqual([]);
    await first!.way.deliver();
  });
});

describe('an invalidation that names a version', () => {
  it('lets a value stay that is as new, in every process', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    await first!.read(Rows, 'a', row(7));
    expect(await second!.cache.invalidate(Rows, 'a', { atLeast: 7 })).toBe('acknowledged');
    for (const { read } of processes) {
      expect(await read(Rows, 'a', row(8))).toEqual({ text: 'row', version: 7 });
    }
  });

  it('keeps an older one from being stored by any process, as when a replica lags', async () => {
    const { processes } = fleet(3);
    const [first, second, third] = processes;
    await first!.read(Rows, 'a', row(6));
    await second!.cache.invalidate(Rows, 'a', { atLeast: 7 });
    const fills = await told('fill', async () => {
      expect(await third!.read(Rows, 'a', row(6))).toEqual({ text: 'row', version: 6 });
      await settled();
    });
    expect(fills.map(({ outcome }) => outcome)).toEqual(['older version']);
    expect(await first!.peek(Rows, 'a')).toBeUndefined();
    await first!.read(Rows, 'a', row(7));
    await settled();
    expect(await third!.read(Rows, 'a', row(9))).toEqual({ text: 'row', version: 7 });
  });

  it('is not undone by one without, nor the other way round', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    await first!.read(Rows, 'a', row(7));
    await second!.cache.invalidate(Rows, 'a', { atLeast: 7 });
    await second!.invalidate(Rows, 'a');
    expect(await first!.peek(Rows, 'a')).toBeUndefined();
    await first!.read(Rows, 'a', row(6));
    await settled();
    expect(await second!.peek(Rows, 'a')).toBeUndefined();
  });
});

describe('a value with a version', () => {
  it('is not replaced by an older one from a replica, and the source is left alone for a moment then', async () => {
    const Lagging = entity<Row>('lagging', {
      maxStaleness: { normal: '50s', incident: '2m' },
      read: staleWhileRevalidate({ ttl: '10s', staleFor: '1m', jitter: 0, loadTimeout: '3s' }),
      write: invalidate(),
      version: ({ version }) => version,
    });
    const { clock, processes } = fleet(2);
    const [first, second] = processes;
    await first!.read(Lagging, 'a', row(7));
    clock.advance(10_000);
    let loads = 0;
    const older = async () => (loads++, { text: 'row', version: 6 });
    for (let i = 0; i < 3; i++) {
      expect(await second!.read(Lagging, 'a', older)).toEqual({ text: 'row', version: 7 });
      await settled();
    }
    expect(loads).toBe(1);
    clock.advance(250);
    await second!.read(Lagging, 'a', older);
    await settled();
    expect(loads).toBe(2);
  });
});

describe('all entries at once', () => {
  it('cannot be invalidated where processes share them, and the call says what to do instead', () => {
    const { processes } = fleet(1);
    expect(() => processes[0]!.invalidateFamily(Users)).toThrow(
      "all entries of 'user' were to be invalidated, and those in the store 'default' can only be invalidated one by one. Fix: invalidate by key, or keep it in a redisStore() without `prefer: 'error'`, and with `maxStaleness.normal` at 2s or more, or at its `ttl`; or write `store: 'process'` in its contract, with `maxStaleness` at its `ttl` or more.",
    );
  });
});
