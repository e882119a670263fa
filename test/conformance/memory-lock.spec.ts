import { jest } from '@jest/globals';
import type { Lock } from '../../lib/coordination/distributed-lock.js';
import { MemoryLock } from '../../lib/coordination/memory-lock.js';
import { ManualClock } from '../support/manual-clock.js';
import { describeDistributedLock } from './distributed-lock.js';

function create() {
  const clock = new ManualClock();
  const lock = new MemoryLock(clock);
  return {
    clock,
    lock,
    other: lock,
    advance: async (ms: number) => {
      clock.advance(ms);
      await new Promise(setImmediate);
    },
    stall: (ms: number) => clock.stall(ms),
    kept: () => clock.pending + lock['places'].size,
  };
}

describeDistributedLock('locks in memory', { create });

describe('locks in memory, of one process', () => {
  it('are lost when the ttl is over, and not a millisecond before', async () => {
    for (const [ms, lost] of [
      [999, false],
      [1_000, true],
    ] as const) {
      const { clock, lock } = create();
      const former = (await lock.acquire('report', { ttl: '1s' }))!;
      clock.stall(ms);
      const next = await lock.acquire('report', { patience: 0 });
      expect([former.signal.aborted, next !== undefined]).toEqual([lost, lost]);
    }
  });

  it('last from the newest renewal, which comes every third of the ttl', async () => {
    const { clock, lock } = create();
    await lock.acquire('report', { ttl: '3s' });
    clock.advance(1_999);
    clock.stall(2_000);
    expect(await lock.acquire('report', { patience: 0 })).toBeUndefined();
    clock.stall(1);
    expect(await lock.acquire('report', { patience: 0 })).toBeDefined();
  });

  it('have at no moment two holders that have not been told', async () => {
    const { clock, lock } = create();
    const former = (await lock.acquire('report', { ttl: '1s' }))!;
    const seen: boolean[] = [];
    const next = lock.acquire('report').then(() => seen.push(former.signal.aborted));
    clock.stall(1_000);
    const late = lock.acquire('report', { patience: 0 });
    await Promise.all([next, late]);
    expect([seen, await late]).toEqual([[true], undefined]);
  });

  it('can be asked for by a holder who is told of the loss, behind those who wait', async () => {
    const { clock, lock } = create();
    const former = (await lock.acquire('report', { ttl: '1s' }))!;
    const order: string[] = [];
    const as = (name: string) => async (held: Lock | undefined) => {
      order.push(name);
      await held!.release();
    };
    const waiting = lock.acquire('report').then(as('waited'));
    const again = new Promise((resolve) => {
      former.signal.onabort = () => resolve(lock.acquire('report').then(as('came back')));
    });
    clock.stall(1_000);
    await lock.acquire('report').then(as('came later'));
    await Promise.all([waiting, again]);
    expect(order).toEqual(['waited', 'came back', 'came later']);
  });

  it('do not poll: only the holder and who waits with patience have a timer', async () => {
    const { clock, lock } = create();
    await lock.acquire('report');
    const patient = Array.from({ length: 100 }, () => lock.acquire('report'));
    expect([patient.length, clock.pending]).toEqual([100, 1]);
    void lock.acquire('report', { patience: '1s' });
    expect(clock.pending).toBe(2);
  });

  it('leave nothing behind for names that were free again', async () => {
    const { lock, kept } = create();
    for (let i = 0; i < 1_000; i++) await lock.run(`order ${i}`, () => undefined);
    expect(kept()).toBe(0);
  });

  it('go on with greater fences in the next process', async () => {
    const now = jest.spyOn(Date, 'now').mockReturnValue(1_700_000_000_000);
    try {
      const before = create().lock;
      let last = await before.run('report', ({ fence }) => fence);
      for (let i = 0; i < 500; i++) last = await before.run('report', ({ fence }) => fence);
      now.mockReturnValue(1_700_000_000_001);
      expect(await create().lock.run('report', ({ fence }) => fence)).toBeGreaterThan(last);
    } finally {
      now.mockRestore();
    }
  });

  it('say what happened and what to do', async () => {
    const { clock, lock } = create();
    const former = (await lock.acquire('report', { ttl: '1s' }))!;
    clock.stall(1_000);
    await lock.acquire('report');
    expect((former.signal.reason as Error).message).toBe(
      "The lock 'report' was lost: it was not renewed within its ttl of 1s, and somebody else may hold it by now. " +
        'Fix: end what you do under the lock when its signal aborts, let what you write to check the fence, or raise the ttl.',
    );
    await expect(lock.run('report', () => undefined, { patience: 0 })).rejects.toThrow(
      "The lock 'report' was not to be had within 0ms; nothing was run. Fix: try again later, or raise the patience.",
    );
  });
});

describe('work under a lock whose release fails, against the promise', () => {
  class Failing extends MemoryLock {
    constructor(private readonly fail: () => Promise<void>) {
      super(new ManualClock());
    }
    override async acquire(name: string): Promise<Lock> {
      const { fence, signal } = (await super.acquire(name))!;
      return { name, fence, signal, release: this.fail };
    }
  }
  const failures = {
    rejects: () => Promise.reject(new Error('no connection')),
    throws: () => {
      throw new Error('no connection');
    },
  };

  it.each(['rejects', 'throws'] as const)('has its own outcome when it %s', async (how) => {
    const lock = new Failing(failures[how]);
    expect(await lock.run('a', () => 'done')).toBe('done');
    await expect(
      lock.run('b', () => {
        throw new Error('its own');
      }),
    ).rejects.toThrow('its own');
  });
});
