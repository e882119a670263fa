import { GuardedStore, NO_STORE, REFUSED } from '../../../lib/store/guarded-store.js';
import { Background } from '../../../lib/time/background.js';
import { ManualClock } from '../../support/manual-clock.js';
import { refusal } from '../../../lib/store/refusal.js';
import { MemoryStore } from '../../support/memory-store/memory-store.js';
import { TroubledStore } from '../../support/troubled-store.js';

const entry = { entity: 'profile', id: '7' };
const terms = { leaseMs: 2_000, staleForMs: 0, staleOnErrorMs: 0, newerThan: -Infinity };
const settled = () => new Promise(setImmediate);

function setUp() {
  const clock = new ManualClock();
  const shared = new MemoryStore(clock);
  const store = new TroubledStore(shared);
  const background = new Background(clock);
  const guarded = new GuardedStore(store, 100, clock, background);
  /** Time goes by, and what is due then comes to its end. */
  const pass = async (ms: number) => {
    // What was asked for in this turn is under way.
    await settled();
    clock.advance(ms);
    await settled();
    await settled();
  };
  const outOfReach = async () => {
    store.has('rejected');
    for (let i = 0; i < 5; i++) await expect(guarded.find(entry)).rejects.toBe(NO_STORE);
    store.asked.length = 0;
  };
  return { clock, shared, store, background, guarded, pass, outOfReach };
}

/** How a promise stands, without waiting for it. */
function watched(work: Promise<unknown>) {
  const watch: { state: 'waiting' | 'answered' | 'given up' } = { state: 'waiting' };
  work.then(
    () => (watch.state = 'answered'),
    (error: unknown) => {
      expect(error).toBe(NO_STORE);
      watch.state = 'given up';
    },
  );
  return watch;
}

describe('a store that never answers', () => {
  it('costs each call its deadline and not a millisecond more', async () => {
    const { clock, store, guarded, pass } = setUp();
    store.has('lost');
    const lease = await new MemoryStore(clock).claim(entry, 1);
    const stored = { loadedAt: 0, softExpiry: 1, loadMs: 0, schema: 0 } as never;
    const calls = [
      guarded.find(entry),
      guarded.lease(entry, terms),
      guarded.fill(lease, stored, 1),
      guarded.fail(lease, 0),
      guarded.claim(entry, 1),
      guarded.invalidate(entry),
    ].map(watched);
    await pass(99);
    expect(calls.map(({ state }) => state)).toEqual(Array(6).fill('waiting'));
    await pass(1);
    expect(calls.map(({ state }) => state)).toEqual(Array(6).fill('given up'));
  });

  it('costs each call a deadline of its own, however they follow each other', async () => {
    const { store, guarded, pass, background } = setUp();
    store.has('lost');
    const first = watched(guarded.find(entry));
    await pass(60);
    const second = watched(guarded.find(entry));
    await pass(40);
    expect([first.state, second.state]).toEqual(['given up', 'waiting']);
    await pass(59);
    expect(second.state).toBe('waiting');
    await pass(1);
    expect(second.state).toBe('given up');
    expect(background.size).toBe(0);
  });

  it('costs a read no more than that where it was held back until others were answered', async () => {
    const { clock, store, guarded, pass, background } = setUp();
    store.has('answered late', ['read']);
    for (let i = 0; i < 4; i++) {
      watched(guarded.find(entry));
      await settled();
    }
    const heldBack = watched(guarded.find(entry));
    await pass(90);
    const invalidated = watched(guarded.invalidate(entry));
    store.has('lost');
    await store.deliver(1);
    // That one was answered in the nick of time.
    expect(store.asked.filter((command) => command === 'read')).toHaveLength(5);
    const leased = watched(guarded.lease(entry, terms));
    await pass(9);
    expect(heldBack.state).toBe('waiting');
    await pass(1);
    expect([heldBack, leased, invalidated].map(({ state }) => state)).toEqual([
      'given up',
      'waiting',
      'answered',
    ]);
    expect(clock.pending).toBe(1);
    await pass(89);
    expect(leased.state).toBe('waiting');
    await pass(1);
    expect([leased.state, clock.pending, background.size]).toEqual(['given up', 0, 0]);
  });

  it('is not asked at all for what was held back until after its time, which is no failure of its own', async () => {
    const { clock, store, guarded } = setUp();
    store.has('answered late', ['read']);
    for (let i = 0; i < 4; i++) {
      watched(guarded.find(entry));
      await settled();
    }
    const heldBack = watched(guarded.find(entry));
    await settled();
    // The process is too busy to look at what has come.
    clock.stall(101);
    await store.deliver();
    expect([heldBack.state, store.asked]).toEqual(['given up', Array(4).fill('read')]);
    store.recovers();
    expect(await guarded.find(entry)).toBeUndefined();
  });

  it('needs one timer for all who wait, because there may be thousands', async () => {
    const { clock, store, guarded, pass } = setUp();
    store.has('lost');
    const calls = Array.from({ length: 1_000 }, () => watched(guarded.find(entry)));
    await settled();
    expect(clock.pending).toBe(1);
    await pass(100);
    expect(new Set(calls.map(({ state }) => state))).toEqual(new Set(['given up']));
    expect(clock.pending).toBe(0);
  });

  it('leaves nothing behind once it answers, but for the one timer until its time', async () => {
    const { clock, guarded, pass } = setUp();
    for (let i = 0; i < 100; i++) await guarded.find(entry);
    expect(clock.pending).toBe(1);
    await pass(100);
    expect(clock.pending).toBe(0);
  });

  it('is given up by all who wait when the application closes, and asked nothing after that', async () => {
    const { clock, store, guarded, background } = setUp();
    store.has('lost');
    const call = watched(guarded.find(entry));
    // As the engine does it: timers go first.
    await background.close();
    await guarded.close();
    await settled();
    expect(call.state).toBe('given up');
    store.asked.length = 0;
    await expect(guarded.lease(entry, terms)).rejects.toBe(NO_STORE);
    expect(store.asked).toEqual([]);
    expect([clock.pending, background.size, store.closed]).toEqual([0, 0, 1]);
  });

  it('keeps no application from closing, because what does not answer does not close either', async () => {
    const { clock, store, guarded, pass } = setUp();
    store.close = () => new Promise(() => undefined);
    const closed = watched(guarded.close());
    await pass(99);
    expect(closed.state).toBe('waiting');
    await pass(1);
    expect(closed.state).toBe('answered');
    expect(clock.pending).toBe(0);
  });

  it('may fail to close as well: the application has ended all the same', async () => {
    const { clock, store, guarded } = setUp();
    store.close = () => Promise.reject(new Error('connection reset'));
    await guarded.close();
    expect(clock.pending).toBe(0);
  });
});

describe('an answer', () => {
  it('that came in time counts though the process was too busy to look at it', async () => {
    const { clock, store, guarded } = setUp();
    store.has('held up');
    const call = watched(guarded.find(entry));
    await settled();
    clock.advance(100);
    // It lies in the socket, which is looked at when timers have run.
    await store.deliver();
    expect(call.state).toBe('answered');
  });

  it('that comes a turn after the deadline does not count: somebody asks the source by then', async () => {
    const { store, guarded, pass } = setUp();
    store.has('held up');
    const call = watched(guarded.find(entry));
    await pass(100);
    await store.deliver();
    expect(call.state).toBe('given up');
  });

  it('that is an error in whatever way is one and the same failure', async () => {
    const { store, guarded } = setUp();
    for (const trouble of ['rejected', 'thrown'] as const) {
      store.has(trouble);
      await expect(guarded.find(entry)).rejects.toBe(NO_STORE);
      await expect(guarded.invalidate(entry)).rejects.toBe(NO_STORE);
    }
  });
});

describe('a refusal', () => {
  it('is an answer: however many there are, the store is asked again', async () => {
    const { store, guarded } = setUp();
    store.has('refused');
    for (let i = 0; i < 20; i++) await expect(guarded.invalidate(entry)).rejects.toBe(REFUSED);
    expect(store.asked).toHaveLength(20);
    store.recovers();
    expect(await guarded.find(entry)).toBeUndefined();
  });

  it('shows that the store is there, as any answer does', async () => {
    const { store, guarded } = setUp();
    for (let i = 0; i < 20; i++) {
      store.has(i % 5 === 4 ? 'refused' : 'rejected');
      await expect(guarded.find(entry)).rejects.toBe(i % 5 === 4 ? REFUSED : NO_STORE);
    }
    expect(store.asked).toHaveLength(20);
  });

  it('that comes after the deadline is nobody’s any more', async () => {
    const { store, guarded, pass } = setUp();
    let refuse!: (error: Error) => void;
    store.readAll = () => new Promise((_, reject) => (refuse = reject));
    const call = watched(guarded.find(entry));
    await pass(100);
    expect(call.state).toBe('given up');
    refuse(refusal(new Error('full')));
    await settled();
  });
});

describe('after five failures in a row', () => {
  it('nobody waits any more, nor is the store asked', async () => {
    const { store, guarded } = setUp();
    store.has('rejected');
    for (let i = 0; i < 4; i++) await expect(guarded.find(entry)).rejects.toBe(NO_STORE);
    store.has('lost');
    const fifth = watched(guarded.find(entry));
    await settled();
    expect(fifth.state).toBe('waiting');
    store.has('rejected');
    await expect(guarded.find(entry)).rejects.toBe(NO_STORE);
    store.asked.length = 0;
    for (let i = 0; i < 100; i++) await expect(guarded.find(entry)).rejects.toBe(NO_STORE);
    expect(store.asked).toEqual([]);
  });

  it('that were not in a row everything goes on, because the store is there', async () => {
    const { store, guarded } = setUp();
    for (let i = 0; i < 20; i++) {
      store.has('rejected');
      for (let j = 0; j < 4; j++) await expect(guarded.find(entry)).rejects.toBe(NO_STORE);
      store.recovers();
      expect(await guarded.find(entry)).toBeUndefined();
    }
    expect(store.asked).toHaveLength(100);
  });

  it('one call every 500 ms is let through, to see whether the store is back', async () => {
    const { store, guarded, outOfReach, pass } = setUp();
    await outOfReach();
    store.has('lost');
    await pass(499);
    for (let i = 0; i < 10; i++) watched(guarded.lease(entry, terms));
    expect(store.asked).toHaveLength(0);
    await pass(1);
    for (let round = 1; round <= 3; round++) {
      const calls = Array.from({ length: 10 }, () => watched(guarded.lease(entry, terms)));
      await settled();
      expect(store.asked).toHaveLength(round);
      expect(calls.filter(({ state }) => state === 'waiting')).toHaveLength(1);
      await pass(100);
      expect(calls.filter(({ state }) => state === 'waiting')).toHaveLength(0);
      await pass(400);
    }
  });

  it('one that succeeds is enough for all to use it again', async () => {
    const { store, guarded, outOfReach, pass } = setUp();
    await outOfReach();
    store.recovers();
    await pass(500);
    await guarded.find(entry);
    for (let i = 0; i < 10; i++) await guarded.find(entry);
    expect(store.asked).toHaveLength(11);
  });
});

describe('what is granted late', () => {
  it('is given back, because nobody loads under it and others would wait for its end', async () => {
    const { shared, store, guarded, pass, background } = setUp();
    store.has('answered late', ['lease']);
    const call = watched(guarded.lease(entry, terms));
    await pass(100);
    expect(call.state).toBe('given up');
    expect(await shared.lease(entry, terms)).toMatchObject({ outcome: 'held' });
    await store.deliver();
    expect(await shared.lease(entry, terms)).toMatchObject({ outcome: 'granted' });
    expect(background.size).toBe(0);
  });

  it('is given back where it was to be written under too', async () => {
    const { shared, store, guarded, pass } = setUp();
    store.has('answered late', ['claim']);
    const call = watched(guarded.claim(entry, 2_000));
    await pass(100);
    expect(call.state).toBe('given up');
    await store.deliver();
    expect(await shared.lease(entry, terms)).toMatchObject({ outcome: 'granted' });
  });

  it('keeps no application from closing where giving it back is not answered', async () => {
    const { store, guarded, pass, background } = setUp();
    store.has('answered late', ['lease']);
    watched(guarded.lease(entry, terms));
    await pass(100);
    store.has('lost', ['fail']);
    await store.deliver();
    expect(store.asked).toEqual(['lease', 'fail']);
    await background.close();
    await guarded.close();
    expect(background.size).toBe(0);
  });

  it('is nobody’s error where giving it back fails', async () => {
    for (const trouble of ['rejected', 'thrown'] as const) {
      const { store, guarded, pass } = setUp();
      store.has('answered late', ['lease']);
      watched(guarded.lease(entry, terms));
      await pass(100);
      store.has(trouble, ['fail']);
      // A rejection without a handler would fail this test by itself, one turn later.
      await store.deliver();
      await settled();
      expect(store.asked).toEqual(['lease', 'fail']);
    }
  });

  it('or is held by somebody else: nobody waits for its end any more', async () => {
    const { store, guarded, pass } = setUp();
    let left = 0;
    const held = {
      outcome: 'held',
      forMs: 1,
      stale: undefined,
      woken: new Promise<void>(() => {}),
    };
    store.lease = async () => {
      await store.invalidate(entry);
      return { ...held, leave: () => left++ } as never;
    };
    store.has('held up', ['invalidate']);
    watched(guarded.lease(entry, terms));
    await pass(100);
    await store.deliver();
    expect(left).toBe(1);
  });
});

describe('a store of several parts', () => {
  const [here, there] = ['here', 'there'].map((id) => ({ entity: 'profile', id }));

  function inParts() {
    const test = setUp();
    const asked: string[][] = [];
    test.store.placeOf = ({ id }) => id;
    test.store.readAll = (entries) => {
      asked.push(entries.map(({ id }) => id));
      return asked.at(-1)!.includes('there')
        ? Promise.reject(new Error('connection reset'))
        : Promise.resolve(entries.map(() => undefined));
    };
    return { ...test, asked };
  }

  it('is asked for what one has while another one is out of reach', async () => {
    const { guarded, asked } = inParts();
    for (let i = 0; i < 6; i++) await expect(guarded.find(there!)).rejects.toBe(NO_STORE);
    expect(asked).toHaveLength(5);
    await expect(guarded.find(here!)).resolves.toBeUndefined();
    await expect(guarded.invalidate(here!)).resolves.toBeUndefined();
    await expect(guarded.invalidate(there!)).rejects.toBe(NO_STORE);
  });

  it('is asked for what it has part by part, also in one turn', async () => {
    const { guarded, asked } = inParts();
    const found = await Promise.allSettled([here!, there!, here!].map((one) => guarded.find(one)));
    expect(found.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(asked).toEqual([['here', 'here'], ['there']]);
  });

  it('is not remembered part by part for good, but for what is out of reach or asked just now', async () => {
    const { store, guarded } = setUp();
    store.placeOf = ({ id }) => id;
    let answer!: (all: undefined[]) => void;
    store.readAll = ([one]) =>
      one!.id === 'failed'
        ? Promise.reject(new Error('connection reset'))
        : one!.id === 'asked'
          ? new Promise((resolve) => (answer = resolve))
          : Promise.resolve([undefined]);
    const named = (id: string) => ({ entity: 'profile', id });
    await expect(guarded.find(named('failed'))).rejects.toBe(NO_STORE);
    const asked = guarded.find(named('asked'));
    for (let i = 0; i < 1_000; i++) await guarded.find(named(`server ${i}`));
    const places = guarded['places'];
    expect(places.size).toBeLessThan(100);
    expect([places.has('failed'), places.has('asked')]).toEqual([true, true]);
    answer([undefined]);
    await expect(asked).resolves.toBeUndefined();
    // Each part is counted in, also those that were forgotten.
    expect(guarded.turns).toBe(1_002);
  });

  it('is there although what it has sent on to another part is not answered', async () => {
    const { store, guarded, pass } = setUp();
    let late!: (error: Error) => void;
    const sentOn = { ...entry, id: 'sent on' };
    store.readAll = async (entries) =>
      entries.map(({ id }) =>
        id === sentOn.id ? new Promise((_, reject) => (late = reject)) : undefined,
      );
    const waited: string[] = [];
    for (let i = 0; i < 10; i++) {
      const [found, lost] = [guarded.find(entry), watched(guarded.find(sentOn))];
      await expect(found).resolves.toBeUndefined();
      await settled();
      waited.push(lost.state);
      await pass(10);
    }
    await pass(100);
    late(new Error('connection reset'));
    await settled();
    expect(waited).toEqual(Array(10).fill('waiting'));
    // That much is known by now: nobody waits for the next one.
    const next = watched(guarded.find(sentOn));
    await expect(guarded.find(entry)).resolves.toBeUndefined();
    await settled();
    expect(next.state).toBe('given up');
    await expect(guarded.invalidate(entry)).resolves.toBeUndefined();
  });

  it('says for itself what it refuses of what it was asked', async () => {
    const { store, guarded } = setUp();
    const refused = { ...entry, id: 'refused' };
    store.readAll = async (entries) =>
      entries.map(({ id }) =>
        id === refused.id ? Promise.reject(refusal(new Error('not this one'))) : undefined,
      );
    const [found, none] = await Promise.allSettled([guarded.find(entry), guarded.find(refused)]);
    expect(found).toMatchObject({ status: 'fulfilled' });
    expect(none).toMatchObject({ reason: REFUSED });
  });
});
