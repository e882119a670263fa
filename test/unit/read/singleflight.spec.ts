import { entity, external, invalidate, readThrough, type Defined } from 'nestjs-cache-contract';
import { calls } from '../../../lib/read/call-context.js';
import { deferred, eventually, testEngine } from '../../support/engine.js';

const Users = entity<Defined>('user', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m', jitter: 0 }),
  write: invalidate(),
});

describe('one load per key', () => {
  it('runs one load for 10,000 concurrent calls, and leaves no timer', async () => {
    const { engine, clock, read } = testEngine();
    const source = deferred<unknown>();
    let loads = 0;
    const load = () => {
      loads++;
      return source.promise;
    };
    const callers = Array.from({ length: 10_000 }, () => read(Users, 'ada', load));
    source.resolve({ name: 'Ada' });
    const answers = await Promise.all(callers);
    expect(loads).toBe(1);
    expect(answers).toHaveLength(10_000);
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toEqual({ name: 'Ada' });
    expect(clock.pending).toBe(0);
    expect(engine.background.size).toBe(0);
  });

  it('hands the error of the loader to all who waited, unchanged, and frees the key', async () => {
    const { clock, read } = testEngine();
    const error = Object.assign(new Error('no rows'), { extra: 1 });
    let loads = 0;
    const failing = async () => {
      loads++;
      throw error;
    };
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => read(Users, 'ada', failing)));
    expect(outcomes).toEqual([1, 2, 3].map(() => ({ status: 'rejected', reason: error })));
    for (const outcome of outcomes) expect((outcome as PromiseRejectedResult).reason).toBe(error);
    expect(loads).toBe(1);
    expect(await read(Users, 'ada', async () => 'now')).toBe('now');
    expect(clock.pending).toBe(0);
  });

  it('passes on what is thrown even when it is no Error, or thrown before the first await', async () => {
    const { read } = testEngine();
    const thrower = () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error
      throw 'a string';
    };
    await expect(read(Users, 'ada', thrower)).rejects.toBe('a string');
  });

  it('keeps keys apart, and entities apart', async () => {
    const { read } = testEngine();
    const Others = entity<Defined>('other', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '1m' }),
      write: external(),
    });
    expect(await read(Users, 'a', async () => 1)).toBe(1);
    expect(await read(Users, 'b', async () => 2)).toBe(2);
    expect(await read(Others, 'a', async () => 3)).toBe(3);
    expect(await read(Users, 'a', async () => 4)).toBe(1);
  });

  it('runs a load that asks for its own key, because it would wait for itself', async () => {
    const { read } = testEngine();
    const outer: unknown = await read(Users, 'ada', async () => {
      const inner = await read(Users, 'ada', async () => 'source');
      return `wrapped ${inner as string}`;
    });
    expect(outer).toBe('wrapped source');
    expect(await read(Users, 'ada', async () => 'again')).toBe('wrapped source');
  });

  it('caches for what a load leaves running behind it, because that load has ended', async () => {
    const { read, invalidate: drop } = testEngine();
    let later!: () => Promise<unknown>;
    await read(Users, 'ada', async () => {
      const { AsyncResource } = await import('node:async_hooks');
      later = AsyncResource.bind(() => read(Users, 'ada', async () => 'fresh'));
      return 'old';
    });
    void drop(Users, 'ada');
    expect(await later()).toBe('fresh');
    expect(await read(Users, 'ada', async () => 'not asked')).toBe('fresh');
  });

  it('refuses a text that spells the id of a tuple, and answers it with nobody’s entry', async () => {
    const { read } = testEngine();
    const Pairs = entity<Defined, [string, string]>('pair', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '1m' }),
      write: external(),
    });
    await read(Pairs, ['a', 'b'], async () => 'secret');
    const spelt = '\ud800a/b' as unknown as [string, string];
    await expect(read(Pairs, spelt, async () => 'own')).rejects.toMatchObject({
      code: 'CACHE_KEY_INVALID',
    });
  });

  it('joins no load past its time, which a stalled process could not end', async () => {
    const { clock, read } = testEngine();
    const old = deferred<string>();
    const first = read(Users, 'ada', () => old.promise);
    clock.stall(3_000);
    const second = read(Users, 'ada', async () => 'new');
    old.resolve('old');
    expect([await first, await second]).toEqual(['old', 'new']);
    expect(await read(Users, 'ada', async () => 'not asked')).toBe('new');
  });

  it('survives a loader that comes back for its own key at once from another context', async () => {
    const { clock, read } = testEngine();
    const { AsyncResource } = await import('node:async_hooks');
    const elsewhere = AsyncResource.bind(() => read(Users, 'ada', async () => 'inner'));
    const call = read(Users, 'ada', async () => {
      void elsewhere().catch(() => undefined);
      return 'outer';
    });
    expect(await call).toBe('outer');
    expect(clock.pending).toBe(0);
  });

  it('gives what cannot be copied to the caller who loaded it, and lets the others load their own', async () => {
    const { read } = testEngine();
    class Body {
      used = false;
    }
    const bodies = await Promise.all(
      [1, 2, 3].map(() => read(Users, 'ada', async () => new Body())),
    );
    expect(new Set(bodies).size).toBe(3);
  });

  it('keeps no chain of loads that ended, because a loader may start its successor', async () => {
    const { engine, read } = testEngine();
    const state = engine.entities.stateOf(Users);
    let deepest = 0;
    const load = (turn: number) => async (): Promise<number> => {
      let depth = 0;
      for (let f = calls.getStore()?.load; f !== undefined; f = f.outer) depth++;
      deepest = Math.max(deepest, depth);
      if (turn < 50) setImmediate(() => void engine.reader.read(state, `k${turn}`, load(turn + 1)));
      return turn;
    };
    await read(Users, 'start', load(0));
    await eventually(() => engine.entities.stateOf(Users).table.size === 51);
    expect(deepest).toBeLessThanOrEqual(2);
  });
});
