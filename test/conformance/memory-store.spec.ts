import { jest } from '@jest/globals';
import { MemoryStore } from '../support/memory-store/memory-store.js';
import { ManualClock } from '../support/manual-clock.js';
import { repeatableRandom, UnreliableStore } from '../support/unreliable-store.js';
import { describeCacheStore } from './cache-store.js';
import { describeStoreUnderFaults } from './store/histories.js';
import { bytes, Subject, USER } from './store/subject.js';

// Histories take their time on a busy machine.
jest.setTimeout(60_000);

function create() {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const advance = async (ms: number) => {
    clock.advance(ms);
    await new Promise(setImmediate);
  };
  return { clock, store, other: store, advance };
}

describeCacheStore('a store in memory', { create });

describeStoreUnderFaults('a store in memory, of which one process has a bad connection', {
  runs: 2_000,
  create: () => {
    const { store, advance } = create();
    const other = new UnreliableStore(store, repeatableRandom());
    const deliver = async (ms: number) => {
      await other.deliver();
      await advance(ms);
    };
    return { store, other, advance: deliver };
  },
});

describe('a store in memory, exactly', () => {
  const begin = () => {
    const made = create();
    return { ...made, at: new Subject(made, 1_000), kept: () => made.store['places'].size };
  };

  it('has its time from the clock, and no timer', async () => {
    const { clock, store, at } = begin();
    expect(store.now()).toBe(clock.monotonic());
    await at.put();
    await at.fail(await at.claim(), 9);
    (await at.answer('fresh', store)).stored.payload?.fill(0);
    expect(clock.pending).toBe(0);
  });

  it('has everything end at its moment, and not a millisecond before', async () => {
    const { clock, store, at } = begin();
    const before = async <T>(seconds: number, look: () => Promise<T>) => {
      clock.advance(seconds * 1_000 - 1);
      const last = await look();
      clock.advance(1);
      return [last, await look()];
    };
    const outcome = (terms: object) => async () => {
      const answer = await at.lease(store, terms);
      if (answer.outcome === 'granted') await at.fail(answer.lease);
      return answer.outcome === 'granted' ? answer.stale !== undefined : answer.outcome;
    };
    const stored = await at.put({ freshFor: 3 }, 10);
    expect(await before(3, outcome({ staleFor: 2 }))).toEqual(['fresh', true]);
    expect(await before(2, outcome({ staleFor: 2 }))).toEqual([true, false]);
    expect(await before(5, () => store.read(USER))).toEqual([stored, undefined]);

    await at.granted(store, { lease: 3 });
    expect(await before(3, outcome({}))).toEqual(['held', false]);
    await at.put({ version: 1, freshFor: -1 });
    await at.fail(await at.claim(), 2);
    expect(await before(2, outcome({ staleOnError: 9 }))).toEqual(['cooling', false]);
    await at.invalidate({ atLeast: 2, keep: 3 });
    const fill = async () => at.fill(await at.claim(), { version: 1 });
    expect(await before(3, fill)).toEqual(['older version', 'stored']);
  });

  it('says for how long exactly', async () => {
    const { clock, store, at } = begin();
    await at.put({ freshFor: -1 });
    const lease = await at.granted(store, { lease: 5 });
    clock.advance(2_000);
    expect(await at.answer('held', store)).toMatchObject({ forMs: 3_000 });
    await at.fail(lease, 7);
    clock.advance(1_500);
    expect(await at.answer('cooling', store, { staleOnError: 9 })).toMatchObject({ forMs: 5_500 });
  });

  it('compares versions of any size', async () => {
    const { at } = begin();
    const load = async (version: bigint) => at.fill(await at.claim(), { version });
    expect([await load(10n ** 40n + 1n), await load(10n ** 40n)]).toEqual([
      'stored',
      'older version',
    ]);
  });

  it('keeps nothing of what is over, at most about as much again as what is not', async () => {
    const { clock, store, at, kept } = begin();
    const name = (id: string) => ({ entity: 'user', id });
    const lasting = 100;
    for (let i = 0; i < lasting; i++) await at.put({}, 100_000, name(`lasting ${i}`));
    const begins = [
      (id: string) => at.put({}, 1, name(id)),
      (id: string) => at.granted(store, { lease: 1 }, name(id)),
      (id: string) => at.claim(store, 1, name(id)),
      (id: string) => at.invalidate({ atLeast: 1, keep: 1 }, store, name(id)),
      async (id: string) => at.fail(await at.claim(store, 1, name(id)), 1),
    ];
    for (let i = 0; i < 5_000; i++) {
      await begins[i % begins.length]!(`passing ${i}`);
      clock.advance(1_000);
      expect(kept()).toBeLessThanOrEqual(2 * lasting + 5);
    }
    for (let i = 0; i < lasting; i++) expect(await store.read(name(`lasting ${i}`))).toBeDefined();
  });

  it('keeps nothing of what was asked for in vain, or is asked for after its end', async () => {
    const { clock, store, at, kept } = begin();
    const lease = await at.granted(store, { lease: 1 });
    clock.advance(1_000);
    await store.read(USER);
    await at.fill(lease);
    await at.fail(lease, 9);
    await at.invalidate();
    expect(kept()).toBe(0);
    await at.put();
    await at.invalidate();
    await store.read(USER);
    expect(kept()).toBe(0);
  });

  it('forgets who waits when they leave, or have been told', async () => {
    const { store, at } = begin();
    const waiters = () => store['places'].values().next().value!.holder?.waiters.size;
    const lease = await at.granted();
    const held = [await at.answer('held', store), await at.answer('held', store)];
    expect(waiters()).toBe(2);
    held[0]!.leave();
    expect(waiters()).toBe(1);
    await at.fill(lease);
    expect(waiters()).toBeUndefined();
  });

  it('goes on for others when one of those it links is closed', async () => {
    const { store, at } = begin();
    await at.put({ payload: bytes('value') });
    await store.close();
    expect(await store.read(USER)).toBeDefined();
  });
});
