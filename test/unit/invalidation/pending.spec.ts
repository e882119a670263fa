import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { EventSource } from '../../../lib/events/event-source.js';
import { PendingInvalidations } from '../../../lib/invalidation/pending-invalidations.js';
import type { EntityState } from '../../../lib/store/entity-state.js';
import { Background } from '../../../lib/time/background.js';
import { fleet, settled, source, told } from '../../support/fleet.js';
import { ManualClock } from '../../support/manual-clock.js';

const events = new EventSource('test', () => undefined);
const read = readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' });
const Users = entity<string>('user', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read,
  write: invalidate(),
});
const Texts = entity<string>('text', { maxStaleness: '1m', read, write: invalidate() });

describe('an invalidation that the store does not acknowledge', () => {
  it.each(['rejected', 'lost'] as const)('is pending, not an error (%s)', async (trouble) => {
    const { processes, pass } = fleet(1);
    const [{ way, invalidate: drop, warnings }] = processes as [(typeof processes)[0]];
    way.has(trouble);
    const faults = await told('fault', async () => {
      const outcome = drop(Users, 'a');
      await pass(100);
      expect(await outcome).toBe('pending');
    });
    expect(faults.map(({ code }) => code)).toEqual(['CACHE_INVALIDATION_PENDING']);
    expect(warnings).toEqual([
      "[CACHE_INVALIDATION_PENDING] An entry of 'user' was invalidated, and the store 'default' could not be told. It is told again until it has heard; other processes may serve the old value until then, at most for its ttl. Further ones are only told as 'fault' events.",
    ]);
  });

  it('is sent once more when the application ends; what the store has not heard of then is told', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    for (const key of ['a', 'b']) await second!.read(Users, key, async () => 'old');
    first!.way.has('rejected', ['invalidate']);
    await first!.invalidate(Users, 'a');
    first!.way.recovers();
    expect(await told('fault', () => first!.engine.close())).toEqual([]);
    expect(await second!.peek(Users, 'a')).toBeUndefined();
    second!.way.has('rejected', ['invalidate']);
    await second!.invalidate(Users, 'b');
    const [fault] = await told('fault', () => second!.engine.close());
    expect(fault?.message).toMatch(
      /^1 entries of 'user' were invalidated, and their store could not/,
    );
  });

  it('is sent once more, too, where it was on its way when the application ended', async () => {
    const { processes, pass } = fleet(2);
    const [first, second] = processes;
    await second!.read(Users, 'a', async () => 'old');
    first!.way.has('lost', ['invalidate']);
    const outcome = first!.invalidate(Users, 'a');
    await settled();
    const closed = first!.engine.close();
    first!.way.recovers();
    await pass(100);
    await closed;
    expect(await outcome).toBe('pending');
    expect(await second!.peek(Users, 'a')).toBeUndefined();
  });

  it('is sent once more with all others, though the store was away for long', async () => {
    const { processes, pass } = fleet(2);
    const [first, second] = processes;
    const keys = Array.from({ length: 20 }, (_, i) => `${i}`);
    for (const key of keys) await second!.read(Users, key, async () => 'old');
    first!.way.has('rejected', ['invalidate']);
    await Promise.all(keys.map(async (key) => first!.invalidate(Users, key)));
    await pass(499);
    first!.way.recovers();
    expect(await told('fault', () => first!.engine.close())).toEqual([]);
    for (const key of keys) expect(await second!.peek(Users, key)).toBeUndefined();
  });

  it('is true here at once: the key asks the source, and not what the store still has', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    await second!.read(Users, 'a', async () => 'old');
    first!.way.has('rejected', ['invalidate']);
    await first!.invalidate(Users, 'a');
    first!.way.asked.length = 0;
    const load = source();
    expect(await first!.read(Users, 'a', load)).toBe(1);
    expect(await first!.read(Users, 'a', load)).toBe(2);
    expect(await first!.peek(Users, 'a')).toBeUndefined();
    expect(first!.way.asked).toEqual([]);
    // Other keys are as ever.
    expect(await first!.read(Users, 'b', async () => 'b')).toBe('b');
    expect(await second!.peek(Users, 'b')).toBe('b');
  });

  it('lets its process keep what the source says now, where the contract bears copies', async () => {
    const { processes } = fleet(1);
    const [{ way, read, invalidate: drop }] = processes as [(typeof processes)[0]];
    way.has('rejected');
    await drop(Texts, 'a');
    const load = source();
    expect(await read(Texts, 'a', load)).toBe(1);
    expect(await read(Texts, 'a', load)).toBe(1);
  });

  it('is sent again every 500 ms until it arrives; then the key is used again', async () => {
    const { processes, pass, underWay } = fleet(2);
    const [first, second] = processes;
    await second!.read(Users, 'a', async () => 'old');
    first!.way.has('rejected', ['invalidate']);
    await first!.invalidate(Users, 'a');
    for (let round = 0; round < 3; round++) {
      first!.way.asked.length = 0;
      await pass(499);
      expect(first!.way.asked).toEqual([]);
      await pass(1);
      expect(first!.way.asked).toEqual(['invalidate']);
    }
    expect(await second!.peek(Users, 'a')).toBe('old');
    first!.way.recovers();
    await pass(500);
    expect(await second!.peek(Users, 'a')).toBeUndefined();
    expect(await first!.read(Users, 'a', async () => 'new')).toBe('new');
    expect(await second!.read(Users, 'a', source())).toBe('new');
    await pass(100);
    expect(underWay()).toBe(0);
  });

  it('does not let the key be used by one that arrives, where another one was asked for meanwhile', async () => {
    const { processes, pass } = fleet(1);
    const [{ way, read, invalidate: drop }] = processes as [(typeof processes)[0]];
    way.has('rejected', ['invalidate']);
    await drop(Users, 'a');
    way.has('answered late', ['invalidate']);
    await pass(500);
    way.has('rejected', ['invalidate']);
    await drop(Users, 'a');
    await way.deliver();
    const load = source();
    await read(Users, 'a', load);
    await read(Users, 'a', load);
    expect(load.runs).toBe(2);
    way.recovers();
    await pass(500);
    await read(Users, 'a', load);
    await read(Users, 'a', load);
    expect(load.runs).toBe(3);
  });

  it('is given up when what was there has gone by itself, and the key is used again then', async () => {
    const { processes, pass } = fleet(1);
    const [{ way, read, invalidate: drop }] = processes as [(typeof processes)[0]];
    way.has('rejected', ['invalidate']);
    await drop(Users, 'a');
    // ttl, loadTimeout and the margin of a lease.
    await pass(63_000);
    way.asked.length = 0;
    await pass(500);
    await pass(500);
    expect(way.asked).toEqual([]);
    await read(Users, 'a', async () => 'new');
    expect(await read(Users, 'a', source())).toBe('new');
  });

  it('keeps no application from closing, nor is it sent after that', async () => {
    const { clock, processes, pass, underWay } = fleet(1);
    const [{ way, engine, invalidate: drop }] = processes as [(typeof processes)[0]];
    way.has('lost', ['invalidate']);
    const outcome = drop(Users, 'a');
    await settled();
    const faults = await told('fault', async () => {
      const closed = engine.close();
      // What was on its way, and once more.
      await pass(100);
      await pass(100);
      await closed;
    });
    expect(await outcome).toBe('pending');
    expect(faults.map(({ message }) => message)).toEqual([
      expect.stringContaining('It is told again until it has heard'),
      expect.stringMatching(/^1 entries of 'user' were invalidated, and their store could not/),
    ]);
    expect([underWay(), clock.pending]).toEqual([0, 0]);
    way.asked.length = 0;
    const late = drop(Users, 'b');
    await pass(500);
    expect(await late).toBe('pending');
    expect(way.asked).toEqual([]);
    expect([underWay(), clock.pending]).toEqual([0, 0]);
  });
});

describe('invalidations of one key that pile up', () => {
  const sent = async (...asked: ({ readonly atLeast: number } | undefined)[]) => {
    const clock = new ManualClock();
    const told: unknown[] = [];
    const pending = new PendingInvalidations(clock, new Background(clock), events);
    const state = stateWith((_, atLeast) => void told.push(atLeast ?? 'all'));
    for (const one of asked) pending.add(state, 'a', one?.atLeast);
    expect(pending.size).toBe(1);
    clock.advance(500);
    await settled();
    expect(pending.size).toBe(0);
    return told;
  };

  it('are sent as one', async () => {
    expect(await sent(undefined, undefined, undefined)).toEqual(['all']);
  });

  it('ask for the highest version that was asked for, in whatever order', async () => {
    expect(await sent({ atLeast: 5 }, { atLeast: 9 }, { atLeast: 3 })).toEqual([9]);
  });

  it('remove what is there, and say what must come, where both was asked for', async () => {
    expect(await sent({ atLeast: 5 }, undefined)).toEqual([5, 'all']);
    expect(await sent(undefined, { atLeast: 5 })).toEqual([5, 'all']);
  });
});

describe('more of them than can be remembered', () => {
  it('shut the store out for the entity, until all that it has of it is gone', async () => {
    const { processes, pass } = fleet(1);
    const [{ way, engine, read }] = processes as [(typeof processes)[0]];
    const state = engine.entities.stateOf(Users);
    way.has('rejected', ['invalidate']);
    for (let i = 0; i < 10_001; i++) void engine.invalidator.invalidate(state, `${i}`);
    await settled();
    way.recovers();
    // Two rounds, of which the first finds out that the store is back.
    await pass(500);
    await pass(500);
    const load = source();
    way.asked.length = 0;
    await read(Users, 'another', load);
    await read(Users, 'another', load);
    expect([load.runs, way.asked]).toEqual([2, []]);
    // Other entities are not concerned.
    await read(Texts, 'a', async () => 'text');
    expect(way.asked.slice(0, 2)).toEqual(['read', 'lease']);
    await pass(62_499);
    await read(Users, 'another', load);
    expect(load.runs).toBe(3);
    await pass(1);
    await read(Users, 'another', load);
    await read(Users, 'another', load);
    expect(load.runs).toBe(4);
  });

  it('forget none of those that are remembered: one asked for again is not one more', () => {
    const clock = new ManualClock();
    const pending = new PendingInvalidations(clock, new Background(clock), events);
    let shutOut = 0;
    const state = stateWith(
      () => undefined,
      () => shutOut++,
    );
    for (let i = 0; i < 10_000; i++) pending.add(state, `${i}`, undefined);
    pending.add(state, '0', undefined);
    expect([pending.size, shutOut]).toEqual([10_000, 0]);
    pending.add(state, '10000', undefined);
    expect([pending.size, shutOut]).toEqual([10_000, 1]);
  });

  it('take their turns, a hundred at a time, and those that fail again wait behind the others', async () => {
    const clock = new ManualClock();
    const pending = new PendingInvalidations(clock, new Background(clock), events);
    const arrived: string[] = [];
    const dead = stateWith(() => Promise.reject(new Error('still out of reach')));
    const alive = stateWith((id) => void arrived.push(id));
    for (let i = 0; i < 100; i++) pending.add(dead, `dead ${i}`, undefined);
    for (let i = 0; i < 50; i++) pending.add(alive, `alive ${i}`, undefined);
    clock.advance(500);
    await settled();
    expect(arrived).toHaveLength(0);
    clock.advance(500);
    await settled();
    expect(arrived).toHaveLength(50);
    expect(pending.size).toBe(100);
  });
});

/** An entity whose entries are shared, as far as this needs one. */
function stateWith(
  invalidate: (id: string, atLeast?: unknown) => unknown,
  shutOut: () => unknown = () => undefined,
): EntityState {
  const remote = {
    keepMs: 60_000,
    quarantined: new Set<string>(),
    invalidate: async (id: string, atLeast?: unknown) => invalidate(id, atLeast),
    invalidateAll: shutOut,
  };
  return { policy: { entity: 'thing' }, detour: undefined, remote } as never;
}
