import { add, counter, entity, EntityCache, Ledger, writeBehind } from 'nestjs-cache-contract';
import type {
  BatchPosition,
  BuriedRow,
  LedgerVerdict,
} from '../../../../lib/write/behind/ledger.js';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { deferred, testEngine } from '../../../support/engine.js';

interface State {
  readonly positions: Map<string, number>;
  readonly views: Map<number, bigint>;
  readonly letters: Map<string, BuriedRow>;
}
const copyOf = ({ positions, views, letters }: State): State => ({
  positions: new Map(positions),
  views: new Map(views),
  letters: new Map(letters),
});

/** A database with as many connections as are asked for: of two transactions that overlap the first commit wins. */
class Pool extends Ledger<State> {
  state: State = { positions: new Map(), views: new Map(), letters: new Map() };
  /** What the commit of the n-th transaction waits for, and what its answer waits for. */
  readonly commits = new Map<number, Promise<void>>();
  readonly answers = new Map<number, Promise<void>>();
  private begun = 0;

  async transaction<T>(work: (tx: State) => Promise<T>): Promise<T> {
    const number = ++this.begun;
    const before = this.state;
    const draft = copyOf(before);
    const result = await work(draft);
    await this.commits.get(number);
    if (this.state !== before) throw new Error('could not serialize access');
    this.state = draft;
    await this.answers.get(number);
    return result;
  }
  async advance({ positions }: State, batch: BatchPosition): Promise<LedgerVerdict> {
    const { namespace, entity, shard, incarnation, previousSeq, lastSeq } = batch;
    const of = [namespace, entity, shard, incarnation].join('/');
    const at = positions.get(of) ?? 0;
    if (at >= lastSeq) return 'duplicate';
    if (at !== previousSeq) return at > previousSeq ? 'overlapping' : 'regressed';
    positions.set(of, lastSeq);
    return 'advanced';
  }
  async bury({ letters }: State, rows: readonly BuriedRow[]): Promise<void> {
    for (const row of rows) letters.set(row.id, row);
  }
  async exhume({ letters }: State, { id }: Pick<BuriedRow, 'id'>): Promise<boolean> {
    return letters.delete(id);
  }
  async buried(): Promise<readonly BuriedRow[]> {
    return [...this.state.letters.values()];
  }
}

const Views = entity<number, number>('view', {
  ...counter(),
  write: writeBehind({ merge: 'sum', flushTimeout: '2s', retry: { delay: '100ms' } }),
});
const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

function open() {
  const { engine, clock } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const pool = new Pool();
  const batches: FlushBatch<typeof Views>[] = [];
  const hooks = { wait: (_attempt: number): Promise<void> | undefined => undefined };
  engine.behindOf(Views).bind({
    ledger: pool,
    flush: async (batch: FlushBatch<typeof Views>, tx: unknown) => {
      batches.push(batch);
      await hooks.wait(batches.length);
      const { views } = tx as State;
      for (const entry of batch.entries) {
        if (entry.op === 'add') views.set(entry.key, (views.get(entry.key) ?? 0n) + entry.by);
      }
    },
  });
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 50) {
      clock.advance(50);
      await turns(5);
    }
  };
  const count = (key: number) =>
    cache.get(key, async () => Number(pool.state.views.get(key) ?? 0n));
  return { cache, pool, batches, hooks, pass, count };
}

describe('of an attempt that takes longer than flushTimeout', () => {
  it('the next one goes on while it still runs, and what it writes late has no effect', async () => {
    const { cache, pool, batches, hooks, pass, count } = open();
    const hung = deferred<void>();
    hooks.wait = (attempt) => (attempt === 1 ? hung.promise : undefined);
    await cache.mutate(1, add(5));
    await pass(4_000);
    expect([pool.state.views.get(1), batches.length]).toEqual([5n, 2]);
    expect(batches.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    hung.resolve();
    await turns();
    expect([pool.state.views.get(1), await count(1)]).toEqual([5n, 5]);
  });

  it('the commit may come late: before the next one, which finds it, or after it, which undoes it', async () => {
    for (const late of [2_200, 4_000]) {
      const { cache, pool, hooks, pass, count } = open();
      const commit = deferred<void>();
      pool.commits.set(1, commit.promise);
      const second = deferred<void>();
      hooks.wait = (attempt) => (attempt === 2 ? second.promise : undefined);
      await cache.mutate(1, add(5));
      await pass(1_000 + late);
      commit.resolve();
      await turns();
      second.resolve();
      await pass(6_000);
      expect([late, pool.state.views.get(1), await count(1)]).toEqual([late, 5n, 5]);
      expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 1 });
    }
  });

  it('the commit may have come, and only its answer be missing', async () => {
    const { cache, pool, batches, pass, count } = open();
    pool.answers.set(1, new Promise(() => undefined));
    await cache.mutate(1, add(5));
    expect(await count(1)).toBe(5);
    await pass(6_000);
    expect([pool.state.views.get(1), batches.length, await count(1)]).toEqual([5n, 1, 5]);
    expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 1, duplicates: 1 });
  });

  it('readers of its keys wait for what came of it, and count nothing twice; others do not wait', async () => {
    const { cache, hooks, pass, count, pool } = open();
    hooks.wait = (attempt) => (attempt === 1 ? new Promise(() => undefined) : undefined);
    await cache.mutate(1, add(5));
    await pass(1_000);
    let read: number | undefined;
    void count(1).then((value) => (read = value));
    expect(await count(2)).toBe(0);
    pool.state = { ...pool.state, views: new Map([[1, 40n]]) };
    await pass(1_900);
    expect(read).toBeUndefined();
    await pass(600);
    expect(read).toBe(45);
  });
});
