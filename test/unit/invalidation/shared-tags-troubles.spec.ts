import { deferred } from '../../support/engine.js';
import { fleet, settled, told as toldOf } from '../../support/fleet.js';
import { MemoryLog } from '../../support/memory-store/memory-log.js';
import {
  ALL,
  forgetCopies,
  linked,
  Pages,
  tagged,
  Things,
  Written,
  type Process,
  type Thing,
} from '../../support/tagged-fleet.js';

describe('a tag that the log could not be told of', () => {
  it.each(['a tag', 'an entity'])(
    'does not leave a copy that was found while %s was being told, and could not be',
    async (what) => {
      const { processes } = await linked();
      const [one, other] = processes as [Process, Process];
      const load = tagged('tea');
      await other.read(Things, 'a', load);
      await settled();
      const way = deferred<void>();
      one.told.append = () => way.promise.then(() => Promise.reject(new Error('lost')));
      const invalidating =
        what === 'a tag' ? one.cache.invalidateTag('tea') : one.cache.invalidateFamily(Things);
      await settled();
      // Comes from the store, and is kept here.
      expect(await one.read(Things, 'a', load)).toMatchObject({ n: 1 });
      way.resolve();
      expect(await invalidating).toBe('pending');
      expect(await one.read(Things, 'a', load)).toMatchObject({ n: 2 });
    },
  );

  it('is in quarantine only until it is told, also where too many wait for that', async () => {
    const { processes, pass } = await linked();
    const [one] = processes as [Process];
    const append = one.told.append.bind(one.told);
    const fails = () => Promise.reject(Object.assign(new Error('no'), { answered: true }));
    one.told.append = fails;
    const tell = (tags: string[]) => Promise.all(tags.map((tag) => one.cache.invalidateTag(tag)));
    await tell(Array.from({ length: 10_000 }, (_, n) => `old${n}`));
    // The first 100 are told again, and meanwhile their places are taken.
    const way = deferred<void>();
    one.told.append = () => way.promise.then(fails);
    await pass(500);
    one.told.append = fails;
    await tell(Array.from({ length: 100 }, (_, n) => `new${n}`));
    way.resolve();
    await settled();
    one.told.append = append;
    for (let i = 0; i < 30; i++) await pass(500);
    // As long as what was in the store can be there.
    for (let i = 0; i < 3 * 3_600; i++) {
      one.clock.advance(1_000);
      if (i % 60 === 0) await settled();
    }
    await pass(1_000);
    await pass(1_000);
    const loads = { old0: tagged('old0'), old5000: tagged('old5000'), new0: tagged('new0') };
    for (const [tag, load] of Object.entries(loads)) {
      for (let i = 0; i < 5; i++) {
        await one.read(Things, tag, load);
        await settled();
        forgetCopies(one);
      }
    }
    const runs = Object.entries(loads).map(([tag, load]) => [tag, load.runs]);
    expect(Object.fromEntries(runs)).toEqual({ old0: 1, old5000: 1, new0: 1 });
  }, 60_000);
});

describe('the moment between the judgement of an entry and its copy', () => {
  it('is none in which a tag can be invalidated', async () => {
    const left: number[] = [];
    for (let hops = 0; hops < 40; hops++) {
      const { processes } = await linked();
      const [one, other] = processes as [Process, Process];
      const load = tagged('tea');
      await other.read(Things, 'a', load);
      await settled();
      // The answers to a question and to an announcement come in one turn, in any order.
      const [asked, told] = [deferred<void>(), deferred<void>()];
      const generations = one.told.generations.bind(one.told);
      const append = one.told.append.bind(one.told);
      one.told.generations = async (...about) => {
        const answer = await generations(...about);
        await asked.promise;
        return answer;
      };
      one.told.append = async (...changes) => {
        const end = await append(...changes);
        await told.promise;
        return end;
      };
      one.told.isHeldUp = true;
      const reading = one.read(Things, 'a', load);
      await settled();
      const invalidating = one.cache.invalidateTag('tea');
      await settled();
      asked.resolve();
      for (let hop = 0; hop < hops; hop++) await Promise.resolve();
      told.resolve();
      await Promise.all([reading, invalidating]);
      const after = (await one.read(Things, 'a', load)) as Thing;
      if (after.n === 1) left.push(hops);
      await settled();
    }
    expect(left).toEqual([]);
  });
});

describe('trouble with tags ends in no more loads than it must:', () => {
  it('a log that was told of an epoch that is over is asked no more than before', async () => {
    const { processes, log, pass } = await linked();
    const [one] = processes as [Process];
    const append = one.told.append.bind(one.told);
    const late = deferred<void>();
    one.told.append = async (...changes) => {
      const end = await append(...changes);
      await late.promise;
      return end;
    };
    const invalidating = one.cache.invalidateTag('milk');
    await settled();
    log.failOver(0);
    one.told.listenAgain();
    await settled();
    late.resolve();
    expect(await invalidating).toBe('acknowledged');
    one.told.append = append;
    const load = tagged('tea');
    for (let i = 0; i < 30; i++) await pass(1_000);
    await one.read(Things, 'a', load);
    await settled();
    const { questions } = one.told;
    for (let i = 0; i < 10; i++) {
      forgetCopies(one);
      await one.read(Things, 'a', load);
      await pass(1_000);
    }
    expect({ loads: load.runs, questions: one.told.questions - questions }).toEqual({
      loads: 1,
      questions: 0,
    });
  });

  it.each([
    ['where the log forgets no tag', Infinity],
    ['where it keeps them for as long as it was told to', 1],
  ])(
    'a process that starts does not make all that others have stored worth nothing, %s',
    async (_, factor) => {
      const { processes, log, clock, pass, store } = await linked();
      const [one] = processes as [Process];
      // As Redis keeps tags: for so long after they were asked for or invalidated.
      const until = new Map<string, number>();
      const kept = log as unknown as { tags: Map<string, number> };
      const expiring = ({ told }: Process) => {
        const [append, generations] = [told.append.bind(told), told.generations.bind(told)];
        const touch = (names: readonly string[], ms: number) => {
          for (const [name, end] of until) if (clock.monotonic() >= end) kept.tags.delete(name);
          for (const name of names) until.set(name, clock.monotonic() + factor * ms);
        };
        told.append = (changes, writer, ms) => {
          touch(changes.tags, ms);
          return append(changes, writer, ms);
        };
        told.generations = (names, ms) => {
          touch(names, ms);
          return generations(names, ms);
        };
      };
      for (const process of processes) expiring(process);
      const load = tagged('tea');
      const read = async (process: Process) => {
        for (let n = 0; n < 5; n++) {
          await process.read(Things, `k${n}`, load);
          await settled();
        }
      };
      // In use all the time.
      for (let minute = 0; minute < 5 * 60; minute++) {
        for (let second = 0; second < 60; second++) {
          clock.advance(1_000);
          await new Promise(setImmediate);
        }
        if (minute % 5 === 0) {
          await one.cache.invalidateTag('milk');
          await read(one);
        }
      }
      await read(one);
      await pass(1_000);
      const before = load.runs;
      const late = fleet(1, () => store, log);
      const [late1] = late.processes as [Process];
      // Its clock is the same as that of the others.
      late.clock.advance(clock.monotonic() - late.clock.monotonic());
      expiring(late1);
      for (const one of ALL) late1.engine.entities.stateOf(one);
      await settled();
      await read(late1);
      expect(load.runs - before).toBe(0);
    },
    120_000,
  );

  it('a value that is set stays, though this process has not yet heard its own message', async () => {
    const { processes } = await linked();
    const [one] = processes as [Process];
    one.told.isHeldUp = true;
    const state = one.engine.entities.stateOf(Pages);
    await one.engine.writer.put(state, 'a', 7, 3_600_000, undefined);
    await settled();
    expect(await one.peek(Pages, 'a')).toBe(7);
  });

  it('a value that is set after all were invalidated stays', async () => {
    const { processes } = await linked();
    const [one] = processes as [Process];
    const state = one.engine.entities.stateOf(Pages);
    await one.engine.writer.put(state, 'a', 6, 3_600_000, undefined);
    await settled();
    one.told.isHeldUp = true;
    expect(await one.cache.invalidateFamily(Pages)).toBe('acknowledged');
    await one.engine.writer.put(state, 'a', 7, 3_600_000, undefined);
    await settled();
    expect(await one.peek(Pages, 'a')).toBe(7);
  });

  it('what the store has is served while the log alone is out of reach, and becomes no copy', async () => {
    const { processes, pass } = await linked();
    const [one] = processes as [Process];
    let loads = 0;
    const load = async () => ++loads;
    await one.read(Pages, 'a', load);
    await settled();
    one.told.answers = 'none';
    for (let i = 0; i < 10; i++) await pass(1_000);
    for (let i = 0; i < 20; i++) {
      await one.read(Pages, 'a', load);
      await settled();
    }
    expect(loads).toBe(1);
    expect(one.engine.entities.stateOf(Pages).table.size).toBe(1);
    one.engine.entities.stateOf(Pages).table.clear();
    await one.read(Pages, 'a', load);
    await settled();
    expect([loads, one.engine.entities.stateOf(Pages).table.size]).toEqual([1, 0]);
  });
});

describe('what is loaded before a tag is invalidated is not stored after it,', () => {
  it('also where the log goes back within an epoch while something is loaded', async () => {
    const { processes, log, pass } = await linked();
    const [one, other] = processes as [Process, Process];
    for (let i = 0; i < 10; i++) await other.cache.invalidate(Pages, `x${i}`);
    await settled();
    const answer = deferred<Thing>();
    const slow = one.read(Things, 'a', () => answer.promise);
    await settled();
    log.goBack(5);
    await pass(1_000);
    await other.cache.invalidateTag('tea');
    await settled();
    answer.resolve({ n: 1, tags: ['tea'] });
    await slow;
    await settled();
    expect(await other.read(Things, 'a', async () => ({ n: 2 }))).toMatchObject({ n: 2 });
  });

  it('also where it goes back while something is written', async () => {
    const { processes, log, pass } = await linked();
    const [one, other] = processes as [Process, Process];
    for (let i = 0; i < 10; i++) await other.cache.invalidate(Pages, `x${i}`);
    await settled();
    const answer = deferred<Thing>();
    const slow = one.cache.prime(Written, 'a', () => answer.promise);
    await settled();
    log.goBack(5);
    await pass(1_000);
    await other.cache.invalidateTag('tea');
    await settled();
    answer.resolve({ n: 1, tags: ['tea'] });
    await slow;
    await settled();
    expect(await other.read(Written, 'a', async () => ({ n: 2 }))).toMatchObject({ n: 2 });
  });
});

describe('what comes from a log', () => {
  it('may be a message that names no text as a tag', async () => {
    const { processes, pass } = await linked();
    const [one] = processes as [Process];
    const unhandled: unknown[] = [];
    const onUnhandled = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', onUnhandled);
    try {
      const poll = one.told.poll.bind(one.told);
      one.told.poll = async (heard) => {
        const { end } = await poll(heard);
        const seq = end.seq + 1;
        const message = { epoch: end.epoch, seq, writer: 'w', entries: [], tags: [null] };
        return { end: { epoch: end.epoch, seq }, missed: [message as never] };
      };
      await pass(1_000);
      await settled();
    } finally {
      process.off('unhandledRejection', onUnhandled);
    }
    expect(unhandled).toEqual([]);
  });

  it('may be a number of a tag beyond the end of the log', async () => {
    const { processes, log } = await linked();
    const [one] = processes as [Process];
    const kept = log as unknown as { tags: Map<string, number> };
    kept.tags.set('t:tea', 1_000_000);
    const load = tagged('tea');
    await one.read(Things, 'a', load);
    await settled();
    // It is put right in the log.
    expect(await one.cache.invalidateTag('tea')).toBe('acknowledged');
    const before = load.runs;
    for (let i = 0; i < 5; i++) {
      forgetCopies(one);
      await one.read(Things, 'a', load);
      await settled();
    }
    expect(load.runs - before).toBe(1);
  });
});

describe('at the end of an application a tag', () => {
  it('leaves no timer where a tag is invalidated after it', async () => {
    const { processes, pass } = await linked();
    const [one] = processes as [Process];
    await one.engine.close();
    const invalidating = one.cache.invalidateTag('tea');
    await pass(200);
    expect(await invalidating).toBe('pending');
    expect(one.engine.background.size).toBe(0);
  });

  it('is told of by the entity whose method invalidates it, where nothing of the store is kept here', async () => {
    const all = fleet(1, undefined, new MemoryLog());
    const [one] = all.processes as [Process];
    one.told.answers = 'none';
    let outcome: unknown;
    const faults = await toldOf('fault', async () => {
      const invalidating = one.engine.invalidator.invalidateTag('tea', undefined, 'thing');
      await all.pass(200);
      outcome = await invalidating;
    });
    expect(outcome).toBe('pending');
    expect(faults.map(({ code, entity }) => [code, entity])).toEqual([
      ['CACHE_INVALIDATION_PENDING', 'thing'],
    ]);
  });

  it.each(['values', 'an entity'])(
    'is told that was invalidated just before, though nobody waited for it: that of %s',
    async (what) => {
      const { processes, log } = await linked();
      const [one] = processes as [Process];
      const before = log.end.seq;
      const faults = await toldOf('fault', async () => {
        const invalidating =
          what === 'values' ? one.cache.invalidateTag('tea') : one.cache.invalidateFamily(Things);
        await one.engine.close();
        expect(await invalidating).toBe('acknowledged');
      });
      expect(log.end.seq - before).toBe(1);
      expect(faults).toEqual([]);
    },
  );

  it('is told once more, though the log was away for long', async () => {
    const { processes, pass, log } = await linked();
    const [one] = processes as [Process];
    one.told.answers = 'none';
    for (let time = 0; time < 10; time++) {
      const invalidating = one.cache.invalidateTag('tea');
      await pass(250);
      expect(await invalidating).toBe('pending');
    }
    const before = log.end.seq;
    one.told.answers = 'all';
    expect(await toldOf('fault', () => one.engine.close())).toEqual([]);
    expect(log.end.seq - before).toBe(1);
  });

  it('is told once more where it was on its way for the first time, and was lost', async () => {
    const { processes, log } = await linked();
    const [one] = processes as [Process];
    const before = log.end.seq;
    const way = deferred<void>();
    const append = one.told.append.bind(one.told);
    one.told.append = () => way.promise.then(() => Promise.reject(new Error('lost')));
    const invalidating = one.cache.invalidateTag('tea');
    await settled();
    const closing = one.engine.close();
    await settled();
    one.told.append = append;
    way.resolve();
    await closing;
    expect(await invalidating).toBe('pending');
    expect(log.end.seq - before).toBe(1);
  });

  it('does not leave an entry untold silently of which others have copies', async () => {
    const { processes, pass } = await linked();
    const [one, other] = processes as [Process, Process];
    await other.read(Things, 'a', tagged());
    one.told.answers = 'none';
    const invalidating = one.invalidate(Things, 'a');
    await pass(0);
    expect(await invalidating).toBe('pending');
    const faults = await toldOf('fault', () => one.engine.close());
    expect(faults.map(({ entity, message }) => [entity, message])).toEqual([
      ['thing', expect.stringMatching(/^1 entries of .* before the application ended/)],
    ]);
    // Also in the log, where one of its kind has been before.
    expect(one.warnings.filter((text) => text.includes('CACHE_INVALIDATION_PENDING'))).toEqual([
      expect.stringContaining('told again'),
      expect.stringContaining('before the application ended'),
    ]);
  });

  it('does not leave a tag untold silently that is on its way when the application ends', async () => {
    const { processes, pass } = await linked();
    const [one] = processes as [Process];
    one.told.answers = 'none';
    const first = one.cache.invalidateTag('tea');
    await settled();
    expect(await first).toBe('pending');
    const way = deferred<void>();
    one.told.append = () => way.promise.then(() => Promise.reject(new Error('lost')));
    // It is being told again.
    await pass(500);
    const faults = await toldOf('fault', async () => {
      const closing = one.engine.close();
      await settled();
      way.resolve();
      await pass(1_000);
      await closing;
    });
    expect(faults.map(({ message }) => message).join('\n')).toContain(
      'before the application ended',
    );
  });
});
