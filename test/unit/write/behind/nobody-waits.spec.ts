import { add, counter, entity, EntityCache, writeBehind } from 'nestjs-cache-contract';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { deferred, testEngine } from '../../../support/engine.js';

const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};
const microtasks = async (count: number) => {
  while (count-- > 0) await Promise.resolve();
};

/** Without a ledger; key 9 is rejected. */
function open() {
  const Views = entity<number, number>('view', {
    ...counter(),
    maxStaleness: '1h',
    write: writeBehind({
      merge: 'sum',
      maxBatch: 1,
      flushEvery: '30m',
      retry: { attempts: 1, delay: '10s', maxDelay: '10s' },
    }),
  });
  const { engine, clock } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const hooks: { write: (attempt: number) => unknown } = { write: () => undefined };
  const target = { attempts: 0 };
  engine.behindOf(Views).bind({
    ledger: undefined,
    flush: async ({ entries }: FlushBatch<typeof Views>) => {
      await hooks.write(++target.attempts);
      const bad = entries.filter(({ key }) => key === 9);
      return { rejected: bad.map(({ key }) => ({ key, reason: 'closed' })) };
    },
  });
  return { engine, behind: engine.behindOf(Views), clock, cache, hooks, target };
}
type Opened = ReturnType<typeof open>;

/** What becomes of each. */
function watch(work: { readonly [name: string]: Promise<unknown> }) {
  const outcomes: { [name: string]: string } = {};
  for (const [name, promise] of Object.entries(work)) {
    outcomes[name] = 'waits';
    promise.then(
      () => (outcomes[name] = 'done'),
      (error: { code?: string; message: string }) => (outcomes[name] = error.code ?? error.message),
    );
  }
  return outcomes;
}

describe('when an application has closed', () => {
  it('who waited behind the batch that was being written is told, and no timer is left', async () => {
    const { engine, behind, clock, cache, hooks, target } = open();
    await cache.mutate(9, add(1));
    await cache.journal().flush();
    const [letter] = await cache.journal().deadLetters();
    const go = deferred<void>();
    hooks.write = () => go.promise;
    await cache.mutate(1, add(1));
    await cache.mutate(2, add(1));
    const outcomes = watch({
      flush: cache.journal().flush(),
      written: behind.acceptWritten('3', 3, add(1)),
      retry: cache.journal().retry(letter!.id),
    });
    await turns();
    const closing = engine.close();
    go.resolve();
    await closing;
    await turns();
    expect(outcomes).toEqual({
      flush: 'CACHE_NOT_RUNNING',
      written: 'CACHE_NOT_RUNNING',
      retry: 'CACHE_NOT_RUNNING',
    });
    // The one that was rejected, and the one that was being written.
    expect([target.attempts, clock.pending]).toEqual([2, 0]);
  });

  it.each(['before', 'after'] as const)(
    'who waits for what is written is told, where the journal cannot say so, and fails %s it',
    async (when) => {
      const { engine, behind, clock, cache } = open();
      const { journal } = behind['shards'][0]!;
      const answer = deferred<void>();
      journal.acknowledge = () => answer.promise;
      await cache.mutate(1, add(1));
      const outcomes = watch({ flush: cache.journal().flush() });
      await turns();
      if (when === 'before') {
        answer.reject(new Error('connection reset'));
        await turns();
        expect(outcomes).toEqual({ flush: 'waits' });
      }
      const closing = engine.close();
      answer.reject(new Error('connection reset'));
      await closing;
      await turns();
      expect([outcomes, clock.pending]).toEqual([{ flush: 'CACHE_NOT_RUNNING' }, 0]);
    },
  );

  it('who waits until the journal says what is to be written is told', async () => {
    const { engine, behind, clock, target } = open();
    const { journal } = behind['shards'][0]!;
    journal.head = () => Promise.reject(new Error('connection reset'));
    const outcomes = watch({ written: behind.acceptWritten('1', 1, add(1)) });
    await turns();
    expect(outcomes).toEqual({ written: 'waits' });
    await engine.close();
    await turns();
    expect([outcomes, clock.pending]).toEqual([{ written: 'CACHE_NOT_RUNNING' }, 0]);
    expect(target.attempts).toBe(0);
  });

  const calls: [string, (opened: Opened, letter: string) => Promise<unknown>][] = [
    ['flush()', ({ cache }) => cache.journal().flush()],
    ['a mutation that is to be written at once', (o) => o.behind.acceptWritten('3', 3, add(1))],
    ['retry()', ({ cache }, letter) => cache.journal().retry(letter)],
    ['a mutation', ({ cache }) => cache.mutate(4, add(1))],
  ];

  it.each(
    calls.flatMap(([name, call]) =>
      [false, true].flatMap((hurried) =>
        (['nothing', 'a batch', 'a batch that fails'] as const).map(
          (written) => [name, hurried, written, call] as const,
        ),
      ),
    ),
  )(
    '%s that was called just before it (announced: %p, while %s is written) is answered, and no timer is left',
    async (name, hurried, written, call) => {
      const wrong: string[] = [];
      for (let k = 0; k < 25; k++) {
        const opened = open();
        const { engine, clock, cache, hooks } = opened;
        await cache.mutate(9, add(1));
        await cache.journal().flush();
        const [letter] = await cache.journal().deadLetters();
        // Until nothing at all is under way, which closing would wait for.
        await turns(2);
        const go = deferred<void>();
        if (written !== 'nothing') {
          hooks.write = () => go.promise;
          await cache.mutate(1, add(1));
          watch({ first: cache.journal().flush() });
          await turns(2);
        }
        if (hurried) watch({ draining: engine.drainJournals(1_000) });
        const outcomes = watch({ it: call(opened, letter!.id) });
        // At first in the same turn.
        if (k > 0) await microtasks(k - 1);
        const closing = watch({ it: engine.close() });
        await turns(2);
        if (written === 'a batch that fails') go.reject(new Error('connection reset'));
        else go.resolve();
        await turns(5);
        if (hurried) clock.advance(1_000);
        await turns(2);
        const left = [outcomes['it'], closing['it'], clock.pending];
        if (left[0] === 'waits' || left[1] !== 'done' || left[2] !== 0)
          wrong.push(`${k}: ${left.join()}`);
        // What was accepted is not said to have failed.
        if (name === 'a mutation' && left[0] !== 'done') wrong.push(`${k}: ${left[0]}`);
      }
      expect(wrong).toEqual([]);
    },
  );
});

describe('while an attempt fails, who comes in whichever microtask', () => {
  it.each<[string, (opened: Opened) => Promise<unknown>]>([
    ['with flush()', ({ cache }) => cache.journal().flush()],
    [
      'with a mutation that is to be written at once',
      (o) => o.behind.acceptWritten('2', 2, add(1)),
    ],
  ])('%s is told of that attempt, or of the next one, which begins at once', async (_, call) => {
    const wrong: string[] = [];
    const seen = new Set<string>();
    for (let k = 0; k < 30; k++) {
      const opened = open();
      const { cache, hooks, target, clock } = opened;
      const go = deferred<void>();
      hooks.write = (attempt) => (attempt === 1 ? go.promise : undefined);
      await cache.mutate(1, add(1));
      const first = watch({ it: cache.journal().flush() });
      await turns(3);
      go.reject(new Error('connection reset'));
      await microtasks(k);
      const later = watch({ it: call(opened) });
      await turns(5);
      seen.add(later['it']!);
      // Time has not moved: it is no pause that has ended.
      const tried = later['it'] === 'done' ? target.attempts > 1 : target.attempts === 1;
      if (first['it'] !== 'connection reset' || !tried || later['it'] === 'waits')
        wrong.push(`${k}: ${first['it']}, ${later['it']} at ${target.attempts}`);
      clock.advance(10_000);
      await turns(3);
      const { pending } = cache.journal().status();
      if (pending > 0) wrong.push(`${k}: ${pending} pending`);
    }
    expect(wrong).toEqual([]);
    // Some came in time for the one that failed, and some after it.
    expect(seen).toEqual(new Set(['connection reset', 'done']));
  });
});
