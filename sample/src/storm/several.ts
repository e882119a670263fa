import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { Database } from '../database/database.js';
import { Instances } from './instances.js';
import { EXPIRIES, QUERY_MS, READERS, type Counts } from './storm.js';

/** Longer than a process waits for the load of another one. */
const TTL_MS = 3_000;

/** The same storm in several processes, with entries that they share where there is a Redis for them. */
export async function withInstances(count: number, redis: string | undefined): Promise<Counts> {
  const database = new Database();
  // A namespace of its own: nothing is left of earlier storms.
  const options = { namespace: `storm-${randomUUID()}`, redis, ttlMs: TTL_MS };
  const instances = await Instances.start(count, options, database);
  try {
    database.delayMs = QUERY_MS;
    await instances.read(count);
    const before = database.state();
    let [failed, wallMs] = [0, 0];
    for (let expiry = 1; expiry <= EXPIRIES; expiry++) {
      await setTimeout(TTL_MS + QUERY_MS);
      const startedAt = performance.now();
      failed += await instances.read(READERS);
      wallMs = Math.max(wallMs, performance.now() - startedAt);
    }
    const after = database.state();
    return {
      queries: after.queries - before.queries,
      refused: after.refused - before.refused,
      failed,
      wallMs: Math.round(wallMs),
    };
  } finally {
    await instances.end();
    database.onApplicationShutdown();
  }
}
