import type { Provider } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import knex from 'knex';
import {
  ledgerSchema,
  type BatchPosition,
  type BuriedRow,
  type LedgerVerdict,
  type SqlLedger,
} from 'nestjs-cache-contract';
import { Pool, type PoolClient } from 'pg';
import { DataSource, type EntityManager } from 'typeorm';
import { hasPostgres, startPostgres, type TestPostgres } from '../support/postgres.js';
import { KNEX, ShopLedger as KnexLedger } from './knex.js';
import { ShopLedger as PgLedger } from './pg.js';
import { ShopLedger as TypeOrmLedger } from './typeorm.js';

/** A database client as an application has it. */
interface Client {
  readonly provider: Provider;
  /** How a flushing method writes with it. */
  sell(tx: any, sku: string): Promise<unknown>;
  close(): Promise<unknown>;
}
type Recipe = [name: string, ledger: new (...args: any[]) => SqlLedger<any>, open: Open];
type Open = (url: string) => Promise<Client>;

const recipes: Recipe[] = [
  [
    'pg',
    PgLedger,
    async (url) => {
      const pool = new Pool({ connectionString: url });
      return {
        provider: { provide: Pool, useValue: pool },
        sell: (tx: PoolClient, sku) => tx.query('INSERT INTO sold (sku) VALUES ($1)', [sku]),
        close: () => pool.end(),
      };
    },
  ],
  [
    'TypeORM',
    TypeOrmLedger,
    async (url) => {
      const dataSource = await new DataSource({ type: 'postgres', url }).initialize();
      return {
        provider: { provide: DataSource, useValue: dataSource },
        sell: (tx: EntityManager, sku) =>
          tx.createQueryBuilder().insert().into('sold', ['sku']).values({ sku }).execute(),
        close: () => dataSource.destroy(),
      };
    },
  ],
  [
    'Knex',
    KnexLedger,
    async (url) => {
      const database = knex({ client: 'pg', connection: url });
      return {
        provider: { provide: KNEX, useValue: database },
        sell: (tx: typeof database, sku) => tx('sold').insert({ sku }),
        close: () => database.destroy(),
      };
    },
  ],
];

const batch = (previousSeq: number, lastSeq: number): BatchPosition => ({
  id: `shop/sale/0/a/${lastSeq}`,
  ...{ namespace: 'shop', entity: 'sale', shard: 0, incarnation: 'a', previousSeq, lastSeq },
});

const letter = (id: string): BuriedRow => ({
  ...{ id, namespace: 'shop', entity: 'sale', content: `{"sku":"${id}"}` },
  reason: 'what is it? $1 is no product',
  buriedAt: `2026-01-02T03:04:05.00${id}Z`,
});

let server: TestPostgres | undefined;
beforeAll(async () => {
  server = await startPostgres();
}, 120_000);
afterAll(() => server?.stop());

const unless = hasPostgres() ? '' : ' (skipped: there is no PostgreSQL here)';

(hasPostgres() ? describe : describe.skip).each(recipes)(
  `the ledger of %s${unless}`,
  (_, Ledger, open) => {
    let client: Client;
    let ledger: SqlLedger<any>;
    beforeAll(async () => {
      client = await open(server!.url);
      const providers = [Ledger, client.provider];
      ledger = (await Test.createTestingModule({ providers }).compile()).get(Ledger);
    });
    afterAll(() => client.close());
    beforeEach(async () => {
      const tables = ['cache_ledger', 'cache_dead_letters', 'sold'];
      await statements([
        ...ledgerSchema('postgres'),
        'CREATE TABLE IF NOT EXISTS sold (sku text NOT NULL)',
        ...tables.map((table) => `DELETE FROM ${table}`),
      ]);
    });

    const statements = (all: string[]) =>
      ledger.transaction(async (tx) => {
        for (const sql of all) await ledger.query(tx, sql, []);
      });
    const sold = async () => {
      const rows = await ledger.transaction((tx) => ledger.query(tx, 'SELECT sku FROM sold', []));
      return (rows as { sku: string }[]).map(({ sku }) => sku);
    };
    const flush = (
      of: BatchPosition,
      sku: string,
      then: (tx: unknown) => unknown = () => undefined,
    ): Promise<LedgerVerdict> =>
      ledger.transaction(async (tx) => {
        const verdict = await ledger.advance(tx, of);
        if (verdict === 'advanced') await client.sell(tx, sku);
        await then(tx);
        return verdict;
      });

    it('applies batch after batch, and each of them once', async () => {
      const send = async () => [
        await flush(batch(0, 3), 'tea'),
        await flush(batch(3, 2 ** 40), 'milk'),
      ];
      expect(await send()).toEqual(['advanced', 'advanced']);
      expect(await send()).toEqual(['duplicate', 'duplicate']);
      expect(await flush(batch(2, 2 ** 40 + 1), 'sugar')).toBe('overlapping');
      expect(await flush(batch(2 ** 41, 2 ** 42), 'sugar')).toBe('regressed');
      expect(await sold()).toEqual(['tea', 'milk']);
    });

    it('has written nothing of a batch that failed, and applies it later', async () => {
      const error = new Error('out of memory');
      const fails = () => {
        throw error;
      };
      for (const [of, sku] of [[batch(0, 3), 'tea'] as const, [batch(3, 4), 'milk'] as const]) {
        await expect(flush(of, sku, fails)).rejects.toBe(error);
        expect(await sold()).not.toContain(sku);
        expect(await flush(of, sku)).toBe('advanced');
      }
      expect(await sold()).toEqual(['tea', 'milk']);
    });

    it('applies a batch once, however many try at once', async () => {
      const verdicts = await Promise.all([1, 2, 3, 4].map(() => flush(batch(0, 3), 'tea')));
      expect(verdicts.sort()).toEqual(['advanced', 'duplicate', 'duplicate', 'duplicate']);
      expect(await sold()).toEqual(['tea']);
    });

    // A COMMIT would quietly roll back then, and most clients do not tell.
    it('fails when it is asked again after a failed statement that somebody caught', async () => {
      const flushed = flush(batch(0, 3), 'tea', async (tx) => {
        await ledger.query(tx, 'SELECT nonsense', []).catch(() => undefined);
        await ledger.advance(tx, batch(0, 3));
      });
      await expect(flushed).rejects.toThrow('transaction is aborted');
      expect(await flush(batch(0, 3), 'tea')).toBe('advanced');
    });

    it('keeps dead letters, and hands each out once', async () => {
      const letters = [letter('1'), letter('2')];
      await flush(batch(0, 3), 'tea', (tx) => ledger.bury(tx, letters.toReversed()));
      expect(await ledger.buried(letters[0]!)).toEqual(letters);
      const exhume = () => ledger.transaction((tx) => ledger.exhume(tx, letters[0]!));
      expect([await exhume(), await exhume()]).toEqual([true, false]);
      expect(await ledger.buried(letters[0]!)).toEqual([letters[1]]);
    });
  },
);

(hasPostgres() ? it : it.skip)(
  `pg: fails if a statement had failed that somebody caught${unless}`,
  async () => {
    const pool = new Pool({ connectionString: server!.url, max: 1 });
    const ledger = new PgLedger(pool);
    const swallowing = ledger.transaction((tx) =>
      ledger.query(tx, 'SELECT nonsense', []).catch(() => undefined),
    );
    await expect(swallowing).rejects.toThrow('not committed');
    expect(await ledger.transaction((tx) => ledger.query(tx, 'SELECT 1 AS one', []))).toEqual([
      { one: 1 },
    ]);
    await pool.end();
  },
);
