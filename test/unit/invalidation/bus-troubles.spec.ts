import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { calls } from '../../../lib/read/call-context.js';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source, told as toldOf } from '../../support/fleet.js';
import { MemoryLog } from '../../support/memory-store/memory-log.js';

const read = readThrough({ ttl: '10m', jitter: 0, loadTimeout: '2s' });
/** Copies in each process, as long as it hears of changes. */
const Users = entity<string | number>('user', {
  maxStaleness: { normal: '5s', incident: '10m' },
  read,
  write: invalidate(),
});
const Prices = entity<number>('price', {
  maxStaleness: { normal: '5s', incident: '2h' },
  read: readThrough({ ttl: '10m', jitter: 0, loadTimeout: '2s', staleIfError: '1h' }),
  write: invalidate(),
});
/** No copies. */
const Baskets = entity<number>('basket', {
  maxStaleness: '10m',
  read,
  write: invalidate(),
  prefer: 'error',
});

async function linked(size = 2, deadlineMs = 100) {
  const log = new MemoryLog();
  const all = fleet(size, undefined, log, deadlineMs);
  for (const { engine } of all.processes) {
    for (const entity of [Users, Prices, Baskets]) engine.entities.stateOf(entity);
  }
  await settled();
  return { ...all, log };
}

describe('a log that fails, of a store that does not', () => {
  it('costs five changes their deadline, and no reader of the store anything', async () => {
    const { processes, pass, clock } = await linked();
    const [one, other] = processes;
    const load = source();
    one!.told.append = () => new Promise(() => undefined);
    const waited: number[] = [];
    for (let i = 0; i < 10; i++) {
      await one!.read(Baskets, `${i}`, load);
      const at = clock.monotonic();
      let outcome: string | undefined;
      void Promise.resolve(one!.invalidate(Baskets, `${i}`)).then((told) => (outcome = told));
      while (outcome === undefined) await pass(10);
      expect(outcome).toBe('pending');
      waited.push(clock.monotonic() - at);
    }
    expect(waited.filter((ms) => ms >= 100)).toHaveLength(5);
    // The store knows, and nobody avoids it.
    load.runs = 0;
    for (const { read } of [one!, other!, one!]) expect(await read(Baskets, '0', load)).toBe(1);
  });

  it('is told all of it when it is back, and those who have copies with it', async () => {
    const { processes, pass } = await linked();
    const [one, other] = processes;
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    const append = one!.told.append.bind(one!.told);
    one!.told.append = () => Promise.reject(new Error('not connected'));
    expect(await one!.invalidate(Users, 'a')).toBe('pending');
    await pass(1_000);
    expect(await other!.read(Users, 'a', load)).toBe(1);
    one!.told.append = append;
    await pass(1_000);
    expect(await other!.read(Users, 'a', load)).toBe(2);
  });

  it('says nothing, and that is told once', async () => {
    const { processes, pass } = await linked(1);
    processes[0]!.told.answers = 'none';
    const faults = await toldOf('fault', async () => {
      for (let i = 0; i < 60; i++) await pass(1_000);
    });
    expect(faults.map(({ code, message }) => [code, /does not say/.test(message)])).toEqual(
      Array(2).fill(['CACHE_STORE_OUT_OF_REACH', true]),
    );
  });

  it('is not asked for each thing that nobody of ours says', async () => {
    const { processes } = await linked(1);
    const [{ told }] = processes as [(typeof processes)[0]];
    const before = told.polls;
    for (let seq = 0; seq < 200; seq++) {
      told.deliver([{ epoch: 'of others', seq, writer: 'x', entries: [], tags: [] }]);
      await settled();
    }
    expect(told.polls - before).toBeLessThanOrEqual(20);
  });

  it('that has gone back within its epoch has lost something', async () => {
    const { processes, pass, log } = await linked();
    const [one, other] = processes;
    const load = source();
    for (let i = 0; i < 5; i++) await one!.invalidate(Users, `${i}`);
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    log.goBack(3);
    await one!.invalidate(Users, 'a');
    await pass(1_000);
    expect(await other!.read(Users, 'a', load)).toBe(2);
  });
});

describe('a lease', () => {
  it('counts from when it was asked for, not from the answer', async () => {
    const { processes, pass } = await linked(2, 60_000);
    const [one, other] = processes;
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    // Answered at once, and heard 800 ms later; then nothing is heard.
    const { told } = other!;
    const answer = told.poll.bind(told);
    const late = deferred<void>();
    let asked = false;
    told.poll = async (heard) => {
      if (asked) return new Promise(() => undefined);
      asked = true;
      const answered = await answer(heard);
      await late.promise;
      return answered;
    };
    told.isHeldUp = true;
    await pass(1_000);
    await one!.invalidate(Users, 'a');
    await pass(800);
    late.resolve();
    await settled();
    for (let ms = 0; ms < 4_000; ms += 500) await pass(500);
    expect(await other!.read(Users, 'a', load)).toBe(1);
    await pass(200);
    expect(await other!.read(Users, 'a', load)).toBe(2);
  });
});

describe('what is on its way to become a copy', () => {
  it('by a load of this process alone is none when all copies are dropped meanwhile', async () => {
    const { processes, log } = await linked();
    const [one, other] = processes;
    other!.way.has('rejected');
    const slow = deferred<string>();
    const early = other!.read(Users, 'a', () => slow.promise);
    await settled();
    other!.told.isHeldUp = true;
    await one!.invalidate(Users, 'a');
    log.failOver(1);
    other!.told.listenAgain();
    await settled();
    slow.resolve('old');
    expect(await early).toBe('old');
    other!.way.recovers();
    expect(await other!.read(Users, 'a', async () => 'new')).toBe('new');
  });

  it('is not what was read again because of a change that the store did not know yet', async () => {
    const { processes } = await linked();
    const [one, other] = processes;
    for (const { read } of processes) await read(Users, 'a', async () => 'old');
    await settled();
    one!.way.has('held up', ['invalidate']);
    const change = one!.invalidate(Users, 'a');
    await settled();
    expect(await other!.read(Users, 'a', source())).toBe('old');
    await one!.way.deliver();
    await change;
    expect(await other!.read(Users, 'a', async () => 'new')).toBe('new');
  });
});

describe('a value that is brought along', () => {
  it.each([
    { what: 'others could not be told', trouble: 'append' },
    { what: 'whose answer was lost', trouble: 'fill' },
  ] as const)('replaces copies that were made meanwhile, also where $what', async ({ trouble }) => {
    const { processes, pass } = await linked();
    const [one, other] = processes;
    const state = one!.engine.entities.stateOf(Users);
    one!.way.has('held up', ['claim']);
    const put = one!.engine.writer.put(state, 'a', 'new', 600_000, undefined);
    for (let turn = 0; turn < 5; turn++) await settled();
    expect(await other!.read(Users, 'a', async () => 'of before')).toBe('of before');
    await settled();
    const append = one!.told.append.bind(one!.told);
    if (trouble === 'fill') one!.way.has('answered late', ['fill']);
    else {
      one!.told.append = () => {
        one!.told.append = append;
        return Promise.reject(new Error('not connected'));
      };
    }
    await one!.way.deliver(1);
    await pass(150);
    await put;
    one!.way.recovers();
    for (let i = 0; i < 4; i++) await pass(1_000);
    expect(await other!.read(Users, 'a', async () => 'loaded')).not.toBe('of before');
  });
});

describe('a copy of which nobody knows whether it is current', () => {
  it('is not served where the store says that there is nothing', async () => {
    const { processes, pass } = await linked();
    const [one, other] = processes;
    const load = source();
    await one!.read(Prices, 'a', load);
    await settled();
    one!.told.isHeldUp = true;
    one!.told.answers = 'none';
    await other!.invalidate(Prices, 'a');
    await pass(6_000);
    load.error = new Error('the database is away');
    const state = one!.engine.entities.stateOf(Prices);
    const fresh = { accepts: new Map([[state, 0]]) } as never;
    for (const context of [{} as never, fresh]) {
      await expect(calls.run(context, () => one!.read(Prices, 'a', load))).rejects.toBe(load.error);
    }
  });
});
