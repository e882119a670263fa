import type { AnyEntity, EntityKey } from '../../lib/contract/entity.js';
import type { Overrides } from '../../lib/contract/overrides.js';
import { MemoryLock } from '../../lib/coordination/memory-lock.js';
import { ProcessSingleflight } from '../../lib/coordination/singleflight.js';
import { idOf } from '../../lib/entry/key.js';
import { Engine } from '../../lib/nest/engine.js';
import type { LoadContext } from '../../lib/read/call-context.js';
import type { CacheStore } from '../../lib/store/cache-store.js';
import type { Clock } from '../../lib/time/clock.js';
import { ManualClock } from './manual-clock.js';

/** An engine without Nest, on a clock that the test moves. */
export function testEngine<Time extends Clock = ManualClock>(
  clock: Time = new ManualClock() as Clock as Time,
  overrides?: Overrides,
  store?: CacheStore,
  deadlineMs = 100,
) {
  const warnings: string[] = [];
  const engine = new Engine({
    namespace: 'test',
    clock,
    flights: new ProcessSingleflight(),
    lock: new MemoryLock(clock),
    surroundings: { worker: false },
    warn: (message) => warnings.push(message),
    overrides,
    stores: new Map(store === undefined ? [] : [['default', { store, deadlineMs }]]),
  });
  return {
    clock,
    engine,
    warnings,
    read: async (entity: AnyEntity, key: EntityKey, load: (context: LoadContext) => unknown) =>
      engine.reader.read(engine.entities.stateOf(entity), key, load),
    peek: (entity: AnyEntity, key: EntityKey) =>
      engine.reader.peek(engine.entities.stateOf(entity), key),
    invalidate: (entity: AnyEntity, key: EntityKey) =>
      engine.invalidator.invalidate(engine.entities.stateOf(entity), idOf(key, entity.name)),
    invalidateFamily: (entity: AnyEntity) =>
      engine.invalidator.invalidateFamily(engine.entities.stateOf(entity)),
  };
}

/** A promise that the test settles when it likes. */
export function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
}

/** Waits for something that real time brings about; fails after many seconds. */
export async function eventually(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error('it did not happen within 10 seconds');
    await new Promise(setImmediate);
  }
}
