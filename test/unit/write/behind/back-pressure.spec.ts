import { add, counter, entity, EntityCache, set, writeBehind } from 'nestjs-cache-contract';
import { deferred, testEngine } from '../../../support/engine.js';

const turns = async (count = 10) => {
  while (count-- > 0) await new Promise(setImmediate);
};

function open(options: object = {}) {
  const Views = entity<number, number>('view', {
    ...counter(),
    write: writeBehind({ merge: 'sum', maxPending: 2, ...options }),
  });
  const { engine, clock } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const written = new Map<number, bigint>();
  const target = {
    failure: undefined as Error | undefined,
    wait: undefined as Promise<void> | undefined,
  };
  engine.behindOf(Views).bind({
    ledger: undefined,
    flush: async ({ entries }) => {
      await target.wait;
      if (target.failure !== undefined) throw target.failure;
      for (const { key, by } of entries as unknown as { key: number; by: bigint }[]) {
        written.set(key, (written.get(key) ?? 0n) + by);
      }
    },
  });
  const count = (key: number) => cache.get(key, async () => Number(written.get(key) ?? 0));
  return { cache, clock, count, written, target, behind: engine.behindOf(Views) };
}
const full = { code: 'CACHE_JOURNAL_FULL', entity: 'view', status: 503 };

describe('when as many keys wait as maxPending allows', () => {
  it('a mutation of one more is refused, and nothing of it remains', async () => {
    const { cache, count } = open();
    expect(await count(3)).toBe(0);
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    await expect(cache.mutate(3, add(1))).rejects.toMatchObject(full);
    await expect(cache.mutate(4, set(9))).rejects.toMatchObject(full);
    expect([await count(3), await count(4), await cache.peek(3)]).toEqual([0, 0, 0]);
    expect(cache.journal().status()).toMatchObject({ accepted: 2, pending: 2 });
  });

  it('further mutations of those that wait are accepted, because they take no room', async () => {
    const { cache, count, written } = open();
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    for (let i = 0; i < 100; i++) await cache.mutate(1, add(1));
    expect(await count(1)).toBe(101);
    await cache.journal().flush();
    expect(written).toEqual(
      new Map([
        [2, 1n],
        [1, 101n],
      ]),
    );
  });

  it('it is accepted again once they are written, and was not counted before', async () => {
    const { cache, count, written } = open();
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    await expect(cache.mutate(3, add(1))).rejects.toMatchObject(full);
    await cache.journal().flush();
    await cache.mutate(3, add(1));
    expect(await count(3)).toBe(1);
    await cache.journal().flush();
    expect(written.get(3)).toBe(1n);
  });

  it('what is being written counts until it is written', async () => {
    const { cache, target } = open();
    const wait = deferred<void>();
    target.wait = wait.promise;
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    const flushing = cache.journal().flush();
    await turns();
    await expect(cache.mutate(3, add(1))).rejects.toMatchObject(full);
    wait.resolve();
    await flushing;
    await cache.mutate(3, add(1));
    expect(cache.journal().status().pending).toBe(1);
  });

  it('its caller is told to come back when the next attempt has been made', async () => {
    const { cache, clock, target } = open({ retry: { delay: '8s', maxDelay: '8s' } });
    target.failure = new Error('the database is away');
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    await expect(cache.journal().flush()).rejects.toBe(target.failure);
    await expect(cache.mutate(3, add(1))).rejects.toMatchObject({ retryAfterMs: 4_000 });
    clock.advance(3_000);
    await expect(cache.mutate(3, add(1))).rejects.toMatchObject({ retryAfterMs: 1_000 });
    target.failure = undefined;
    clock.advance(1_000);
    await turns();
    await cache.mutate(3, add(1));
    expect(cache.journal().status()).toMatchObject({ pending: 1, flushed: 2 });
  });

  it('one whose caller waits for it is written all the same, after those that wait', async () => {
    const { cache, written, behind } = open({ maxPending: 1 });
    await cache.mutate(1, add(1));
    await behind.acceptWritten('2', 2, add(5));
    expect([...written]).toEqual([
      [1, 1n],
      [2, 5n],
    ]);
    await cache.mutate(3, add(1));
  });

  it('the bound is divided among shards, so that it holds for all of them together', async () => {
    const { cache } = open({ maxPending: 64, shards: 64 });
    let accepted = 0;
    for (let key = 0; key < 1_000; key++) {
      accepted += await cache.mutate(key, add(1)).then(
        () => 1,
        () => 0,
      );
    }
    expect(accepted).toBeLessThanOrEqual(64);
    expect(accepted).toBeGreaterThan(32);
  });
});
