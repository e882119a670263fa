import { onCacheEvent, type CacheEventName, type CacheEvents } from 'nestjs-cache-contract';
import type { CacheStore } from '../../lib/store/cache-store.js';
import { EntityCache } from '../../lib/nest/entity-cache.js';
import { testEngine } from './engine.js';
import { ManualClock } from './manual-clock.js';
import type { MemoryLog } from './memory-store/memory-log.js';
import { MemoryStore } from './memory-store/memory-store.js';
import { TroubledStore } from './troubled-store.js';

/** What is started and not awaited comes to its end, as far as it does without time. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
}

/** Processes that share a store, each with a way of its own to it. */
/** `log`: where they tell each other what has changed. */
export function fleet(
  size = 2,
  shared?: (clock: ManualClock) => CacheStore,
  log?: MemoryLog,
  deadlineMs?: number,
) {
  const clock = new ManualClock();
  const store = shared?.(clock) ?? new MemoryStore(clock);
  const processes = Array.from({ length: size }, () => {
    const way = new TroubledStore(store);
    const told = log?.way();
    way.log = told;
    const test = testEngine(clock, undefined, way, deadlineMs);
    return { ...test, way, told: told!, cache: new EntityCache(test.engine) };
  });
  return {
    clock,
    store,
    processes,
    /** What has begun is under way; then time goes by, and what is due comes to its end. */
    pass: async (ms: number) => {
      await settled();
      clock.advance(ms);
      await settled();
    },
    /** How much is under way in all of them. */
    underWay: () => processes.reduce((sum, { engine }) => sum + engine.background.size, 0),
  };
}

/** A source that counts how often it is asked, and answers with the count. */
export function source() {
  const load = async (): Promise<unknown> => {
    load.runs++;
    if (load.error !== undefined) throw load.error;
    return load.runs;
  };
  load.runs = 0;
  load.error = undefined as Error | undefined;
  return load;
}

/** What is told while the test runs. */
export async function told<Name extends CacheEventName>(
  name: Name,
  during: () => Promise<unknown>,
): Promise<CacheEvents[Name][]> {
  const events: CacheEvents[Name][] = [];
  const end = onCacheEvent(name, (event) => events.push(event));
  try {
    await during();
  } finally {
    end();
  }
  return events;
}
