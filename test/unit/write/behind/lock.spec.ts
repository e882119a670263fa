import {
  add,
  counter,
  DistributedLock,
  entity,
  EntityCache,
  writeBehind,
} from 'nestjs-cache-contract';
import { MemoryLock } from '../../../../lib/coordination/memory-lock.js';
import type { Lock, LockOptions } from '../../../../lib/coordination/distributed-lock.js';
import { ProcessSingleflight } from '../../../../lib/coordination/singleflight.js';
import { Engine } from '../../../../lib/nest/engine.js';
import { parseDuration } from '../../../../lib/time/duration.js';
import { ManualClock } from '../../../support/manual-clock.js';

const Views = entity<number, number>('view', {
  ...counter(),
  write: writeBehind({
    merge: 'sum',
    flushTimeout: '2s',
    retry: { delay: '10m', maxDelay: '10m' },
  }),
});
const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

/** Somewhere else, and held by a process that died. */
class Remote extends DistributedLock {
  constructor(private readonly clock: ManualClock) {
    super();
  }
  acquire(_name: string, { patience }: LockOptions = {}): Promise<Lock | undefined> {
    return new Promise((resolve) => {
      if (patience !== undefined)
        this.clock.after(parseDuration(patience)!, () => resolve(undefined));
    });
  }
}

/** A lock of this process, that somebody holds who does not give it back. */
async function held(clock: ManualClock): Promise<DistributedLock> {
  const lock = new MemoryLock(clock);
  await lock.acquire('test/flush/view/0');
  return lock;
}

async function open(lockOn: (clock: ManualClock) => DistributedLock | Promise<DistributedLock>) {
  const clock = new ManualClock();
  const engine = new Engine({
    namespace: 'test',
    clock,
    flights: new ProcessSingleflight(),
    lock: await lockOn(clock),
    surroundings: { worker: false },
    warn: () => undefined,
  });
  const cache = new EntityCache(engine).of(Views);
  let calls = 0;
  engine.behindOf(Views).bind({ ledger: undefined, flush: () => void calls++ });
  return { clock, engine, cache, calls: () => calls };
}

describe.each([
  ['in this process', held],
  ['elsewhere', (clock: ManualClock) => new Remote(clock)],
])('a lock that is never to be had, %s,', (_, lockOn) => {
  it('makes the attempt fail after flushTimeout, and who waits for it is told', async () => {
    const { clock, cache, calls } = await open(lockOn);
    await cache.mutate(1, add(1));
    let said: unknown;
    cache
      .journal()
      .flush()
      .catch((error: { code: string }) => (said = error.code));
    await turns();
    clock.advance(1_999);
    await turns();
    expect(said).toBeUndefined();
    clock.advance(1);
    await turns();
    expect([said, calls()]).toEqual(['CACHE_LOCK_BUSY', 0]);
    expect(cache.journal().status()).toMatchObject({ pending: 1, flushed: 0 });
  });

  it('does not keep the application from ending, also not one that writes what is left', async () => {
    const { clock, engine, cache, calls } = await open(lockOn);
    await cache.mutate(1, add(1));
    let ended = '';
    void engine.drainJournals(10_000).then(() => (ended += 'drained '));
    await turns();
    void (async () => {
      await engine.close();
      ended += 'closed';
    })();
    for (let gone = 0; gone < 10_000; gone += 500) {
      clock.advance(500);
      await turns(5);
    }
    expect([ended.includes('closed'), calls()]).toEqual([true, 0]);
  });
});
