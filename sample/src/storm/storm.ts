import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import type { Database } from '../database/database.js';

/** Everybody wants it. */
export const PRODUCT = 1;
export const READERS = 1_000;
export const EXPIRIES = 2;
export const TICK_MS = 250;
/** Longer than the readers take without a cache: each of three attempts waits a second for a connection. */
const BETWEEN_EXPIRIES_MS = 3_500;
const ATTEMPTS = 3;
/** The thousand readers would need five seconds of all ten connections. */
export const QUERY_MS = 50;

export interface Counts {
  /** Answered by the database. */
  readonly queries: number;
  /** Told by the pool that no connection came free in time. */
  readonly refused: number;
  /** Readers whose every attempt was refused. */
  readonly failed: number;
  /** From an expiry until all of its readers were answered or had given up; the longer one. */
  readonly wallMs: number;
}

export interface Outcome extends Counts {
  readonly queriesPerTick: readonly number[];
}

/** Lets a key that everybody reads expire, again and again, under readers who all come at once and try again. */
export async function storm(
  database: Database,
  read: () => Promise<unknown>,
  expire: () => void,
): Promise<Outcome> {
  database.delayMs = QUERY_MS;
  await read();
  const before = database.state();
  const ticks = countTicks(() => database.state().queries);
  let [failed, wallMs] = [0, 0];
  for (let expiry = 1; expiry <= EXPIRIES; expiry++) {
    const pause = setTimeout(expiry < EXPIRIES ? BETWEEN_EXPIRIES_MS : 0);
    expire();
    const startedAt = performance.now();
    const readers = Array.from({ length: READERS }, () => persistently(read));
    const outcomes = await Promise.allSettled(readers);
    wallMs = Math.max(wallMs, performance.now() - startedAt);
    failed += outcomes.filter(({ status }) => status === 'rejected').length;
    await pause;
  }
  const after = database.state();
  return {
    queries: after.queries - before.queries,
    refused: after.refused - before.refused,
    failed,
    wallMs: Math.round(wallMs),
    queriesPerTick: ticks.stop(),
  };
}

/** Tries again at once, as clients do, and so makes it worse. */
export async function persistently<T>(read: () => Promise<T>, attempts = ATTEMPTS): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (attempts === 1) throw error;
    return persistently(read, attempts - 1);
  }
}

/** How much `count` grew in each tick. In the tick it is seen in: a busy process looks late. */
function countTicks(count: () => number) {
  const startedAt = performance.now();
  const perTick: number[] = [];
  let seen = count();
  const look = () => {
    const tick = Math.floor((performance.now() - startedAt) / TICK_MS);
    while (perTick.length <= tick) perTick.push(0);
    perTick[tick]! += count() - seen;
    seen = count();
  };
  const timer = setInterval(look, TICK_MS / 10);
  return {
    stop: (): readonly number[] => {
      clearInterval(timer);
      look();
      return perTick;
    },
  };
}
