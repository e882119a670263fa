import { entity, external, invalidate, readThrough, type Defined } from 'nestjs-cache-contract';
import { deferred, testEngine } from '../../support/engine.js';

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
    const calls = Array.from({ length: 10_000 }, () => read(Users, 'ada', load));
    source.resolve({ name: 'Ada' });
    const answers = await Promise.all(calls);
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
    drop(Users, 'ada');
    expect(await later()).toBe('fresh');
    expect(await read(Users, 'ada', async () => 'not asked')).toBe('fresh');
  });
});
