import { currentLoad, entity } from 'nestjs-cache-contract';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source, told as toldOf } from '../../support/fleet.js';
import {
  contract,
  forgetCopies,
  linked,
  Pages,
  tagged,
  Things,
  Written,
  type Process,
  type Thing,
} from '../../support/tagged-fleet.js';

/** From the store, and not from a copy. */
async function fromStore(process: Process, read: () => Promise<unknown>): Promise<unknown> {
  forgetCopies(process);
  return read();
}

describe('a tag of entries that processes share', () => {
  it('takes what carries it out of use in all of them, and nothing else', async () => {
    const { processes } = await linked(3);
    const [tea, coffee] = [tagged('tea'), tagged('coffee')];
    for (const { read } of processes) {
      await read(Things, 'a', tea);
      await settled();
      await read(Things, 'b', coffee);
      await settled();
    }
    expect([tea.runs, coffee.runs]).toEqual([1, 1]);
    expect(await processes[1]!.cache.invalidateTag('tea')).toBe('acknowledged');
    for (const { read } of processes) {
      expect(await read(Things, 'a', tea)).toMatchObject({ n: 2 });
      await settled();
      expect(await read(Things, 'b', coffee)).toMatchObject({ n: 1 });
    }
    expect(tea.runs).toBe(2);
  });

  it('that a loader has given is one like any other, also of something that does not exist', async () => {
    const { processes } = await linked();
    const Names = entity<string | null>('name', { ...contract });
    for (const { engine } of processes) engine.entities.stateOf(Names);
    await settled();
    let loads = 0;
    const load = async () => {
      currentLoad()?.tags('people');
      return ++loads === 1 ? null : 'Ada';
    };
    const [one, other] = processes as [Process, Process];
    expect(await one.read(Names, 'a', load)).toBe(null);
    await settled();
    expect(await other.read(Names, 'a', load)).toBe(null);
    expect(await other.cache.invalidateTag('people')).toBe('acknowledged');
    expect(await one.read(Names, 'a', load)).toBe('Ada');
    expect(loads).toBe(2);
  });

  it('costs one command to invalidate, whatever carries it, and a read no more than one without', async () => {
    const { processes } = await linked();
    const [one, other] = processes as [Process, Process];
    const load = tagged('tea');
    const keys = Array.from({ length: 1_000 }, (_, n) => `k${n}`);
    await Promise.all(keys.map((key) => one.read(Things, key, load)));
    await settled();
    await other.read(Things, 'k0', load);
    await settled();
    const before = { asked: other.way.asked.length, questions: other.told.questions };
    await fromStore(other, () => Promise.all(keys.map((key) => other.read(Things, key, load))));
    expect(other.way.asked.slice(before.asked)).toEqual(['read']);
    expect(other.told.questions).toBe(before.questions);
    expect(load.runs).toBe(1_000);
    const [commands, messages] = [one.way.asked.length, other.told.underWay.length];
    other.told.isHeldUp = true;
    await one.cache.invalidateTag('tea');
    expect(one.way.asked.length).toBe(commands);
    expect(other.told.underWay.length - messages).toBe(1);
  });

  it('is not stored with what was loaded before it was invalidated, wherever that was', async () => {
    for (const who of [0, 1]) {
      const { processes } = await linked();
      const [one, other] = processes as [Process, Process];
      const answer = deferred<Thing>();
      const slow = one.read(Things, 'a', () => answer.promise);
      await settled();
      await processes[who]!.cache.invalidateTag('tea');
      answer.resolve({ n: 1, tags: ['tea'] });
      expect(await slow).toMatchObject({ n: 1 });
      await settled();
      const load = tagged('tea');
      load.runs = 1;
      expect(await other.read(Things, 'a', load)).toMatchObject({ n: 2 });
      await settled();
      expect(await one.read(Things, 'a', load)).toMatchObject({ n: 2 });
    }
  });

  it('is not stored with what was loaded before, also where its message is late', async () => {
    const { processes } = await linked();
    const [one, other] = processes as [Process, Process];
    await one.read(Things, 'known', tagged('tea'));
    await settled();
    one.told.isHeldUp = true;
    await other.cache.invalidateTag('tea');
    // This load begins after that, and is new. Nobody here can tell it from one that began before.
    const load = tagged('tea');
    await one.read(Things, 'a', load);
    await settled();
    one.told.isHeldUp = false;
    one.told.deliver();
    await settled();
    expect(await other.read(Things, 'a', load)).toMatchObject({ n: 2 });
  });

  it('is not stored with what was loaded before, where nothing was known of it here, and its message is late', async () => {
    const { processes } = await linked();
    const [one, other] = processes as [Process, Process];
    const answer = deferred<Thing>();
    const slow = one.read(Things, 'a', () => answer.promise);
    await settled();
    one.told.isHeldUp = true;
    await other.cache.invalidateTag('tea');
    answer.resolve({ n: 1, tags: ['tea'] });
    await slow;
    await settled();
    const load = tagged('tea');
    load.runs = 1;
    expect(await other.read(Things, 'a', load)).toMatchObject({ n: 2 });
  });

  it.each(['heard of', 'missed, with others'])(
    'is out of use where what was asked about it arrives after it was %s',
    async (kind) => {
      const { processes, log, pass } = await linked();
      const [one, other] = processes as [Process, Process];
      const load = tagged('tea');
      for (const key of ['a', 'b']) await one.read(Things, key, load);
      await settled();
      const late = deferred<void>();
      const { told } = other;
      const ask = told.generations.bind(told);
      told.generations = async (tags, keepMs) => {
        const answer = await ask(tags, keepMs);
        await late.promise;
        return answer;
      };
      const reading = other.read(Things, 'a', load);
      await settled();
      if (kind !== 'heard of') told.isHeldUp = true;
      await one.cache.invalidateTag('tea');
      if (kind !== 'heard of') {
        log.trim();
        told.listenAgain();
        await settled();
      }
      late.resolve();
      await reading;
      if (kind === 'heard of') expect(await reading).toMatchObject({ n: 3 });
      await pass(0);
      told.generations = ask;
      const before = load.runs;
      expect(await other.read(Things, 'b', load)).toMatchObject({ n: before + 1 });
    },
  );

  it('is out of use for who has invalidated it in a log that has begun anew, of which he has not heard', async () => {
    const { processes, log } = await linked();
    const [one, other] = processes as [Process, Process];
    for (let i = 0; i < 5; i++) await other.cache.invalidateTag('milk');
    const load = tagged('tea');
    await one.read(Things, 'a', load);
    await settled();
    one.told.isHeldUp = true;
    log.failOver(Infinity);
    await one.cache.invalidateTag('tea');
    expect(await fromStore(one, () => one.read(Things, 'a', load))).toMatchObject({ n: 2 });
  });

  it.each(['a tag', 'an entity'])(
    'does not stay in copies of what is found while %s is invalidated from here',
    async (what) => {
      const { processes } = await linked();
      const [one, other] = processes as [Process, Process];
      const load = tagged('tea');
      await other.read(Things, 'a', load);
      await settled();
      const way = deferred<void>();
      const { told } = one;
      const append = told.append.bind(told);
      told.append = async (...changes) => {
        await way.promise;
        return append(...changes);
      };
      const invalidating =
        what === 'a tag' ? one.cache.invalidateTag('tea') : one.cache.invalidateFamily(Things);
      await settled();
      expect(await one.read(Things, 'a', load)).toMatchObject({ n: 1 });
      way.resolve();
      expect(await invalidating).toBe('acknowledged');
      expect(await one.read(Things, 'a', load)).toMatchObject({ n: 2 });
    },
  );

  it('that was invalidated before a process began is known to it', async () => {
    const { processes, log, clock, store } = await linked();
    const [one] = processes as [Process];
    const load = tagged('tea');
    await one.read(Things, 'a', load);
    await settled();
    await one.cache.invalidateTag('tea');
    const late = fleet(1, () => store, log);
    expect(late.clock).not.toBe(clock);
    const [late1] = late.processes as [Process];
    late1.engine.entities.stateOf(Things);
    await settled();
    expect(await late1.read(Things, 'a', load)).toMatchObject({ n: 2 });
  });

  it('is out of use for who has invalidated it, though he does not hear of it himself', async () => {
    const { processes } = await linked();
    const [one, other] = processes as [Process, Process];
    const load = tagged('tea');
    await other.read(Things, 'a', load);
    await settled();
    await one.read(Things, 'a', load);
    one.told.isHeldUp = true;
    await one.cache.invalidateTag('tea');
    expect(await one.read(Things, 'a', load)).toMatchObject({ n: 2 });
  });

  it('that the log has forgotten ends in a load, and not in what is old', async () => {
    const { processes, log } = await linked();
    const [one, other] = processes as [Process, Process];
    const load = tagged('tea');
    await other.read(Things, 'a', load);
    await settled();
    other.told.isHeldUp = true;
    await one.cache.invalidateTag('tea');
    log.forgetTags();
    const late = fleet(1, () => other.way, log);
    const [late1] = late.processes as [Process];
    late1.engine.entities.stateOf(Things);
    await settled();
    expect(await late1.read(Things, 'a', load)).toMatchObject({ n: 2 });
  });

  it('that the log has forgotten does not have two processes load in turns for ever', async () => {
    const { processes, log } = await linked();
    const load = tagged('tea');
    for (const { read } of processes) {
      await read(Things, 'a', load);
      await settled();
    }
    await processes[0]!.cache.invalidateTag('milk');
    log.forgetTags();
    const late = log.way();
    await late.generations(['t:tea', 'f:thing'], 1);
    for (let round = 0; round < 10; round++) {
      for (const process of processes) {
        await fromStore(process, () => process.read(Things, `k${round}`, load));
        await settled();
        await fromStore(process, () => process.read(Things, 'a', load));
        await settled();
      }
    }
    // One for each key, and a few until all have learnt what the log has made of the tag.
    expect(load.runs).toBeLessThanOrEqual(1 + 10 + 4);
  });

  it('stays out of use where the log has lost that it was invalidated', async () => {
    const { processes, log, pass } = await linked();
    const [one, other] = processes as [Process, Process];
    const load = tagged('tea');
    await other.read(Things, 'a', load);
    await settled();
    await one.cache.invalidateTag('tea');
    log.failOver(1);
    await pass(1_000);
    for (const process of [one, other]) {
      expect(await fromStore(process, () => process.read(Things, 'a', load))).toMatchObject({
        n: 2,
      });
      await settled();
    }
  });

  it('is out of use within a lease where nothing is heard, also what is in the store', async () => {
    const { processes, pass } = await linked();
    const [one, other] = processes as [Process, Process];
    const load = tagged('tea');
    await other.read(Things, 'a', load);
    await settled();
    other.told.isHeldUp = true;
    const poll = other.told.poll.bind(other.told);
    other.told.poll = () => Promise.reject(new Error('no answer'));
    await one.cache.invalidateTag('tea');
    await pass(5_000);
    // The log does answer who asks about tags.
    expect(await other.read(Things, 'a', load)).toMatchObject({ n: 2 });
    other.told.poll = poll;
  });
});

describe('a tag that the log cannot be told of', () => {
  it('is out of use here at once, and elsewhere as soon as it is told again', async () => {
    const { processes, pass } = await linked();
    const [one, other] = processes as [Process, Process];
    const load = tagged('tea');
    for (const { read } of processes) {
      await read(Things, 'a', load);
      await settled();
    }
    one.told.answers = 'none';
    let outcome: unknown;
    const faults = await toldOf('fault', async () => {
      const invalidating = one.cache.invalidateTag('tea');
      await pass(200);
      outcome = await invalidating;
    });
    expect(outcome).toBe('pending');
    expect(faults.map(({ code, entity }) => [code, entity])).toContainEqual([
      'CACHE_INVALIDATION_PENDING',
      'thing',
    ]);
    expect(await fromStore(one, () => one.read(Things, 'a', load))).toMatchObject({ n: 2 });
    expect(await other.read(Things, 'a', load)).toMatchObject({ n: 1 });
    one.told.answers = 'all';
    await pass(1_000);
    expect(await other.read(Things, 'a', load)).toMatchObject({ n: 3 });
    await settled();
    expect(await fromStore(one, () => one.read(Things, 'a', load))).toMatchObject({ n: 3 });
  });
});

describe('all entries of an entity', () => {
  it('go in all processes, those of others stay', async () => {
    const { processes } = await linked(3);
    const [things, pages] = [source(), source()];
    for (const { read } of processes) {
      await read(Things, 'a', async () => ({ n: await things() }));
      await read(Pages, 'a', pages);
      await settled();
    }
    expect(await processes[2]!.cache.invalidateFamily(Things)).toBe('acknowledged');
    for (const { read } of processes) {
      expect(await read(Things, 'a', async () => ({ n: await things() }))).toEqual({ n: 2 });
      await settled();
      expect(await read(Pages, 'a', pages)).toBe(1);
    }
    expect([things.runs, pages.runs]).toEqual([2, 1]);
  });

  it('that are loaded meanwhile are not stored', async () => {
    for (const who of [0, 1]) {
      const { processes } = await linked();
      const [one, other] = processes as [Process, Process];
      const answer = deferred<number>();
      const slow = one.read(Pages, 'a', () => answer.promise);
      await settled();
      await processes[who]!.cache.invalidateFamily(Pages);
      answer.resolve(1);
      expect(await slow).toBe(1);
      await settled();
      for (const process of [other, one]) {
        expect(await process.read(Pages, 'a', async () => 2)).toBe(2);
        await settled();
      }
    }
  });
});

describe('a write of what carries a tag', () => {
  it('is stored, unless the tag was invalidated meanwhile', async () => {
    for (const invalidated of [false, true]) {
      const { processes } = await linked();
      const [one, other] = processes as [Process, Process];
      const load = tagged('tea');
      const writing = one.cache.prime(Written, 'a', async () => {
        if (invalidated) await other.cache.invalidateTag('tea');
        return { n: 7, tags: ['tea'] };
      });
      expect(await writing).toMatchObject({ n: 7 });
      await settled();
      expect(await other.read(Written, 'a', load)).toMatchObject({ n: invalidated ? 1 : 7 });
    }
  });
});
