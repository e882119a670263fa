import { currentLoad, entity, external, readThrough } from 'nestjs-cache-contract';
import { deferred, testEngine } from '../../support/engine.js';

const Slow = entity<string>('slow', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m', loadTimeout: '2s' }),
  write: external(),
});

describe('load timeout', () => {
  it('ends a load that takes too long: its callers get the coded error, the key is free', async () => {
    const { clock, engine, read } = testEngine();
    const hung = deferred<string>();
    const callers = Promise.allSettled([
      read(Slow, 'a', () => hung.promise),
      read(Slow, 'a', () => hung.promise),
    ]);
    clock.advance(2_000);
    for (const outcome of await callers) {
      expect(outcome).toMatchObject({
        reason: { code: 'CACHE_LOAD_TIMEOUT', entity: 'slow', loadTimeoutMs: 2_000 },
      });
    }
    expect(await read(Slow, 'a', async () => 'second try')).toBe('second try');
    expect(clock.pending).toBe(0);
    expect(engine.background.size).toBe(0);
  });

  it('never stores the value of a load that came after its time', async () => {
    const { clock, read } = testEngine();
    const late = deferred<string>();
    const first = read(Slow, 'a', () => late.promise).catch(() => 'timed out');
    clock.advance(2_000);
    expect(await first).toBe('timed out');
    late.resolve('too late');
    await late.promise;
    expect(await read(Slow, 'a', async () => 'now')).toBe('now');
  });

  it('aborts the signal the loader was given, as argument and through currentLoad()', async () => {
    const { clock, read } = testEngine();
    const seen: AbortSignal[] = [];
    const call = read(Slow, 'a', async ({ signal }) => {
      await Promise.resolve();
      seen.push(signal, currentLoad().signal);
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    });
    await Promise.resolve();
    await Promise.resolve();
    expect(seen.map(({ aborted }) => aborted)).toEqual([false, false]);
    clock.advance(2_000);
    await expect(call).rejects.toMatchObject({ code: 'CACHE_LOAD_TIMEOUT' });
    expect(seen[0]).toBe(seen[1]);
    expect(seen[0]!.aborted).toBe(true);
  });

  it('gives a loader called past the cache a signal that is never aborted', () => {
    expect(currentLoad().signal.aborted).toBe(false);
  });

  it('absorbs the failure of a loader after its timeout, and tells of it', async () => {
    const { clock, read, warnings } = testEngine();
    const late = deferred<string>();
    const call = read(Slow, 'a', () => late.promise);
    clock.advance(2_000);
    await expect(call).rejects.toMatchObject({ code: 'CACHE_LOAD_TIMEOUT' });
    late.reject(new Error('connection lost'));
    await new Promise(setImmediate);
    expect(warnings).toEqual([expect.stringContaining('CACHE_LATE_FAILURE')]);
  });
});
