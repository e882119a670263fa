import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { EventSource } from '../../../lib/events/event-source.js';
import { PendingInvalidations } from '../../../lib/invalidation/pending-invalidations.js';
import type { EntityState } from '../../../lib/store/entity-state.js';
import { Background } from '../../../lib/time/background.js';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source, told } from '../../support/fleet.js';
import { ManualClock } from '../../support/manual-clock.js';
import { MemoryLog } from '../../support/memory-store/memory-log.js';

const read = readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' });
const bounds = { maxStaleness: { normal: '5s', incident: '1m' } } as const;
const Users = entity<string>('user', { ...bounds, read, write: invalidate() });
const Notes = entity<string>('note', { ...bounds, read, write: invalidate() });

describe('invalidations while the store is away', () => {
  it('of one key are one command when it is back, however often it was asked for', async () => {
    const { processes, pass } = fleet(2);
    const [first, second] = processes;
    await second!.read(Users, 'a', async () => 'old');
    first!.way.has('rejected', ['invalidate']);
    for (let i = 0; i < 50; i++) expect(await first!.invalidate(Users, 'a')).toBe('pending');
    first!.way.recovers();
    first!.way.asked.length = 0;
    for (let round = 0; round < 3; round++) await pass(500);
    expect(first!.way.asked).toEqual(['invalidate']);
    expect(await second!.peek(Users, 'a')).toBeUndefined();
  });

  it('of thousands of keys are all acknowledged when it is back, each once, and every key is used again', async () => {
    const { processes, pass } = fleet(2);
    const [first, second] = processes;
    const keys = Array.from({ length: 3_000 }, (_, i) => `${i}`);
    for (const key of keys) await second!.read(Users, key, async () => 'old');
    first!.way.has('rejected', ['invalidate']);
    const outcomes = await Promise.all(keys.map(async (key) => first!.invalidate(Users, key)));
    expect(new Set(outcomes)).toEqual(new Set(['pending']));
    const { quarantined } = first!.engine.entities.stateOf(Users).remote!;
    expect(quarantined.size).toBe(3_000);
    first!.way.recovers();
    first!.way.asked.length = 0;
    // Of the first hundred one finds out that it is back.
    await pass(500);
    expect(first!.way.asked).toEqual(['invalidate']);
    for (let turn = 0; turn < 2; turn++) await pass(500);
    for (let turn = 0; turn < 100 && quarantined.size > 0; turn++) await settled();
    expect(quarantined.size).toBe(0);
    expect(first!.way.asked).toHaveLength(3_000);
    for (const key of keys) expect(await second!.peek(Users, key)).toBeUndefined();
    await first!.read(Users, '7', async () => 'new');
    expect(await second!.read(Users, '7', source())).toBe('new');
  });

  it('of more keys than can be remembered are told as one of all entries, and none of them is used before', async () => {
    const log = new MemoryLog();
    const { processes, pass } = fleet(2, undefined, log);
    for (const { engine } of processes) engine.entities.stateOf(Users);
    await settled();
    const [first, second] = processes as [(typeof processes)[0], (typeof processes)[0]];
    const last = `${10_000}`;
    for (const key of [last, 'untouched']) await second.read(Users, key, async () => 'old');
    await settled();
    first.way.has('rejected', ['invalidate']);
    first.told.answers = 'none';
    const keys = Array.from({ length: 10_001 }, (_, i) => `${i}`);
    const outcomes = await Promise.all(keys.map(async (key) => first.invalidate(Users, key)));
    expect(new Set(outcomes)).toEqual(new Set(['pending']));
    for (const key of [last, 'untouched']) {
      first.engine.entities.stateOf(Users).table.clear();
      expect(await first.read(Users, key, async () => 'new')).toBe('new');
    }
    expect(await second.read(Users, last, async () => 'new')).toBe('old');
    first.told.answers = 'all';
    await pass(500);
    await pass(500);
    expect(await second.read(Users, last, async () => 'new')).toBe('new');
    expect(await second.read(Users, 'untouched', async () => 'new')).toBe('new');
  });

  it('quarantine their keys until each is acknowledged, and no other one', async () => {
    const { processes, pass } = fleet(1);
    const [{ way, read, invalidate: drop }] = processes as [(typeof processes)[0]];
    const loads = { a: source(), b: source(), c: source() };
    const readAll = async () => {
      for (const [key, load] of Object.entries(loads)) await read(Users, key, load);
      return Object.values(loads).map(({ runs }) => runs);
    };
    expect(await readAll()).toEqual([1, 1, 1]);
    way.has('rejected', ['invalidate']);
    await drop(Users, 'a');
    await drop(Users, 'b');
    expect(await readAll()).toEqual([2, 2, 1]);
    expect(await readAll()).toEqual([3, 3, 1]);
    way.has('held up', ['invalidate']);
    await pass(500);
    await way.deliver(1);
    await settled();
    expect(await readAll()).toEqual([4, 4, 1]);
    // The first one is used again; the second one is not yet.
    expect(await readAll()).toEqual([4, 5, 1]);
    await way.deliver();
    await settled();
    expect(await readAll()).toEqual([4, 6, 1]);
    expect(await readAll()).toEqual([4, 6, 1]);
  });
});

describe('what is sent again', () => {
  /** Sent, and not answered until the test does. */
  function sending() {
    const clock = new ManualClock();
    const events = new EventSource('test', () => undefined);
    const pending = new PendingInvalidations(clock, new Background(clock), events);
    const sent: { readonly id: string; readonly answer: ReturnType<typeof deferred<void>> }[] = [];
    const quarantined = new Set<string>();
    const remote = {
      keepMs: 60_000,
      quarantined,
      invalidate: (id: string) => {
        const answer = deferred<void>();
        sent.push({ id, answer });
        return answer.promise.catch((error: unknown) => {
          // As the tier of the entity does.
          quarantined.add(id);
          throw error;
        });
      },
    };
    const state = { policy: { entity: 'thing' }, detour: undefined, remote } as never;
    const pass = async (ms: number) => {
      await settled();
      clock.advance(ms);
      await settled();
    };
    return { pending, state: state as EntityState, sent, quarantined, pass };
  }

  it('is not sent once more beside itself, however long the store takes and whatever fails meanwhile', async () => {
    const { pending, state, sent, quarantined, pass } = sending();
    pending.add(state, 'a', undefined);
    await pass(500);
    pending.add(state, 'b', undefined);
    for (let round = 0; round < 5; round++) await pass(500);
    expect(sent.map(({ id }) => id)).toEqual(['a']);
    sent[0]!.answer.resolve();
    await pass(0);
    expect(sent.map(({ id }) => id)).toEqual(['a', 'b']);
    sent[1]!.answer.resolve();
    await pass(500);
    expect([sent.length, pending.size, quarantined.size]).toEqual([2, 0, 0]);
  });

  it('goes on twice a second after one that failed, in the order in which it was asked for', async () => {
    const { pending, state, sent, pass } = sending();
    for (const id of ['a', 'b', 'c']) pending.add(state, id, undefined);
    await pass(500);
    sent[1]!.answer.reject(new Error('connection reset'));
    for (const { answer } of [sent[0]!, sent[2]!]) answer.resolve();
    pending.add(state, 'd', undefined);
    await pass(500);
    expect(sent.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd', 'b']);
  });
});

describe("'acknowledge'", () => {
  it('tells how much of an entity was pending and for how long, once, when nothing of it is any more', async () => {
    const { processes, pass } = fleet(1);
    const [{ way, invalidate: drop }] = processes as [(typeof processes)[0]];
    const events = await told('acknowledge', async () => {
      way.has('rejected', ['invalidate']);
      for (const key of ['a', 'b', 'a']) await drop(Users, key);
      await pass(200);
      await drop(Notes, 'a');
      way.has('held up', ['invalidate']);
      await pass(300);
      await way.deliver(1);
      await settled();
      expect(way.asked.filter((command) => command === 'invalidate')).toHaveLength(7);
      await way.deliver(1);
      await settled();
    });
    expect(events).toEqual([
      { namespace: 'test', entity: 'user', entries: 2, lapsed: 0, pendingMs: 500 },
    ]);
    const later = await told('acknowledge', async () => {
      await way.deliver();
      await settled();
    });
    expect(later).toEqual([
      { namespace: 'test', entity: 'note', entries: 1, lapsed: 0, pendingMs: 300 },
    ]);
  });

  it('tells apart what nobody needs to be told of any more, because it has gone by itself', async () => {
    const { processes, pass } = fleet(1);
    const [{ way, invalidate: drop }] = processes as [(typeof processes)[0]];
    way.has('rejected', ['invalidate']);
    await drop(Users, 'a');
    await pass(40_000);
    await drop(Users, 'b');
    await pass(23_400);
    way.recovers();
    const events = await told('acknowledge', async () => {
      for (let round = 0; round < 3; round++) await pass(500);
    });
    expect(events).toEqual([expect.objectContaining({ entity: 'user', entries: 1, lapsed: 1 })]);
  });

  it('is not told of what was acknowledged at once, nor of what was not when the application ended', async () => {
    const { processes } = fleet(1);
    const [{ way, engine, invalidate: drop }] = processes as [(typeof processes)[0]];
    const events = await told('acknowledge', async () => {
      expect(await drop(Users, 'a')).toBe('acknowledged');
      way.has('rejected', ['invalidate']);
      await drop(Users, 'b');
      await engine.close();
    });
    expect(events).toEqual([]);
  });

  it('is told at the end of the application, of what the store has heard then', async () => {
    const { processes } = fleet(1);
    const [{ way, engine, invalidate: drop }] = processes as [(typeof processes)[0]];
    way.has('rejected', ['invalidate']);
    await drop(Users, 'b');
    way.recovers();
    const events = await told('acknowledge', () => engine.close());
    expect(events.map(({ entries }) => entries)).toEqual([1]);
  });
});
