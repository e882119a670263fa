import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import sqlite from 'node-sqlite3-wasm';
import pg from 'pg';
import type { BatchPosition, BuriedRow, LedgerVerdict } from '../../lib/write/behind/ledger.js';
import { SqlLedger } from '../../lib/write/behind/sql-ledger.js';
import { ledgerSchema } from '../../lib/write/behind/sql-statements.js';
import { deferred } from '../support/engine.js';
import { hasPostgres, startPostgres, type TestPostgres } from '../support/postgres.js';
import { holds } from '../support/property.js';

type Values = readonly (string | number)[];

/** One connection, so the transactions take turns. */
class SqliteLedger extends SqlLedger<sqlite.Database> {
  private readonly database = new sqlite.Database(':memory:');
  private turn: Promise<unknown> = Promise.resolve();

  constructor() {
    super('sqlite');
  }
  override transaction<T>(work: (tx: sqlite.Database) => Promise<T>): Promise<T> {
    const result = this.turn.then(async () => {
      this.database.exec('BEGIN IMMEDIATE');
      try {
        const answer = await work(this.database);
        this.database.exec('COMMIT');
        return answer;
      } catch (error) {
        this.database.exec('ROLLBACK');
        throw error;
      }
    });
    this.turn = result.catch(() => undefined);
    return result;
  }
  override async query(tx: sqlite.Database, sql: string, values: Values) {
    return tx.all(sql, [...values]);
  }
  async close() {
    this.database.close();
  }
}

const isolations = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const;

class PostgresLedger extends SqlLedger<pg.ClientBase> {
  /** By this name PostgreSQL tells which connections are ours. */
  private readonly name = `ledger ${randomBytes(6).toString('hex')}`;
  private readonly pool: pg.Pool;

  constructor(
    url: string,
    private readonly isolation: (typeof isolations)[number],
  ) {
    super('postgres');
    this.pool = new pg.Pool({ connectionString: url, application_name: this.name });
  }
  override async transaction<T>(work: (tx: pg.ClientBase) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    try {
      await client.query(`BEGIN ISOLATION LEVEL ${this.isolation}`);
      const answer = await work(client);
      await client.query('COMMIT');
      return answer;
    } catch (error) {
      await client.query('ROLLBACK');
      throw error;
    } finally {
      client.release();
    }
  }
  override async query(tx: pg.ClientBase, sql: string, values: Values) {
    return (await tx.query(sql, [...values])).rows as object[];
  }
  /** Until one of our connections waits for a lock of another. */
  async blocked(): Promise<void> {
    const waiting = `SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`;
    for (const deadline = Date.now() + 30_000; ; await setTimeout(5)) {
      if ((await this.pool.query(waiting, [this.name])).rowCount === 1) return;
      if (Date.now() > deadline) throw new Error('nobody waited within 30 seconds');
    }
  }
  close() {
    return this.pool.end();
  }
}

/** The mutations after `previousSeq`, up to `lastSeq`. */
function batch(previousSeq: number, lastSeq: number, of: Partial<BatchPosition> = {}) {
  const where = { namespace: 'shop', entity: 'views', shard: 3, incarnation: 'a', ...of };
  const id = [...Object.values(where), lastSeq].join('/');
  return { id, ...where, previousSeq, lastSeq };
}

/** What a flush does: one transaction for the ledger and for what the batch is to write. */
function flush<Tx>(
  ledger: SqlLedger<Tx>,
  of: BatchPosition,
  then: (tx: Tx) => unknown = () => undefined,
): Promise<LedgerVerdict> {
  return ledger.transaction(async (tx) => {
    const verdict = await ledger.advance(tx, of);
    if (verdict === 'advanced') {
      const row = `'${of.incarnation}', ${of.previousSeq}, ${of.lastSeq}`;
      await ledger.query(tx, `INSERT INTO written VALUES (${row})`, []);
    }
    await then(tx);
    return verdict;
  });
}

async function inTurn(ledger: SqlLedger<any>, batches: BatchPosition[]): Promise<LedgerVerdict[]> {
  const verdicts: LedgerVerdict[] = [];
  for (const each of batches) verdicts.push(await flush(ledger, each));
  return verdicts;
}

/** The stretches that flushes have written. */
const written = (ledger: SqlLedger<any>) =>
  ledger.transaction(async (tx) => {
    const rows = await ledger.query(tx, 'SELECT * FROM written ORDER BY 1, 2, 3', []);
    return rows.map((row) => {
      const [incarnation, after, upTo] = Object.values(row) as unknown[];
      return `${String(incarnation)} ${String(after)}-${String(upTo)}`;
    });
  });

async function run(ledger: SqlLedger<any>, statements: readonly string[]): Promise<void> {
  await ledger.transaction(async (tx) => {
    for (const statement of statements) await ledger.query(tx, statement, []);
  });
}

const WRITTEN =
  'CREATE TABLE IF NOT EXISTS written (incarnation text, after_seq bigint, last_seq bigint)';
const EMPTY = ['written', 'cache_ledger', 'cache_dead_letters'].map((t) => `DELETE FROM ${t}`);

function letter(id: string, of: Partial<BuriedRow> = {}): BuriedRow {
  return {
    id,
    namespace: 'shop',
    entity: 'views',
    content: `{"key":"${id}"}`,
    reason: 'no such product',
    buriedAt: '2026-01-02T03:04:05.678Z',
    ...of,
  };
}

const lost = new Error('connection lost');
const fails = () => {
  throw lost;
};

let server: TestPostgres | undefined;
beforeAll(async () => {
  server = await startPostgres();
}, 120_000);
afterAll(() => server?.stop());

const onPostgres = hasPostgres() ? describe : describe.skip;
const unless = hasPostgres() ? '' : ' (skipped: there is no PostgreSQL here)';

describe('a ledger on SQLite', () => {
  let ledger: SqliteLedger;
  beforeAll(async () => {
    ledger = new SqliteLedger();
    await run(ledger, [...ledgerSchema('sqlite'), ...ledgerSchema('sqlite'), WRITTEN]);
  });
  afterAll(() => ledger.close());
  everywhere(() => ledger);

  type Step =
    | { kind: 'next'; size: number }
    | { kind: 'again'; which: number }
    | { kind: 'foreign'; after: number; size: number };
  const size = fc.integer({ min: 1, max: 4 });
  const steps = fc.array(
    fc.record({
      incarnation: fc.constantFrom('a', 'b'),
      rollsBack: fc.boolean(),
      step: fc.oneof<fc.Arbitrary<Step>[]>(
        fc.record({ kind: fc.constant('next'), size }),
        fc.record({ kind: fc.constant('again'), which: fc.nat() }),
        fc.record({ kind: fc.constant('foreign'), after: fc.nat({ max: 12 }), size }),
      ),
    }),
    { minLength: 1, maxLength: 15 },
  );

  it('writes every mutation once, without a gap, whatever batches come again, roll back, or are cut differently', async () => {
    await holds(
      fc.asyncProperty(steps, async (history) => {
        await run(ledger, EMPTY);
        const stands: Record<string, number> = { a: 0, b: 0 };
        const sent: BatchPosition[] = [];
        const expected: string[] = [];
        for (const { incarnation, rollsBack, step } of history) {
          const at = stands[incarnation]!;
          const next = (after: number, size: number) => batch(after, after + size, { incarnation });
          let one = next(at, 1);
          if (step.kind === 'next') one = next(at, step.size);
          if (step.kind === 'foreign') one = next(step.after, step.size);
          if (step.kind === 'again' && sent.length > 0) one = sent[step.which % sent.length]!;
          sent.push(one);
          const position = stands[one.incarnation]!;
          const verdict = await flush(ledger, one, rollsBack ? fails : undefined).catch(() => null);
          if (rollsBack) continue;
          if (position === one.previousSeq) {
            expect(verdict).toBe('advanced');
            stands[one.incarnation] = one.lastSeq;
            expected.push(`${one.incarnation} ${one.previousSeq}-${one.lastSeq}`);
          } else if (position >= one.lastSeq) expect(verdict).toBe('duplicate');
          else expect(verdict).toBe(position > one.previousSeq ? 'overlapping' : 'regressed');
        }
        const rows = await written(ledger);
        expect([...rows].sort()).toEqual(expected.sort());
        // Not by the model: what is written of each incarnation begins at 0 and has neither gaps nor overlaps.
        const end: Record<string, string> = {};
        for (const row of rows) {
          const [incarnation, after, upTo] = row.split(/[ -]/) as [string, string, string];
          expect(after).toBe(end[incarnation] ?? '0');
          end[incarnation] = upTo;
        }
      }),
    );
  });
});

onPostgres.each(isolations)(`a ledger on PostgreSQL, %s${unless}`, (isolation) => {
  let ledger: PostgresLedger;
  beforeAll(async () => {
    ledger = new PostgresLedger(server!.url, isolation);
    await run(ledger, [...ledgerSchema('postgres'), ...ledgerSchema('postgres'), WRITTEN]);
  });
  afterAll(() => ledger.close());
  everywhere(() => ledger);

  /** At READ COMMITTED the second waits for its answer; above, the database makes it try again. */
  async function orAgain(second: Promise<LedgerVerdict>, of: BatchPosition) {
    if (isolation === 'READ COMMITTED') return second;
    await expect(second).rejects.toMatchObject({ code: '40001' });
    return flush(ledger, of);
  }

  describe.each([
    ['the first batch of a journal', 0, []],
    ['a later batch', 4, [batch(0, 4)]],
  ])('with %s in a transaction that is still open', (_, from, before) => {
    const open = async (of: BatchPosition) => {
      await run(ledger, EMPTY);
      await inTurn(ledger, before);
      const [advanced, end] = [deferred<void>(), deferred<void>()];
      const first = flush(ledger, of, () => {
        advanced.resolve();
        return end.promise;
      });
      await advanced.promise;
      return { first, end };
    };

    it('keeps another one with the same batch waiting, and tells it that the batch was applied', async () => {
      const of = batch(from, from + 2);
      const { first, end } = await open(of);
      const second = flush(ledger, of);
      second.catch(() => undefined);
      await ledger.blocked();
      end.resolve();
      expect([await first, await orAgain(second, of)]).toEqual(['advanced', 'duplicate']);
      expect(await written(ledger)).toHaveLength(before.length + 1);
    });

    it('lets another one with the same batch have it if it rolls back', async () => {
      const of = batch(from, from + 2);
      const { first, end } = await open(of);
      const second = flush(ledger, of);
      await ledger.blocked();
      end.reject(lost);
      await expect(first).rejects.toBe(lost);
      expect(await second).toBe('advanced');
      expect(await written(ledger)).toHaveLength(before.length + 1);
    });
  });

  it('does not take a batch that comes while the one before is being committed for a restored backup', async () => {
    await inTurn(ledger, [batch(0, 4)]);
    const [advanced, end] = [deferred<void>(), deferred<void>()];
    const first = flush(ledger, batch(4, 6), () => {
      advanced.resolve();
      return end.promise;
    });
    await advanced.promise;
    const second = flush(ledger, batch(6, 7));
    second.catch(() => undefined);
    await ledger.blocked();
    end.resolve();
    expect([await first, await orAgain(second, batch(6, 7))]).toEqual(['advanced', 'advanced']);
    expect(await written(ledger)).toEqual(['a 0-4', 'a 4-6', 'a 6-7']);
  });
});

describe('a class that extends SqlLedger', () => {
  /** Answers as its client would, and remembers what it was asked. */
  class Scripted extends SqlLedger<null> {
    readonly asked: [string, Values][] = [];
    constructor(
      dialect: 'postgres' | 'sqlite',
      private readonly answer: unknown,
    ) {
      super(dialect);
    }
    override transaction<T>(work: (tx: null) => Promise<T>): Promise<T> {
      return work(null);
    }
    override async query(_: null, sql: string, values: Values) {
      this.asked.push([sql, values]);
      return this.answer as object[];
    }
  }
  const everything = async (ledger: Scripted) => {
    await ledger.advance(null, batch(0, 3));
    await ledger.advance(null, batch(3, 5));
    await ledger.bury(null, [letter('1')]);
    await ledger.exhume(null, letter('1'));
    await ledger.buried(letter('1'));
    return ledger.asked;
  };

  it('is given every placeholder once, in the order of the values', async () => {
    for (const [sql, values] of await everything(new Scripted('postgres', []))) {
      expect(sql.match(/\$\d+/g)).toEqual(values.map((_, i) => `$${i + 1}`));
      expect(sql).not.toContain('?');
    }
    for (const [sql, values] of await everything(new Scripted('sqlite', []))) {
      expect(sql.match(/\?/g)).toHaveLength(values.length);
      expect(sql).not.toContain('$');
    }
  });

  it.each([
    ['with the number of them', [[], 0], 'an array of 2'],
    ['with the number of them, and there are some', [[{ last_seq: '3' }], 1], 'an array of 2'],
    ['in the result of its driver', { rows: [], rowCount: 0 }, 'an object'],
    ['by other names', [{ lastSeq: '3', ID: '1' }], 'an array of 1'],
    ['not at all', undefined, 'undefined'],
  ])('is refused if it gives the rows %s', async (_, answer, shown) => {
    const ledger = new Scripted('postgres', answer);
    const asking = [
      () => ledger.advance(null, batch(0, 3)),
      () => ledger.advance(null, batch(3, 5)),
      () => ledger.exhume(null, letter('1')),
      () => ledger.buried(letter('1')),
    ];
    for (const ask of asking) {
      await expect(ask()).rejects.toMatchObject({
        code: 'CACHE_ARGUMENT_INVALID',
        message: expect.stringMatching(
          new RegExp(
            `^query\\(\\) of Scripted was to give the rows of a statement, .* got ${shown}\\. Fix: `,
          ),
        ) as string,
      });
    }
  });

  it.each(['mysql', undefined])('is refused for the dialect %s', (dialect) => {
    const refused = (act: () => unknown, who: string) =>
      expect(act).toThrow(
        expect.objectContaining({
          code: 'CACHE_ARGUMENT_INVALID',
          message:
            `${who} expected the dialect of the database, got ${dialect ? "'mysql' (string)" : 'undefined'}. ` +
            `Fix: say 'postgres' or 'sqlite'; for another database extend Ledger.`,
        }),
      );
    refused(() => new Scripted(dialect as 'sqlite', []), 'SqlLedger');
    refused(() => ledgerSchema(dialect as 'sqlite'), 'ledgerSchema()');
  });
});

/** What holds on every database. */
function everywhere(given: () => SqlLedger<any>): void {
  let ledger: SqlLedger<any>;
  beforeEach(async () => {
    ledger = given();
    await run(ledger, EMPTY);
  });

  it('applies batch after batch, and each of them once', async () => {
    const batches = [batch(0, 3), batch(3, 4), batch(4, 10)];
    expect(await inTurn(ledger, [...batches, ...batches])).toEqual([
      ...['advanced', 'advanced', 'advanced'],
      ...['duplicate', 'duplicate', 'duplicate'],
    ]);
    expect(await inTurn(ledger, [batch(1, 2), batch(0, 10)])).toEqual(['duplicate', 'duplicate']);
    expect(await written(ledger)).toEqual(['a 0-3', 'a 3-4', 'a 4-10']);
  });

  it.each([
    ['the first', [batch(0, 2)]],
    ['a later', [batch(0, 1), batch(1, 2)]],
  ])('applies %s batch once, however many try at once', async (_, batches) => {
    const last = batches.pop()!;
    await inTurn(ledger, batches);
    const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => flush(ledger, last)));
    const verdicts = attempts.map((each) => (each.status === 'fulfilled' ? each.value : 'error'));
    expect(verdicts.filter((verdict) => verdict === 'advanced')).toHaveLength(1);
    expect(verdicts).not.toContain('regressed');
    expect(verdicts).not.toContain('overlapping');
    expect(await flush(ledger, last)).toBe('duplicate');
    expect(await written(ledger)).toHaveLength(batches.length + 1);
  });

  it('knows a batch again in the transaction that applies it', async () => {
    for (const each of [batch(0, 3), batch(3, 5)]) {
      const again = flush(ledger, each, async (tx) =>
        expect(await ledger.advance(tx, each)).toBe('duplicate'),
      );
      expect(await again).toBe('advanced');
    }
  });

  it('has not applied a batch whose transaction was rolled back', async () => {
    await expect(flush(ledger, batch(0, 3), fails)).rejects.toBe(lost);
    expect(await flush(ledger, batch(0, 3))).toBe('advanced');
    await expect(flush(ledger, batch(3, 5), fails)).rejects.toBe(lost);
    expect(await flush(ledger, batch(3, 5))).toBe('advanced');
    expect(await written(ledger)).toEqual(['a 0-3', 'a 3-5']);
  });

  it('tells a batch that begins after its position, and stays there', async () => {
    expect(await flush(ledger, batch(3, 5))).toBe('regressed');
    expect(await inTurn(ledger, [batch(0, 2), batch(3, 5)])).toEqual(['advanced', 'regressed']);
    expect(await flush(ledger, batch(2, 3))).toBe('advanced');
    expect(await written(ledger)).toEqual(['a 0-2', 'a 2-3']);
  });

  it('tells a batch of which a part was applied, and stays there', async () => {
    await inTurn(ledger, [batch(0, 5)]);
    const others = [batch(0, 6), batch(4, 6), batch(3, 9)];
    expect(await inTurn(ledger, others)).toEqual(['overlapping', 'overlapping', 'overlapping']);
    expect(await flush(ledger, batch(5, 6))).toBe('advanced');
    expect(await written(ledger)).toEqual(['a 0-5', 'a 5-6']);
  });

  it('has a position for every namespace, entity, shard and incarnation', async () => {
    const others = [{ namespace: 'n' }, { entity: 'e' }, { shard: 4 }, { incarnation: 'b' }];
    await inTurn(ledger, [batch(0, 5), ...others.map((other) => batch(0, 2, other))]);
    const next = [batch(5, 6), ...others.map((other) => batch(2, 3, other))];
    expect(new Set(await inTurn(ledger, next))).toEqual(new Set(['advanced']));
    expect(new Set(await inTurn(ledger, next))).toEqual(new Set(['duplicate']));
  });

  it('counts as far as numbers are exact', async () => {
    const [far, end] = [2 ** 31 + 1, Number.MAX_SAFE_INTEGER];
    const batches = [batch(0, far), batch(far, end - 1), batch(end - 1, end)];
    expect(
      await inTurn(ledger, [...batches.slice(0, 2), batch(end - 2, end), batches[2]!]),
    ).toEqual(['advanced', 'advanced', 'overlapping', 'advanced']);
    expect(await inTurn(ledger, batches)).toEqual(['duplicate', 'duplicate', 'duplicate']);
    expect(await written(ledger)).toContain(`a ${end - 1}-${end}`);
  });

  it('keeps dead letters in the transaction of their batch', async () => {
    const [of, letters] = [batch(0, 2), [letter('1'), letter('2', { reason: "it's 🫖 \u00e9" })]];
    const bury = (tx: unknown) => ledger.bury(tx, letters);
    await expect(flush(ledger, of, (tx) => bury(tx).then(fails))).rejects.toBe(lost);
    expect(await ledger.buried(letters[0]!)).toEqual([]);
    expect(await flush(ledger, of, bury)).toBe('advanced');
    expect(await ledger.buried(letters[0]!)).toEqual(letters);
  });

  it('keeps a dead letter whose reason has a NUL in it', async () => {
    await ledger.transaction((tx) => ledger.bury(tx, [letter('1', { reason: 'a\0b\0' })]));
    expect(await ledger.buried(letter('1'))).toMatchObject([{ reason: 'a\ufffdb\ufffd' }]);
  });

  it('lists the dead letters of one entity of one namespace, the oldest first', async () => {
    const at = (second: number) => ({ buriedAt: `2026-01-02T03:04:0${second}.000Z` });
    const letters = [
      letter('c', at(1)),
      letter('a', at(2)),
      letter('b', at(2)),
      letter('d', at(3)),
    ];
    const others = [letter('a', { entity: 'e' }), letter('a', { namespace: 'n' })];
    await ledger.transaction((tx) =>
      ledger.bury(tx, [letters[3]!, letters[1]!, ...others, letters[2]!, letters[0]!]),
    );
    expect(await ledger.buried(letters[0]!)).toEqual(letters);
    expect(await ledger.buried(others[0]!)).toEqual([others[0]]);
    expect(await ledger.buried(others[1]!)).toEqual([others[1]]);
  });

  it('hands a dead letter out once, however many ask at once', async () => {
    const [mine, other] = [letter('1'), letter('2')];
    const alike = [letter('1', { entity: 'e' }), letter('1', { namespace: 'n' })];
    await ledger.transaction((tx) => ledger.bury(tx, [mine, other, ...alike]));
    const exhume = () => ledger.transaction((tx) => ledger.exhume(tx, mine));
    const rolledBack = ledger.transaction((tx) => ledger.exhume(tx, mine).then(fails));
    await expect(rolledBack).rejects.toBe(lost);
    const answers = await Promise.allSettled(Array.from({ length: 8 }, exhume));
    const got = answers.filter((each) => each.status === 'fulfilled' && each.value);
    expect(got).toHaveLength(1);
    expect(await exhume()).toBe(false);
    expect(await ledger.buried(mine)).toEqual([other]);
    for (const each of alike) expect(await ledger.buried(each)).toEqual([each]);
  });
}
