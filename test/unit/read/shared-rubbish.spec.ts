import { entity, readThrough, writeThrough } from 'nestjs-cache-contract';
import type { EntryName } from '../../../lib/store/cache-store.js';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source } from '../../support/fleet.js';

const Users = entity<string>('user', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read: readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' }),
  write: writeThrough(),
});
/** With a copy in each process. */
const Texts = entity<string>('text', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' }),
  write: writeThrough(),
});

const nothing = () => undefined;
const throwing = () => {
  throw new Error('a fault of the store');
};
const says = (answer: unknown) => () => Promise.resolve(answer);
const never = new Promise(nothing);
const entry: EntryName = { entity: 'user', id: 'a' };
const grant = { entry, token: 't', grantedAt: 1_000 };
const unreadable = { schema: 1, loadedAt: NaN, softExpiry: NaN, loadMs: 0 };

/** What a store does that keeps nothing of what it promises. */
const RUBBISH: Record<string, Record<string, unknown>> = {
  'no promise of what it reads': { readAll: nothing },
  'nothing for what it reads': { readAll: says(undefined) },
  'null for what it reads': { readAll: says(null) },
  'fewer than it was asked for': { readAll: says([]) },
  'something else than entries': { readAll: says(['text']) },
  'entries without times': { readAll: says([{ ...unreadable, schema: 0, payload: 'text' }]) },
  'no lease': { lease: says(undefined) },
  'an outcome that there is not': { lease: says({ outcome: 'denied' }) },
  'held, and nothing to wait for': { lease: says({ outcome: 'held', forMs: 1 }) },
  'held, and no way to leave': { lease: says({ outcome: 'held', forMs: 1, woken: never }) },
  'held for no number': {
    lease: says({ outcome: 'held', forMs: NaN, woken: never, leave: nothing }),
  },
  'granted, and no lease': { lease: says({ outcome: 'granted' }) },
  'granted for no entry': { lease: says({ outcome: 'granted', lease: { token: 't' } }) },
  'fresh, and no entry': { lease: says({ outcome: 'fresh' }) },
  'fresh, always what nobody can read': { lease: says({ outcome: 'fresh', stored: unreadable }) },
  'cooling, and no entry': { lease: says({ outcome: 'cooling', forMs: 1 }) },
  'no promise of a lease': { lease: nothing },
  'nothing for a claim': { claim: says(undefined) },
  'nothing for what it stores': { fill: says(undefined) },
  'no promise of what it gives back': {
    lease: says({ outcome: 'granted', lease: grant }),
    fail: nothing,
    fill: throwing,
  },
  'no promise of what it invalidates': { invalidate: nothing },
  'no time': { now: throwing },
  'no place': { placeOf: throwing },
  'no promise of its end': { close: nothing },
};

describe.each(Object.keys(RUBBISH))('a store that gives %s', (kind) => {
  it('costs nobody an answer, and keeps no application from ending', async () => {
    const { processes, pass, underWay } = fleet(1);
    const [{ way, read, peek, cache, engine }] = processes as [(typeof processes)[0]];
    Object.assign(way, RUBBISH[kind]);
    const inTime = async (call: Promise<unknown>) => {
      let end: unknown = 'waits';
      call.then(
        (value) => (end = value),
        (error) => (end = error),
      );
      for (let i = 0; i < 30; i++) await pass(100);
      return end;
    };
    for (const entity of [Users, Texts]) {
      expect(await inTime(read(entity, 'a', async () => 'loaded'))).toBe('loaded');
      expect([undefined, 'loaded']).toContain(await inTime(peek(entity, 'a')));
      expect(await inTime(cache.prime(entity, 'a', async () => 'primed'))).toBe('primed');
      expect(['acknowledged', 'pending']).toContain(await inTime(cache.invalidate(entity, 'a')));
    }
    expect(await inTime(engine.close())).toBeUndefined();
    expect(underWay()).toBe(0);
  });
});

describe('rubbish that comes late', () => {
  it.each([
    undefined,
    { outcome: 'denied' },
    { outcome: 'held', forMs: 1 },
    { outcome: 'held', forMs: 1, woken: never, leave: throwing },
    { outcome: 'granted' },
    { outcome: 'granted', lease: grant },
  ])('is nobody’s error (%j)', async (answer) => {
    const { processes, pass } = fleet(1);
    const [{ way, read }] = processes as [(typeof processes)[0]];
    const late = deferred<unknown>();
    Object.assign(way, { lease: () => late.promise, fail: nothing });
    const call = read(Users, 'a', source());
    await pass(100);
    expect(await call).toBe(1);
    late.resolve(answer);
    // A rejection without a handler would fail this test by itself, one turn later.
    await settled();
  });
});

describe('an entry that cannot be looked at', () => {
  it('leaves nothing behind in the process that wanted a copy of it', async () => {
    const { processes } = fleet(1);
    const [{ way, read, engine }] = processes as [(typeof processes)[0]];
    await read(Texts, 'a', async () => 'old');
    await processes[0]!.invalidate(Texts, 'a');
    Object.assign(way, { readAll: says([{ ...unreadable, schema: 0 }]), now: throwing });
    expect(await read(Texts, 'a', async () => 'loaded')).toBe('loaded');
    const looks = engine.entities.stateOf(Texts).remote!['looks'];
    expect(looks['underWay'].size).toBe(0);
  });
});
