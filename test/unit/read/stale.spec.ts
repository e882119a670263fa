import {
  entity,
  invalidate,
  onCacheEvent,
  readThrough,
  staleWhileRevalidate,
  type Defined,
} from 'nestjs-cache-contract';
import { idOf } from '../../../lib/entry/key.js';
import { deferred, testEngine } from '../../support/engine.js';

const MISSING = new Error('missing');

/** Fresh for 10 seconds, stale for a minute. */
const Feeds = entity<Defined>('feed', {
  maxStaleness: '2h',
  read: staleWhileRevalidate({ ttl: '10s', staleFor: '1m', jitter: 0, loadTimeout: '2s' }),
  write: invalidate(),
  absentWhen: (error) => error === MISSING,
});

/** Fresh for 10 seconds; stale for another minute, but only once loading has failed. */
const Rates = entity<Defined>('rate', {
  maxStaleness: '2h',
  read: readThrough({ ttl: '10s', staleIfError: '1m', jitter: 0, loadTimeout: '2s' }),
  write: invalidate(),
  absentWhen: (error) => error === MISSING,
});

/** Both: stale for a minute, and for an hour more once loading has failed. */
const Menus = entity<Defined>('menu', {
  maxStaleness: '2h',
  read: staleWhileRevalidate({ ttl: '10s', staleFor: '1m', staleIfError: '1h', jitter: 0 }),
  write: invalidate(),
});

/** The same with a tag. */
const Shelves = entity<Defined>('shelf', {
  maxStaleness: '2h',
  read: staleWhileRevalidate({ ttl: '10s', staleFor: '1m', staleIfError: '1h', jitter: 0 }),
  write: invalidate(),
  tags: () => ['shelf'],
});

/** What is started and not awaited comes to its end. */
const settled = () => new Promise(setImmediate);

/** A source that counts how often it is asked, and answers with the count unless it is down. */
function source() {
  const load = async (): Promise<unknown> => {
    load.runs++;
    if (load.down) throw load.error;
    return load.runs;
  };
  load.runs = 0;
  load.down = false;
  load.error = new Error('connection refused');
  return load;
}

describe('while a value is stale and may be served', () => {
  it('answers at once with the old value, because the caller should not pay for the reload', async () => {
    const { clock, engine, read } = testEngine();
    await read(Feeds, 'a', async () => 'old');
    const hangs = deferred<string>();
    clock.advance(10_000);
    expect(await read(Feeds, 'a', () => hangs.promise)).toBe('old');
    clock.advance(1_000);
    hangs.resolve('new');
    await settled();
    expect(await read(Feeds, 'a', async () => 'not asked')).toBe('new');
    expect([clock.pending, engine.background.size]).toEqual([0, 0]);
  });

  it('loads nothing again within the ttl, because the value is fresh', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Feeds, 'a', load);
    clock.advance(9_999);
    await read(Feeds, 'a', load);
    expect(load.runs).toBe(1);
    clock.advance(1);
    await read(Feeds, 'a', load);
    expect(load.runs).toBe(2);
  });

  it('loads once behind 10,000 callers, and once more when that value is stale too', async () => {
    const { clock, engine, read } = testEngine();
    let [loads, running, most] = [0, 0, 0];
    let source = deferred<number>();
    const load = async () => {
      loads++;
      most = Math.max(most, ++running);
      return source.promise.finally(() => running--);
    };
    const first = read(Feeds, 'a', load);
    source.resolve(1);
    await first;
    for (const round of [1, 2]) {
      source = deferred();
      clock.advance(10_000);
      const callers = Array.from({ length: 10_000 }, () => read(Feeds, 'a', load));
      expect(new Set(await Promise.all(callers))).toEqual(new Set([round]));
      expect(loads).toBe(round + 1);
      // Nobody holds on to what 10,000 callers have left behind: one load and its refresh.
      expect(engine.background.size).toBeLessThanOrEqual(3);
      source.resolve(round + 1);
      await settled();
    }
    expect(most).toBe(1);
    expect(engine.background.size).toBe(0);
  });

  it('tells of no join by callers who did not wait for anything', async () => {
    const { clock, read } = testEngine();
    let joins = 0;
    await read(Feeds, 'a', async () => 'old');
    clock.advance(10_000);
    const end = onCacheEvent('join', () => joins++);
    for (let i = 0; i < 100; i++) await read(Feeds, 'a', () => deferred().promise);
    end();
    expect(joins).toBe(0);
  });

  it('reloads each key for itself, because one that hangs should not keep the others old', async () => {
    const { clock, read } = testEngine();
    await read(Feeds, 'a', async () => 'old a');
    await read(Feeds, 'b', async () => 'old b');
    clock.advance(10_000);
    void read(Feeds, 'a', () => deferred().promise);
    void read(Feeds, 'b', async () => 'new b');
    await settled();
    expect(await read(Feeds, 'b', async () => 'not asked')).toBe('new b');
  });

  it('lets a caller after staleFor wait, because what is there is too old for anybody', async () => {
    const { clock, read } = testEngine();
    await read(Feeds, 'a', async () => 'old');
    clock.advance(70_000);
    const slow = deferred<string>();
    let answered = false;
    const call = read(Feeds, 'a', () => slow.promise).finally(() => (answered = true));
    await settled();
    expect(answered).toBe(false);
    slow.resolve('new');
    expect(await call).toBe('new');
  });

  it('stops at staleFor to the millisecond, because from there the contract is broken', async () => {
    const { clock, read, peek } = testEngine();
    await read(Feeds, 'a', async () => 'old');
    clock.advance(69_999);
    expect(await peek(Feeds, 'a')).toBe('old');
    clock.advance(1);
    expect(await peek(Feeds, 'a')).toBeUndefined();
    expect(await read(Feeds, 'a', async () => 'new')).toBe('new');
  });

  it('joins a caller who has to wait to the load behind the callers who did not', async () => {
    const { clock, read } = testEngine();
    const load = source();
    const slow = deferred<string>();
    await read(Feeds, 'a', load);
    clock.advance(69_000);
    await read(Feeds, 'a', () => (load.runs++, slow.promise));
    clock.advance(1_000);
    const waits = read(Feeds, 'a', load);
    slow.resolve('new');
    expect(await waits).toBe('new');
    expect(load.runs).toBe(2);
  });

  it('tells how stale an answer was, which is how a team sees whether staleFor is used', async () => {
    const { clock, read } = testEngine();
    const heard: { staleMs: number; ageMs: number }[] = [];
    const end = onCacheEvent('hit', ({ staleMs, ageMs }) => heard.push({ staleMs, ageMs }));
    await read(Feeds, 'a', async () => 'old');
    for (const ms of [9_999, 1, 59_999]) {
      clock.advance(ms);
      await read(Feeds, 'a', () => deferred().promise);
    }
    end();
    expect(heard).toEqual([
      { staleMs: 0, ageMs: 9_999 },
      { staleMs: 0, ageMs: 10_000 },
      { staleMs: 59_999, ageMs: 69_999 },
    ]);
  });
});

describe('a refresh that fails', () => {
  it('keeps the old value and troubles nobody, because nobody waits for it', async () => {
    const { clock, engine, read, warnings } = testEngine();
    const load = source();
    const outcomes: string[] = [];
    const end = onCacheEvent('load', ({ outcome }) => outcomes.push(outcome));
    await read(Feeds, 'a', load);
    load.down = true;
    clock.advance(10_000);
    // A rejection without a handler would fail this test by itself, one turn later.
    expect(await read(Feeds, 'a', load)).toBe(1);
    await settled();
    await settled();
    end();
    expect(await read(Feeds, 'a', load)).toBe(1);
    expect(outcomes).toEqual(['loaded', 'failed']);
    expect(warnings).toEqual([]);
    expect([clock.pending, engine.background.size]).toEqual([0, 0]);
  });

  it('is followed by a pause of 250 ms that doubles up to 10 s, so that a source in trouble is left alone', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Menus, 'a', load);
    load.down = true;
    clock.advance(10_000);
    await read(Menus, 'a', load);
    await settled();
    expect(load.runs).toBe(2);
    for (const pause of [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) {
      const before = load.runs;
      clock.advance(pause - 1);
      expect(await read(Menus, 'a', load)).toBe(1);
      expect(load.runs).toBe(before);
      clock.advance(1);
      expect(await read(Menus, 'a', load)).toBe(1);
      await settled();
      expect(load.runs).toBe(before + 1);
    }
  });

  it('pauses its own key only, because another row may well be readable', async () => {
    const { clock, read } = testEngine();
    const [bad, good] = [source(), source()];
    await read(Feeds, 'bad', bad);
    await read(Feeds, 'good', good);
    bad.down = true;
    clock.advance(10_000);
    await read(Feeds, 'bad', bad);
    await settled();
    await read(Feeds, 'good', good);
    expect(good.runs).toBe(2);
  });

  it('starts again at 250 ms after a success, which ends the trouble', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Feeds, 'a', load);
    load.down = true;
    clock.advance(10_000);
    for (const pause of [250, 500, 1_000]) {
      await read(Feeds, 'a', load);
      await settled();
      clock.advance(pause);
    }
    load.down = false;
    await read(Feeds, 'a', load);
    await settled();
    expect(await read(Feeds, 'a', load)).toBe(5);
    load.down = true;
    clock.advance(10_000);
    await read(Feeds, 'a', load);
    await settled();
    clock.advance(249);
    await read(Feeds, 'a', load);
    expect(load.runs).toBe(6);
    clock.advance(1);
    await read(Feeds, 'a', load);
    expect(load.runs).toBe(7);
  });

  it('rests no key that has nothing to be answered with, because waiting alone helps no caller', async () => {
    const { read } = testEngine();
    const load = source();
    load.down = true;
    await expect(read(Menus, 'a', load)).rejects.toBe(load.error);
    await expect(read(Menus, 'a', load)).rejects.toBe(load.error);
    load.down = false;
    expect(await read(Menus, 'a', load)).toBe(3);
  });

  it('counts as failed when its time is up, because a source that hangs is in trouble too', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Feeds, 'a', load);
    clock.advance(10_000);
    await read(Feeds, 'a', () => deferred().promise);
    clock.advance(2_000);
    await settled();
    expect(await read(Feeds, 'a', load)).toBe(1);
    clock.advance(249);
    await read(Feeds, 'a', load);
    expect(load.runs).toBe(1);
    clock.advance(1);
    await read(Feeds, 'a', load);
    expect(load.runs).toBe(2);
  });
});

describe('staleIfError', () => {
  it('lets the first caller wait for the failure, because only then the old value is in order', async () => {
    const { clock, read } = testEngine();
    await read(Rates, 'a', async () => 'old');
    clock.advance(10_000);
    const down = deferred<never>();
    let answered = false;
    const call = read(Rates, 'a', () => down.promise).finally(() => (answered = true));
    await settled();
    expect(answered).toBe(false);
    down.reject(new Error('connection refused'));
    expect(await call).toBe('old');
  });

  it('serves the new value and not the old one while loading works', async () => {
    const { clock, read, peek } = testEngine();
    await read(Rates, 'a', async () => 'old');
    clock.advance(10_000);
    expect(await peek(Rates, 'a')).toBeUndefined();
    expect(await read(Rates, 'a', async () => 'new')).toBe('new');
  });

  it('answers all who wait for one failed load, and asks the source once for them', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Rates, 'a', load);
    load.down = true;
    clock.advance(10_000);
    const answers = await Promise.all([1, 2, 3].map(() => read(Rates, 'a', load)));
    expect(answers).toEqual([1, 1, 1]);
    expect(load.runs).toBe(2);
  });

  it('answers callers during the pause at once and without a load, so that the outage costs one caller', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Rates, 'a', load);
    load.down = true;
    clock.advance(10_000);
    await read(Rates, 'a', load);
    expect(load.runs).toBe(2);
    clock.advance(249);
    for (let i = 0; i < 100; i++) expect(await read(Rates, 'a', load)).toBe(1);
    expect(load.runs).toBe(2);
    clock.advance(1);
    expect(await read(Rates, 'a', load)).toBe(1);
    expect(load.runs).toBe(3);
  });

  it('serves the old value after a timeout as after any failure', async () => {
    const { clock, read } = testEngine();
    await read(Rates, 'a', async () => 'old');
    clock.advance(10_000);
    const call = read(Rates, 'a', () => deferred().promise);
    clock.advance(2_000);
    expect(await call).toBe('old');
    expect(await read(Rates, 'a', async () => 'not asked')).toBe('old');
  });

  it('gives way to the error where its time ends, because that old is worse than none', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Rates, 'a', load);
    load.down = true;
    clock.advance(69_999);
    expect(await read(Rates, 'a', load)).toBe(1);
    clock.advance(1);
    await expect(read(Rates, 'a', load)).rejects.toBe(load.error);
  });

  it('measures at the failure what it serves, because the value grew older while the caller waited', async () => {
    const { clock, read } = testEngine();
    await read(Rates, 'a', async () => 'old');
    clock.advance(69_000);
    const error = new Error('connection reset');
    const down = deferred<never>();
    const call = read(Rates, 'a', () => down.promise);
    clock.advance(1_000);
    down.reject(error);
    await expect(call).rejects.toBe(error);
  });

  it('adds to staleFor, whose callers do not wait at all', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Menus, 'a', load);
    load.down = true;
    clock.advance(10_000 + 60_000 + 3_600_000 - 1);
    expect(await read(Menus, 'a', load)).toBe(1);
    clock.advance(1);
    await expect(read(Menus, 'a', load)).rejects.toBe(load.error);
  });

  it('is nothing a contract without it does: the error is the caller’s, during the pause as well', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Feeds, 'a', load);
    load.down = true;
    clock.advance(70_000);
    await expect(read(Feeds, 'a', load)).rejects.toBe(load.error);
    await expect(read(Feeds, 'a', load)).rejects.toBe(load.error);
    expect(load.runs).toBe(3);
  });

  it('tells how stale the answer was', async () => {
    const { clock, read } = testEngine();
    const load = source();
    await read(Rates, 'a', load);
    load.down = true;
    const heard: number[] = [];
    const end = onCacheEvent('hit', ({ staleMs }) => heard.push(staleMs));
    clock.advance(15_000);
    await read(Rates, 'a', load);
    clock.advance(100);
    await read(Rates, 'a', load);
    end();
    expect(heard).toEqual([5_000, 5_100]);
  });
});

describe('absence', () => {
  it('is never served while it is loaded again, because what was created since should be seen', async () => {
    const { clock, read } = testEngine();
    expect(await read(Feeds, 'null', async () => null)).toBeNull();
    await expect(read(Feeds, 'error', () => Promise.reject(MISSING))).rejects.toBe(MISSING);
    clock.advance(10_000);
    expect(await read(Feeds, 'null', async () => 'created')).toBe('created');
    expect(await read(Feeds, 'error', async () => 'created')).toBe('created');
  });

  it('is never served instead of a failure, because "there is none" would be a guess', async () => {
    const { clock, read } = testEngine();
    const load = source();
    load.down = true;
    await read(Rates, 'null', async () => null);
    await read(Rates, 'error', () => Promise.reject(MISSING)).catch(() => undefined);
    clock.advance(10_000);
    for (const key of ['null', 'error', 'null', 'error'])
      await expect(read(Rates, key, load)).rejects.toBe(load.error);
  });

  it('replaces a stale value, because the source has said that it is gone', async () => {
    const { clock, read } = testEngine();
    await read(Feeds, 'a', async () => 'old');
    clock.advance(10_000);
    expect(await read(Feeds, 'a', async () => null)).toBe('old');
    await settled();
    expect(await read(Feeds, 'a', async () => 'not asked')).toBeNull();
  });
});

describe('an invalidation', () => {
  it('leaves nothing stale to serve, neither at once nor after a failure', async () => {
    const { clock, read, invalidate: drop, invalidateFamily } = testEngine();
    const load = source();
    for (const forget of [() => drop(Menus, 'a'), () => invalidateFamily(Menus)]) {
      load.down = false;
      await read(Menus, 'a', load);
      clock.advance(10_000);
      void forget();
      load.down = true;
      await expect(read(Menus, 'a', load)).rejects.toBe(load.error);
      await expect(read(Menus, 'a', load)).rejects.toBe(load.error);
    }
  });

  it('of a tag leaves nothing stale to serve of what carries it', async () => {
    const { clock, engine, read, peek } = testEngine();
    const load = source();
    await read(Shelves, 'a', load);
    clock.advance(10_000);
    expect(await peek(Shelves, 'a')).toBe(1);
    void engine.invalidator.invalidateTag('shelf');
    expect(await peek(Shelves, 'a')).toBeUndefined();
    load.down = true;
    await expect(read(Shelves, 'a', load)).rejects.toBe(load.error);
  });

  it('during a refresh lets it store nothing, because it may have read what was there before', async () => {
    const { clock, read, peek, invalidate: drop } = testEngine();
    await read(Feeds, 'a', async () => 'first');
    clock.advance(10_000);
    const refresh = deferred<string>();
    expect(await read(Feeds, 'a', () => refresh.promise)).toBe('first');
    void drop(Feeds, 'a');
    refresh.resolve('second');
    await settled();
    expect(await peek(Feeds, 'a')).toBeUndefined();
    expect(await read(Feeds, 'a', async () => 'third')).toBe('third');
  });

  it('during a refresh lets nobody join it, nor be given what it was to replace', async () => {
    const { clock, read, invalidate: drop } = testEngine();
    await read(Feeds, 'a', async () => 'first');
    clock.advance(10_000);
    const refresh = deferred<string>();
    await read(Feeds, 'a', () => refresh.promise);
    void drop(Feeds, 'a');
    const after = read(Feeds, 'a', async () => 'third');
    refresh.resolve('second');
    expect(await after).toBe('third');
    await settled();
    expect(await read(Feeds, 'a', async () => 'not asked')).toBe('third');
  });

  it('between a failure and the answer leaves the caller the failure, because the old value is gone', async () => {
    const { clock, read, invalidate: drop } = testEngine();
    await read(Rates, 'a', async () => 'old');
    clock.advance(10_000);
    const error = new Error('connection refused');
    const down = deferred<never>();
    const call = read(Rates, 'a', () => down.promise);
    const early = read(Rates, 'a', () => down.promise);
    void drop(Rates, 'a');
    down.reject(error);
    await expect(call).rejects.toBe(error);
    await expect(early).rejects.toBe(error);
  });

  it('is in time until the moment of the answer, however the promises are ordered', async () => {
    const outcomes = new Set<string>();
    for (let turns = 0; turns < 12; turns++) {
      const { clock, read, invalidate: drop } = testEngine();
      await read(Rates, 'a', async () => 'old');
      clock.advance(10_000);
      let [dropped, servedAfterwards] = [false, false];
      const end = onCacheEvent('hit', () => (servedAfterwards = dropped));
      const down = deferred<never>();
      const call = read(Rates, 'a', () => down.promise).catch(() => 'failure');
      down.reject(new Error('connection refused'));
      for (let i = 0; i < turns; i++) await Promise.resolve();
      void drop(Rates, 'a');
      dropped = true;
      outcomes.add((await call) as string);
      end();
      expect(servedAfterwards).toBe(false);
    }
    // Both sides of that moment have been visited.
    expect(outcomes).toEqual(new Set(['failure', 'old']));
  });

  it('of a tag during a refresh lets it store nothing either', async () => {
    const { clock, engine, read, peek } = testEngine();
    await read(Shelves, 'a', async () => 'first');
    clock.advance(10_000);
    const refresh = deferred<string>();
    expect(await read(Shelves, 'a', () => refresh.promise)).toBe('first');
    void engine.invalidator.invalidateTag('shelf');
    const after = read(Shelves, 'a', async () => 'third');
    refresh.resolve('second');
    expect(await after).toBe('third');
    await settled();
    expect(await peek(Shelves, 'a')).toBe('third');
  });
});

describe('a refresh that hangs', () => {
  type Parts = ReturnType<typeof testEngine>;
  const Patient = entity<Defined>('patient', {
    maxStaleness: '2h',
    read: staleWhileRevalidate({ ttl: '10s', staleFor: '1m', jitter: 0, loadTimeout: '10m' }),
    write: invalidate(),
  });

  it.each([
    ['an invalidation', ({ invalidate: drop }: Parts) => void drop(Patient, 'a')],
    ['an invalidation of all', (parts: Parts) => void parts.invalidateFamily(Patient)],
    [
      'a write-through',
      ({ engine: { entities, writer } }: Parts) => {
        const write = writer.begin(entities.stateOf(Patient), 'a', undefined);
        void writer.stored(write, 'a', 'second');
      },
    ],
  ])('keeps no value from being refreshed that came after %s', async (_, happens) => {
    const parts = testEngine();
    const { clock, read } = parts;
    await read(Patient, 'a', async () => 'first');
    clock.advance(10_000);
    await read(Patient, 'a', () => deferred().promise);
    happens(parts);
    expect(await read(Patient, 'a', async () => 'second')).toBe('second');
    clock.advance(10_000);
    expect(await read(Patient, 'a', async () => 'third')).toBe('second');
    await settled();
    expect(await read(Patient, 'a', async () => 'not asked')).toBe('third');
  });
});

describe('a stale value', () => {
  it('is replaced where it stands, so that a table is no fuller for being refreshed', async () => {
    const { clock, engine, read } = testEngine();
    const load = source();
    await read(Feeds, 'a', load);
    clock.advance(10_000);
    await read(Feeds, 'a', load);
    await settled();
    const { table } = engine.entities.stateOf(Feeds);
    expect(table.size).toBe(1);
    expect(table.get(idOf('a', 'feed'))!.value).toBe(2);
  });

  it('is served to a part of its own reload without another one, because that would wait for itself', async () => {
    const { clock, read } = testEngine();
    await read(Feeds, 'a', async () => 'old');
    clock.advance(10_000);
    let loads = 0;
    const load = async (): Promise<unknown> => {
      loads++;
      return `${(await read(Feeds, 'a', load)) as string}, renewed`;
    };
    expect(await read(Feeds, 'a', load)).toBe('old');
    await settled();
    expect(await read(Feeds, 'a', load)).toBe('old, renewed');
    expect(loads).toBe(1);
  });

  it('is loaded again before the engine closes, so that nothing runs on after it', async () => {
    const { clock, engine, read } = testEngine();
    await read(Feeds, 'a', async () => 'old');
    clock.advance(10_000);
    const refresh = deferred<string>();
    await read(Feeds, 'a', () => refresh.promise);
    let closed = false;
    const closing = engine.close().then(() => (closed = true));
    await settled();
    expect(closed).toBe(false);
    refresh.resolve('new');
    await closing;
    expect(engine.background.size).toBe(0);
    expect(engine.entities.stateOf(Feeds).table.size).toBe(0);
  });
});
