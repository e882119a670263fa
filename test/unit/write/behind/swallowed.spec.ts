import { add, counter, entity, EntityCache, Ledger, writeBehind } from 'nestjs-cache-contract';
import type {
  BatchPosition,
  BuriedRow,
  LedgerVerdict,
} from '../../../../lib/write/behind/ledger.js';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { testEngine } from '../../../support/engine.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

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

/** What databases make of the rest of a transaction in which a statement failed. */
type Kind =
  | 'begins it anew'
  /** As PostgreSQL does. */
  | 'refuses all that follows, and takes the commit for a rollback'
  /** As SQLite and MySQL do after some errors. */
  | 'ends it, and commits each statement that follows on its own';

class Transaction {
  private draft: State | undefined;

  constructor(
    private readonly database: Database,
    private readonly kind: Kind,
  ) {
    this.draft = copyOf(database.state);
  }
  get state(): State {
    if (this.draft === undefined) throw new Error('current transaction is aborted');
    return this.draft;
  }
  /** A statement fails, and with it everything before it. */
  fail(): never {
    const { database } = this;
    if (this.kind === 'begins it anew') this.draft = copyOf(database.state);
    else this.draft = this.kind.startsWith('ends it') ? database.state : undefined;
    throw new RangeError('deadlock detected');
  }
  commit(): void {
    if (this.draft !== undefined) this.database.state = this.draft;
  }
}

/** Its client rejects nothing that the flushing method has swallowed. */
class Database extends Ledger<Transaction> {
  state: State = { positions: new Map(), views: new Map(), letters: new Map() };

  constructor(private readonly kind: Kind) {
    super();
  }
  async transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const tx = new Transaction(this, this.kind);
    const result = await work(tx);
    tx.commit();
    return result;
  }
  async advance({ state }: Transaction, batch: BatchPosition): Promise<LedgerVerdict> {
    const { positions } = state;
    const of = [batch.namespace, batch.entity, batch.shard, batch.incarnation].join('/');
    const at = positions.get(of) ?? 0;
    if (at >= batch.lastSeq) return 'duplicate';
    if (at !== batch.previousSeq) return at > batch.previousSeq ? 'overlapping' : 'regressed';
    positions.set(of, batch.lastSeq);
    return 'advanced';
  }
  async bury({ state }: Transaction, rows: readonly BuriedRow[]): Promise<void> {
    for (const row of rows) state.letters.set(row.id, row);
  }
  async exhume({ state }: Transaction, { id }: Pick<BuriedRow, 'id'>): Promise<boolean> {
    return state.letters.delete(id);
  }
  async buried(): Promise<readonly BuriedRow[]> {
    return [...this.state.letters.values()];
  }
}

const Views = entity<number, number>('view', {
  ...counter(),
  maxStaleness: '1h',
  write: writeBehind({ merge: 'sum', retry: { attempts: 3, delay: '100ms', maxDelay: '100ms' } }),
});
const turns = async (count = 20) => {
  while (count-- > 0) await new Promise(setImmediate);
};

/** `fails` says for which keys, and at which attempt, a statement fails whose error nobody hears of. */
function open(kind: Kind, fails: (keys: readonly number[], attempt: number) => boolean) {
  const { engine, clock } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const database = new Database(kind);
  const attempts: number[] = [];
  const reject = new Set<number>();
  engine.behindOf(Views).bind({
    ledger: database,
    flush: async ({ entries, attempt }: FlushBatch<typeof Views>, given: unknown) => {
      const tx = given as Transaction;
      attempts.push(attempt);
      const rejected = entries.filter(({ key }) => reject.has(key));
      for (const entry of entries) {
        const { views } = tx.state;
        if (rejected.includes(entry)) continue;
        if (entry.op === 'add') views.set(entry.key, (views.get(entry.key) ?? 0n) + entry.by);
      }
      try {
        const keys = entries.map(({ key }) => key);
        if (fails(keys, attempts.length)) tx.fail();
      } catch {
        // Swallowed: "the other rows are in".
      }
      return { rejected: rejected.map(({ key }) => ({ key, reason: 'closed' })) };
    },
  });
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 50) {
      clock.advance(50);
      await turns(5);
    }
  };
  const rows = () => [...database.state.views].sort(([a], [b]) => a - b);
  return { engine, cache, attempts, reject, pass, rows };
}

const kinds: readonly Kind[] = [
  'begins it anew',
  'refuses all that follows, and takes the commit for a rollback',
  'ends it, and commits each statement that follows on its own',
];

describe.each(kinds)(
  'of a method that swallows the error of a statement, where the database undoes the transaction and %s,',
  (kind) => {
    // The ledger is moved once more, and that is committed.
    const kept = kind.startsWith('ends it') ? it : it;

    kept(
      'a batch fails instead of being taken for written, and is tried again until it is',
      async () => {
        const { cache, attempts, pass, rows } = open(kind, (_, attempt) => attempt <= 2);
        await cache.mutate(1, add(5));
        await cache.mutate(2, add(7));
        await expect(cache.journal().flush()).rejects.toThrow();
        expect([rows(), cache.journal().status().pending]).toEqual([[], 2]);
        await pass(1_000);
        expect(rows()).toEqual([
          [1, 5n],
          [2, 7n],
        ]);
        expect(attempts).toEqual([1, 2, 3]);
        expect(cache.journal().status()).toEqual({
          accepted: 2,
          pending: 0,
          flushed: 2,
          duplicates: 0,
          dead: 0,
        });
      },
    );

    kept('a mutation whose caller waits fails, and is not said to be written', async () => {
      const { engine, cache, pass, rows } = open(kind, (_, attempt) => attempt === 1);
      await expect(engine.behindOf(Views).acceptWritten('1', 1, add(5))).rejects.toThrow();
      await cache.mutate(2, add(7));
      await pass(2_000);
      expect(rows()).toEqual([[2, 7n]]);
      expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 1, duplicates: 0 });
    });

    kept('a dead letter that is retried stays one, because it is not written', async () => {
      const { cache, rows, reject } = open(kind, (_, attempt) => attempt === 2);
      reject.add(1);
      await cache.mutate(1, add(5));
      await cache.journal().flush();
      const [letter] = await cache.journal().deadLetters();
      reject.clear();
      await expect(cache.journal().retry(letter!.id)).rejects.toThrow();
      expect(await cache.journal().deadLetters()).toEqual([letter]);
      expect(await cache.journal().retry(letter!.id)).toBe(true);
      expect([rows(), await cache.journal().deadLetters()]).toEqual([[[1, 5n]], []]);
    });

    kept(
      'an entry for which that happens each time is found and buried, and the others are written once',
      async () => {
        const { cache, pass, rows } = open(kind, (keys) => keys.includes(2));
        for (const key of [1, 2, 3, 4]) await cache.mutate(key, add(key));
        await pass(3_000);
        expect(rows()).toEqual([
          [1, 1n],
          [3, 3n],
          [4, 4n],
        ]);
        const letters = await cache.journal().deadLetters();
        expect(letters.map(({ key }) => key)).toEqual([2]);
        expect(cache.journal().status()).toEqual({
          accepted: 4,
          pending: 0,
          flushed: 3,
          duplicates: 0,
          dead: 1,
        });
      },
    );
  },
);

describe('of a method that swallows the error of a statement, where SQLite undoes the transaction and ends it,', () => {
  it('a batch fails instead of being taken for written, and is tried again until it is', async () => {
    const { engine, clock } = testEngine();
    const cache = new EntityCache(engine).of(Views);
    const shop = new Shop();
    let attempts = 0;
    engine.behindOf(Views).bind({
      ledger: new ShopLedger(shop),
      flush: ({ entries }: FlushBatch<typeof Views>) => {
        for (const entry of entries) if (entry.op === 'add') shop.add(entry.key, entry.by);
        if (++attempts > 1) return;
        try {
          shop.sqlite.run('INSERT OR ROLLBACK INTO views VALUES (1, 1)');
        } catch {
          // Swallowed: "it is there already".
        }
      },
    });
    await cache.mutate(1, add(5));
    await expect(cache.journal().flush()).rejects.toThrow();
    expect([shop.views(1), cache.journal().status().pending]).toEqual([0, 1]);
    clock.advance(100);
    await turns();
    expect([shop.views(1), attempts]).toEqual([5, 2]);
    expect(cache.journal().status()).toMatchObject({ pending: 0, flushed: 1, duplicates: 0 });
  });
});
