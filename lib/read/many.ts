import { AsyncResource } from 'node:async_hooks';
import type { EntityKey } from '../contract/entity.js';
import { idOf, ownKey } from '../entry/key.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';
import type { EntityState } from '../store/entity-state.js';
import { calls, type LoadContext, type LoadFrame } from './call-context.js';
import { capped } from './capped.js';
import { SharedFailure } from './loader.js';
import type { Reader } from './reader.js';

/** What asks the source for several keys: as many values, in the same order. */
export type LoadMany = (missing: readonly EntityKey[], context: LoadContext) => unknown;

/**
 * Reads several keys, each as if it were read alone: from the table, by joining a load under way, or by loading. The
 * keys that have to be loaded are loaded by one call; a key that is asked for twice is loaded once.
 */
export function readMany(
  reader: Reader,
  state: EntityState,
  keys: readonly EntityKey[],
  load: LoadMany,
): Promise<unknown[]> {
  const batch = new Batch(load, state);
  // Where a store is asked first they may be changed before they are loaded.
  const own = state.remote === undefined ? keys : keys.map(ownKey);
  const answers = own.map((key) => reader.read(state, key, (context) => batch.add(key, context)));
  batch.start();
  return Promise.all(answers).catch((error: unknown) => {
    throw error instanceof SharedFailure ? error.error : error;
  });
}

/** A load of a single key begins at once, within the call that found it missing: so all have come before `start`. */
class Batch {
  private keys: EntityKey[] = [];
  private readonly indices = new Map<string, number>();
  private contexts: LoadContext[] = [];
  private frames: LoadFrame[] = [];
  private values: Promise<readonly unknown[]>;
  private begin: () => void;
  private started = false;

  constructor(
    private readonly load: LoadMany,
    private readonly state: EntityState,
  ) {}

  async add(key: EntityKey, context: LoadContext): Promise<unknown> {
    // Past the cache there are no flights to be joined, and a key may come twice.
    const id = idOf(key, this.state.policy.entity);
    const known = this.started ? undefined : this.indices.get(id);
    if (known !== undefined) return (await this.values)[known];
    const index = this.keys.push(key) - 1;
    this.indices.set(id, index);
    this.contexts.push(context);
    const frame = calls.getStore()?.load;
    if (frame !== undefined) this.frames.push(frame);
    if (index === 0) this.values = this.next();
    const { values } = this;
    // What comes later, because it had to wait or its value could not be shared: together with what comes just then.
    if (this.started && index === 0) {
      const { begin } = this;
      setImmediate(() => begin());
    }
    return (await values)[index];
  }

  start(): void {
    this.started = true;
    if (this.keys.length > 0) this.begin();
  }

  /** The next call of the loader, in the context of the first load that it is for. */
  private next(): Promise<readonly unknown[]> {
    return new Promise((resolve, reject) => {
      this.begin = AsyncResource.bind(() => {
        const { keys, frames } = this;
        const context = together(this.contexts);
        [this.keys, this.contexts, this.frames] = [[], [], []];
        const load = () => this.load([...keys], context);
        // One call of the source, however many keys it is for.
        const run = async () => this.checked(await capped(this.state, context, load), keys.length);
        inContext(context, frames, run).then(resolve, (error: unknown) =>
          reject(keys.length > 1 ? new SharedFailure(error) : error),
        );
      });
    });
  }

  private checked(values: unknown, wanted: number): readonly unknown[] {
    if (Array.isArray(values) && values.length === wanted) return values;
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `a loader of '${this.state.policy.entity}' was asked for ${wanted} keys and must return an array of as many values, got ${show(values)}`,
      'return one value per key, in the order of the keys, `null` for what there is not.',
    );
  }
}

/** What is said during the load of several keys is said of each. */
function together(contexts: readonly LoadContext[]): LoadContext {
  return {
    get signal() {
      return contexts[0]!.signal;
    },
    stale: undefined,
    skip: () => contexts.forEach((context) => context.skip()),
    ttl: (ttl) => contexts.forEach((context) => context.ttl(ttl)),
    tags: (...tags) => contexts.forEach((context) => context.tags(...tags)),
  };
}

/** Makes `currentLoad()` speak for all keys, and a loader that reads one of them run past the cache. */
function inContext<T>(
  context: LoadContext,
  peers: readonly LoadFrame[],
  run: () => Promise<T>,
): Promise<T> {
  const outer = calls.getStore();
  if (outer?.load === undefined) return run();
  const load = Object.create(outer.load, {
    context: { value: context },
    peers: { value: peers },
  }) as LoadFrame;
  return calls.run({ ...outer, load }, run);
}
