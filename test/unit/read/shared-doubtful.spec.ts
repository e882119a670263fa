import {
  entity,
  invalidate,
  readThrough,
  staleWhileRevalidate,
  type Defined,
} from 'nestjs-cache-contract';
import { calls } from '../../../lib/read/call-context.js';
import { deferred } from '../../support/engine.js';
import { fleet as fleetWith, settled, source } from '../../support/fleet.js';
import { MemoryLog } from '../../support/memory-store/memory-log.js';
import { MemoryStore } from '../../support/memory-store/memory-store.js';

const times = { ttl: '10s', jitter: 0, loadTimeout: '3s' } as const;
/** In the store alone. */
const inStore = { maxStaleness: { normal: '3s', incident: '2h' }, write: invalidate() } as const;
/** With a copy in each process. */
const copied = { maxStaleness: '2h', write: invalidate() } as const;

const Users = entity<Defined>('user', { ...inStore, read: readThrough(times) });
const Texts = entity<Defined>('text', { ...copied, read: readThrough(times) });
const behind = staleWhileRevalidate({ ...times, staleFor: '1m' });
const Feeds = entity<Defined>('feed', {
  ...inStore,
  maxStaleness: { normal: '30s', incident: '2h' },
  read: behind,
});
const onError = readThrough({ ...times, staleIfError: '1m' });
const Rates = entity<Defined>('rate', { ...inStore, read: onError });
const Shelves = entity<Defined>('shelf', { ...copied, read: onError });
const ALL = [Users, Texts, Feeds, Rates, Shelves];

const fleet = (size = 2) => {
  let store!: MemoryStore;
  const all = fleetWith(size, (clock) => (store = new MemoryStore(clock)));
  const [one, other] = all.processes as [(typeof all.processes)[0], (typeof all.processes)[0]];
  return { ...all, one, other, failOver: () => store.failOver() };
};

describe('an entry whose store has failed over since it was stored', () => {
  it.each(ALL)('is loaded again, once for all processes: $name', async (entity) => {
    const { processes, one, failOver, pass, underWay } = fleet(4);
    await one.read(entity, 'a', async () => 'old');
    await settled();
    failOver();
    const answer = deferred<string>();
    let loads = 0;
    const load = () => (loads++, answer.promise);
    // Whoever has a copy of it knows that from the log, which is not looked at here.
    const others =
      entity.name === 'text' || entity.name === 'shelf' ? processes.slice(1) : processes;
    const reads = others.flatMap(({ read }) => [read(entity, 'a', load), read(entity, 'a', load)]);
    await settled();
    answer.resolve('new');
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['new']));
    for (const { read } of others) expect(await read(entity, 'a', load)).toBe('new');
    expect(loads).toBe(1);
    await pass(100);
    expect(underWay()).toBe(0);
  });

  it('is neither what a process has, when it is asked without a load, nor a copy in it', async () => {
    const { one, other, failOver } = fleet();
    await one.read(Texts, 'a', async () => 'old');
    await settled();
    failOver();
    expect(await other.peek(Texts, 'a')).toBeUndefined();
    expect(other.engine.entities.stateOf(Texts).table.get('a')).toBeUndefined();
  });

  it('is served in place of an error where that is asked for, and then the source rests', async () => {
    for (const entity of [Rates, Shelves]) {
      const { one, other, failOver, pass } = fleet();
      await one.read(entity, 'a', async () => 'old');
      await settled();
      failOver();
      const load = source();
      load.error = new Error('database down');
      expect(await other.read(entity, 'a', load)).toBe('old');
      expect(await other.read(entity, 'a', load)).toBe('old');
      if (entity === Rates) expect(await one.read(entity, 'a', load)).toBe('old');
      expect(load.runs).toBe(1);
      load.error = undefined;
      await pass(10_000);
      expect(await other.read(entity, 'a', load)).toBe(load.runs);
    }
  });

  it.each([Users, Feeds])('is not served in place of an error elsewhere: $name', async (entity) => {
    const { one, other, failOver } = fleet();
    await one.read(entity, 'a', async () => 'old');
    await settled();
    failOver();
    const load = source();
    load.error = new Error('database down');
    for (const { read } of [one, other, one, other]) {
      await expect(read(entity, 'a', load)).rejects.toBe(load.error);
    }
    expect(load.runs).toBe(4);
  });

  it('is not served in place of an error to who accepts nothing stale', async () => {
    const { one, other, failOver } = fleet();
    await one.read(Rates, 'a', async () => 'old');
    await settled();
    failOver();
    const load = source();
    load.error = new Error('database down');
    const state = other.engine.entities.stateOf(Rates);
    const strict = () =>
      calls.run({ accepts: new Map([[state, 0]]) }, () => other.read(Rates, 'a', load));
    await expect(strict()).rejects.toBe(load.error);
    await expect(strict()).rejects.toBe(load.error);
  });

  it('is not served in place of an error where it says that there is nothing', async () => {
    const { one, other, failOver } = fleet();
    const Found = entity<string | null>('found', {
      ...inStore,
      read: readThrough({ ...times, negativeTtl: '10s', staleIfError: '1m' }),
    });
    await one.read(Found, 'a', async () => null);
    await settled();
    failOver();
    const load = source();
    load.error = new Error('database down');
    await expect(other.read(Found, 'a', load)).rejects.toBe(load.error);
  });

  it.each(['told', 'not told yet'])(
    'is not served in place of an error once all of its entity were invalidated, and that is %s',
    async (how) => {
      let store!: MemoryStore;
      const log = new MemoryLog();
      const all = fleetWith(2, (clock) => (store = new MemoryStore(clock)), log);
      const [one, other] = all.processes as [(typeof all.processes)[0], (typeof all.processes)[0]];
      for (const { engine } of all.processes) engine.entities.stateOf(Shelves);
      await settled();
      await one.read(Shelves, 'a', async () => 'old');
      await settled();
      store.failOver();
      log.failOver(0);
      const load = source();
      load.error = new Error('database down');
      if (how === 'not told yet') other.told.answers = 'none';
      const invalidating = other.cache.invalidateFamily(Shelves);
      await settled();
      expect(await invalidating).toBe(how === 'told' ? 'acknowledged' : 'pending');
      await expect(other.read(Shelves, 'a', load)).rejects.toBe(load.error);
      await expect(other.read(Shelves, 'a', load)).rejects.toBe(load.error);
    },
  );

  it('is not stored by a load that began before', async () => {
    const { one, other, failOver } = fleet();
    const answer = deferred<string>();
    const early = one.read(Users, 'a', () => answer.promise);
    await settled();
    failOver();
    answer.resolve('old');
    expect(await early).toBe('old');
    await settled();
    expect(await other.read(Users, 'a', async () => 'new')).toBe('new');
    await settled();
    expect(await one.read(Users, 'a', async () => 'unasked')).toBe('new');
  });
});
