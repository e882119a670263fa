import { entity, invalidate, readThrough, writeThrough } from 'nestjs-cache-contract';
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
const Texts = entity<string | number>('text', {
  maxStaleness: { normal: '5s', incident: '10m' },
  read,
  write: writeThrough(),
});

async function linked(size = 2) {
  const log = new MemoryLog();
  const all = fleet(size, undefined, log);
  for (const { engine } of all.processes) {
    for (const entity of [Users, Texts]) engine.entities.stateOf(entity);
  }
  await settled();
  return { ...all, log };
}

/** How often the store is asked meanwhile. */
async function asked(
  { way }: { readonly way: { readonly asked: string[] } },
  during: () => Promise<unknown>,
) {
  const before = way.asked.length;
  await during();
  return way.asked.length - before;
}

describe('copies of what processes share', () => {
  it('are answered from without asking the store, in all of them', async () => {
    const { processes } = await linked();
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    for (const process of processes) {
      expect(await asked(process, () => process.read(Users, 'a', load))).toBe(0);
    }
    expect(load.runs).toBe(1);
  });

  it('go when another process invalidates, and what is read then is new', async () => {
    const { processes } = await linked(3);
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    expect(await processes[0]!.invalidate(Users, 'a')).toBe('acknowledged');
    for (const { read } of processes) expect(await read(Users, 'a', load)).toBe(2);
  });

  it('are not made of what was read before a change and arrives after it', async () => {
    const { processes } = await linked();
    const [one, other] = processes;
    const load = source();
    await one!.read(Users, 'a', load);
    await settled();
    other!.way.has('answered late', ['read']);
    const late = other!.read(Users, 'a', load);
    await settled();
    await one!.invalidate(Users, 'a');
    await other!.way.deliver();
    other!.way.recovers();
    expect(await late).toBe(1);
    expect(await other!.read(Users, 'a', load)).toBe(2);
  });

  it('are not what those get who ask after a change for what is just being loaded', async () => {
    const { processes } = await linked();
    const [one, other] = processes;
    const slow = deferred<number>();
    const early = other!.read(Users, 'a', () => slow.promise);
    await settled();
    await one!.invalidate(Users, 'a');
    const late = other!.read(Users, 'a', async () => 2);
    await settled();
    slow.resolve(1);
    expect([await early, await late]).toEqual([1, 2]);
  });

  it('go when another process has written, and the value it wrote is there', async () => {
    const { processes } = await linked();
    const [one, other] = processes;
    for (const { read } of processes) await read(Texts, 'a', async () => 'old');
    await settled();
    await one!.cache.prime(Texts, 'a', async () => 'new');
    for (const { read } of processes) expect(await read(Texts, 'a', source())).toBe('new');
    expect(other!.told.underWay).toEqual([]);
  });
});

describe('a process that misses what others say', () => {
  it('learns of it within a poll, in the order in which it was said', async () => {
    const { processes, pass } = await linked();
    const [one, other] = processes;
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    other!.told.isHeldUp = true;
    await one!.invalidate(Users, 'a');
    expect(await other!.read(Users, 'a', load)).toBe(1);
    const faults = await toldOf('fault', () => pass(1_000));
    expect(faults).toEqual([]);
    expect(await other!.read(Users, 'a', load)).toBe(2);
    // What comes at last is known.
    other!.told.deliver();
    expect(await asked(other!, () => other!.read(Users, 'a', load))).toBe(0);
  });

  it('asks at once when it sees that something is missing', async () => {
    const { processes } = await linked();
    const [one, other] = processes;
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    other!.told.isHeldUp = true;
    await one!.invalidate(Users, 'a');
    await one!.invalidate(Users, 'b');
    other!.told.deliver([other!.told.underWay[1]!]);
    await settled();
    expect(await other!.read(Users, 'a', load)).toBe(2);
  });

  it('asks at once when it is connected again', async () => {
    const { processes } = await linked();
    const [one, other] = processes;
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    other!.told.isHeldUp = true;
    await one!.invalidate(Users, 'a');
    other!.told.listenAgain();
    await settled();
    expect(await other!.read(Users, 'a', load)).toBe(2);
  });

  it('uses no copy for longer than its lease when it gets no answer, and reads the store instead', async () => {
    const { processes, pass } = await linked();
    const [one, other] = processes;
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    other!.told.isHeldUp = true;
    other!.told.answers = 'none';
    await one!.invalidate(Users, 'a');
    for (let i = 0; i < 4; i++) await pass(1_000);
    expect(await other!.read(Users, 'a', load)).toBe(1);
    await pass(1_000);
    expect(await other!.read(Users, 'a', load)).toBe(2);
    // Read each time, because nobody says whether it is current.
    expect(await asked(other!, () => other!.read(Users, 'a', load))).toBe(1);
    other!.told.answers = 'all';
    await pass(1_000);
    // What it had missed was about this one.
    await other!.read(Users, 'a', load);
    await settled();
    expect(await asked(other!, () => other!.read(Users, 'a', load))).toBe(0);
  });

  it('drops all copies, and says so, when the log does not have what is missing', async () => {
    const { processes, pass, log } = await linked();
    const [one, other] = processes;
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    other!.told.isHeldUp = true;
    await one!.invalidate(Users, 'a');
    log.trim();
    const faults = await toldOf('fault', () => pass(1_000));
    expect(new Set(faults.map(({ code }) => code))).toEqual(new Set(['CACHE_COPIES_DROPPED']));
    expect(await other!.read(Users, 'a', load)).toBe(2);
  });

  it.each([0, 1, 5])(
    'drops them when the log goes on with another history, that lacks %i messages and has as many again',
    async (lost) => {
      const { processes, pass, log } = await linked();
      const [one, other] = processes;
      const load = source();
      for (const { read } of processes) await read(Users, 'a', load);
      await settled();
      other!.told.isHeldUp = true;
      await one!.invalidate(Users, 'a');
      log.failOver(lost);
      for (let i = 0; i < lost; i++) log.append('somebody', { entries: [], tags: [] });
      await pass(1_000);
      expect(await other!.read(Users, 'a', load)).toBe(2);
    },
  );

  it('does not keep what was on its way when all copies were dropped', async () => {
    const { processes, pass, log } = await linked();
    const [one, other] = processes;
    const load = source();
    await one!.read(Users, 'a', load);
    await settled();
    other!.way.has('answered late', ['read']);
    const late = other!.read(Users, 'a', load);
    await settled();
    other!.told.isHeldUp = true;
    await one!.invalidate(Users, 'a');
    log.failOver(1);
    // The read itself is given up after its deadline: time stands still for it.
    other!.told.listenAgain();
    await settled();
    await other!.way.deliver();
    other!.way.recovers();
    await late;
    await pass(0);
    expect(await other!.read(Users, 'a', load)).toBe(2);
  });
});

describe('a copy of which nobody knows whether it is current', () => {
  it.each([
    { contract: 'an error', staleIfError: 0, answer: 'the error' },
    { contract: 'something stale', staleIfError: '1h', answer: 1 },
  ] as const)('is not served after a failed load, but to who prefers $contract', async (one) => {
    const Prices = entity<number>('price', {
      maxStaleness: { normal: '5s', incident: '2h' },
      read: readThrough({
        ttl: '10m',
        jitter: 0,
        loadTimeout: '2s',
        staleIfError: one.staleIfError,
      }),
      write: invalidate(),
    });
    const { processes, pass } = await linked(1);
    const [{ engine, read, told, way }] = processes as [(typeof processes)[0]];
    engine.entities.stateOf(Prices);
    const load = source();
    expect(await read(Prices, 'a', load)).toBe(1);
    await settled();
    told.answers = 'none';
    await pass(6_000);
    way.has('rejected');
    load.error = new Error('the database is away');
    const answer = read(Prices, 'a', load).catch(() => 'the error');
    expect(await answer).toBe(one.answer);
  });
});

describe('a change that others could not be told of', () => {
  it('is pending, and told again until they can be', async () => {
    const { processes, pass } = await linked();
    const [one, other] = processes;
    const load = source();
    for (const { read } of processes) await read(Users, 'a', load);
    await settled();
    one!.told.answers = 'none';
    expect(await one!.invalidate(Users, 'a')).toBe('pending');
    expect(await other!.read(Users, 'a', load)).toBe(1);
    one!.told.answers = 'all';
    await pass(500);
    expect(await other!.read(Users, 'a', load)).toBe(2);
    expect(await one!.read(Users, 'a', load)).toBe(2);
  });
});

describe('an application that ends', () => {
  it('asks nothing any more, and leaves no timer', async () => {
    const { processes, pass, clock } = await linked(1);
    const [{ engine, told }] = processes as [(typeof processes)[0]];
    await engine.close();
    const { polls } = told;
    await pass(10_000);
    expect(told.polls).toBe(polls);
    expect(clock.pending).toBe(0);
  });
});
