import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  add,
  Cached,
  CacheJournalFullError,
  CacheModule,
  EntityCache,
  entity,
  Flushes,
  readThrough,
  SqlLedger,
  WriteBehind,
  writeBehind,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { PATIENCE_MS, until } from '../support/fault-child.js';
import {
  addToCounter,
  committed,
  createTables,
  openDatabase,
  type Database,
  type Place,
  type Tx,
} from '../support/fault-database.js';
import { operation, timesApplied } from '../support/fault-operations.js';
import { serverOf, type Server } from '../support/fault-postgres.js';
import { hasPostgres, startPostgres, type TestPostgres } from '../support/postgres.js';

const Counts = entity<number, number>('count', {
  maxStaleness: '10m',
  read: readThrough({ ttl: '5m' }),
  write: writeBehind({
    merge: 'sum',
    flushEvery: '5ms',
    maxBatch: 5,
    maxPending: 30,
    flushTimeout: '200ms',
    retry: { attempts: 100, delay: '5ms', maxDelay: '50ms' },
  }),
});

let database: Database;

@Injectable()
class ShopLedger extends SqlLedger<Tx> {
  constructor() {
    super(database.dialect);
  }
  override transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return database.transaction(work);
  }
  override query(tx: Tx, sql: string, values: readonly (string | number)[]) {
    return tx.query(sql, values);
  }
}

@Injectable()
class Counter {
  loads = 0;

  @Cached(Counts)
  async count(key: number): Promise<number> {
    this.loads++;
    const sql = 'SELECT n FROM counters WHERE id = $1';
    const [row] = (await database.transaction((tx) => tx.query(sql, [key]))) as { n: string }[];
    return Number(row?.n ?? 0);
  }
  @WriteBehind(Counts, (key: number) => key)
  async add(_key: number, by: number) {
    return Promise.resolve(add(by));
  }
  @Flushes(Counts, { ledger: ShopLedger })
  async persist({ entries }: FlushBatch<typeof Counts>, tx: Tx): Promise<void> {
    for (const entry of entries)
      if (entry.op === 'add') await addToCounter(tx, entry.key, entry.by);
  }
}

const RUN = 1;
const NAME = `outage of ${process.pid}`;

/** A client that remembers what was accepted. */
function clientOf(counter: Counter) {
  const answers: ('accepted' | CacheJournalFullError)[] = [];
  return {
    answers,
    /** Asks for one operation more. */
    async next(): Promise<'accepted' | CacheJournalFullError> {
      const { key, by } = operation(RUN, answers.length + 1);
      // Its place among the operations, whatever becomes of it.
      const index = answers.push('accepted') - 1;
      await counter.add(key, by).catch((error: CacheJournalFullError) => (answers[index] = error));
      return answers[index]!;
    },
    /** What was accepted for one key. */
    sumOf: (key: number) =>
      answers.reduce((sum, answer, index) => {
        const asked = operation(RUN, index + 1);
        return asked.key === key && answer === 'accepted' ? sum + asked.by : sum;
      }, 0),
  };
}

// A server of somebody else is not ours to stop.
const ours = hasPostgres() && process.env.DATABASE_URL === undefined;

(ours ? describe : describe.skip)('while its database', () => {
  let postgres: TestPostgres;
  let server: Server;
  let place: Place;
  let goOn: (() => void) | undefined;
  let close: (() => Promise<void>) | undefined;
  beforeAll(async () => {
    // What a crash may take from a server that does not wait for the disk is no fault of ours.
    postgres = (await startPostgres({ durable: true }))!;
    server = serverOf(postgres.url);
    place = { dialect: 'postgres', url: postgres.url };
  }, 2 * PATIENCE_MS);
  beforeEach(() => createTables(place));
  afterEach(async () => {
    goOn?.();
    await close?.();
  }, PATIENCE_MS);
  afterAll(async () => {
    await server?.stop();
    await postgres?.stop();
  });

  const outages = [
    {
      title: 'is gone and comes back',
      begin: async () => {
        await server.crash();
        return () => server.restart();
      },
    },
    {
      title: 'hangs and goes on',
      begin: async () => {
        goOn = await server.freeze(NAME);
        return async () => goOn!();
      },
    },
  ];

  it.each(outages)(
    '$title: an application serves what is cached, refuses what it cannot keep, and writes all it accepted once',
    async ({ begin }) => {
      database = openDatabase(place, NAME);
      const app = await Test.createTestingModule({
        imports: [CacheModule.forRoot()],
        providers: [ShopLedger, Counter],
      }).compile();
      app.useLogger(false);
      await app.init();
      close = async () => {
        close = undefined;
        await app.close();
        await database.close();
      };
      const counter = app.get(Counter);
      const journal = app.get(EntityCache).journal(Counts);
      const client = clientOf(counter);
      const { key } = operation(RUN, 1);
      for (let n = 1; n <= 50; n++) {
        if (n % 10 === 0) await journal.flush();
        await client.next();
      }
      await counter.count(key);
      expect(counter.loads).toBe(1);

      const end = await begin();
      const refused = await until('it is full', async () => {
        const answer = await client.next();
        return answer !== 'accepted' && answer;
      });
      expect(refused).toBeInstanceOf(CacheJournalFullError);
      expect(refused).toMatchObject({ code: 'CACHE_JOURNAL_FULL' });
      expect(refused.retryAfterMs).toBeGreaterThanOrEqual(100);
      const before = journal.status();
      expect(before.pending).toBeGreaterThan(20);
      await expect(journal.flush()).rejects.toThrow();
      expect(await counter.count(key)).toBe(client.sumOf(key));
      expect(counter.loads).toBe(1);
      // Nothing is lost by trying, however often.
      expect(journal.status()).toEqual(before);

      await end();
      const enough = client.answers.length + 100;
      await until('it accepts again', async () => {
        const answer = await client.next();
        return answer === 'accepted' && client.answers.length > enough;
      });
      await until('all is written', async () => {
        await journal.flush().catch(() => undefined);
        return journal.status().pending === 0;
      });
      await close();

      const counters = await committed(place, NAME);
      const expected = client.answers.map((answer) => (answer === 'accepted' ? 1 : 0));
      expect(timesApplied(counters, RUN, client.answers.length)).toEqual(expected);
      expect(journal.status()).toMatchObject({
        accepted: expected.filter(Boolean).length,
        flushed: expected.filter(Boolean).length,
        dead: 0,
      });
    },
    3 * PATIENCE_MS,
  );
});
