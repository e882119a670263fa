// Write-behind beside what it stands in for: one statement per call, on a PostgreSQL of its own that waits for the disk.
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import pg from 'pg';
import * as cache from '../../dist/index.js';
import { settle, supportFor } from './support.mjs';

const CONNECTIONS = 10;
const HOT_CALLS = 20_000;
const KEYS = 10_000;
const PENDING = 100_000;

const postgres = await (await supportFor('postgres')).startPostgres({ durable: true });
if (postgres === undefined) throw new Error('there is no PostgreSQL; set DATABASE_URL');
const pool = new pg.Pool({ connectionString: postgres.url, max: CONNECTIONS });
try {
  for (const statement of cache.ledgerSchema('postgres')) await pool.query(statement);
  await pool.query('CREATE TABLE counters (id integer PRIMARY KEY, n bigint NOT NULL)');
  await pool.query(`INSERT INTO counters SELECT i, 0 FROM generate_series(0, ${KEYS - 1}) AS i`);
  const { counters, close } = await open();

  const single = 'UPDATE counters SET n = n + 1 WHERE id = $1';
  const updates = await perSecond(2_000, async () => pool.query(single, [0]));
  const accepted = await perSecond(
    HOT_CALLS,
    () => counters.mutate(0, cache.add(1)),
    () => counters.journal().flush(),
  );
  report(
    'one hot row',
    `${CONNECTIONS} connections, an UPDATE per call`,
    updates,
    'until written',
    accepted,
  );

  const rows = await perSecond(2_000, async (i) => pool.query(single, [i % KEYS]));
  await Promise.all(Array.from({ length: KEYS }, (_, i) => counters.mutate(i, cache.add(1))));
  const flushed = await perSecond(KEYS, undefined, () => counters.journal().flush());
  report(
    'many rows',
    `${CONNECTIONS} connections, an UPDATE per row`,
    rows,
    'batches of 500',
    flushed,
  );

  await settle();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < PENDING; i++) await counters.mutate(1_000_000 + i, cache.add(1));
  await settle();
  const bytes = (process.memoryUsage().heapUsed - before) / PENDING;
  console.log(
    `\n  memory: ${bytes.toFixed(0)} bytes per pending key, of ${PENDING.toLocaleString('en')}`,
  );
  await close();
} finally {
  await pool.end();
  await postgres.stop();
}

/** What is in TypeScript for the tests. */
async function open() {
  class BenchLedger extends cache.SqlLedger {
    constructor() {
      super('postgres');
    }
    async transaction(work) {
      const client = await pool.connect();
      try {
        await client.query('BEGIN');
        const result = await work(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      } finally {
        client.release();
      }
    }
    async query(client, sql, values) {
      return (await client.query(sql, values)).rows;
    }
  }
  const Counters = cache.entity('counter', {
    ...cache.counter(),
    write: cache.writeBehind({ merge: 'sum', flushEvery: '1m', maxPending: 1_000_000 }),
    maxStaleness: '2m',
  });
  class CounterService {
    async persist({ entries }, client) {
      const sql =
        'INSERT INTO counters SELECT * FROM unnest($1::int[], $2::bigint[]) ON CONFLICT (id) DO UPDATE SET n = counters.n + excluded.n';
      await client.query(sql, [entries.map(({ key }) => key), entries.map(({ by }) => by)]);
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(CounterService.prototype, 'persist');
  cache.Flushes(Counters, { ledger: BenchLedger })(CounterService.prototype, 'persist', descriptor);
  const module = {
    module: class Bench {},
    imports: [cache.CacheModule.forRoot()],
    providers: [BenchLedger, CounterService],
  };
  const app = await NestFactory.createApplicationContext(module, { logger: false });
  return { counters: app.get(cache.EntityCache).of(Counters), close: () => app.close() };
}

/** The best of three rounds. */
async function perSecond(count, call, finish = async () => undefined) {
  let best = 0;
  for (let round = 0; round < (call === undefined ? 1 : 3); round++) {
    const start = performance.now();
    if (call !== undefined) await Promise.all(Array.from({ length: count }, (_, i) => call(i)));
    await finish();
    best = Math.max(best, (count / (performance.now() - start)) * 1_000);
  }
  return best;
}

function report(title, plain, perSecondPlain, behind, perSecondBehind) {
  const line = (text, number) =>
    `    ${text.padEnd(45)}${Math.round(number).toLocaleString('en').padStart(10)} per second`;
  console.log(`\n  ${title}`);
  console.log(line(plain, perSecondPlain));
  console.log(
    `${line(`write-behind, ${behind}`, perSecondBehind)}${(perSecondBehind / perSecondPlain).toFixed(1).padStart(8)} ×`,
  );
}
