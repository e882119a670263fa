import { CacheError } from './cache.error.js';
import { listed } from './known-options.js';

/** An entity, and the store that did not acknowledge an invalidation of it. */
interface Unacknowledged {
  readonly entity: string;
  readonly store: string;
}

/**
 * What a call has written is written, and other processes may serve what was before it: the store did not acknowledge an
 * invalidation of an entity with `onUnacknowledged: 'fail'`.
 *
 * It has no status of HTTP: "try again", as 503 says, would write a second time.
 */
export class CacheInvalidationUnacknowledgedError extends CacheError {
  readonly code = 'CACHE_INVALIDATION_UNACKNOWLEDGED';
  readonly entities: readonly string[];
  /** No field: whoever logs an error logs its fields, and this is data. */
  readonly #result: unknown;

  constructor(unacknowledged: readonly Unacknowledged[], result?: unknown) {
    const each = (name: keyof Unacknowledged) =>
      listed([...new Set(unacknowledged.map((one) => `'${one[name]}'`))]);
    const [entities, stores] = [each('entity'), each('store')];
    super(
      `Entries of ${entities} were invalidated, and the store ${stores} did not acknowledge it. ` +
        `What was written is written: to repeat the call would write it again. ` +
        `This process does not serve the old value any more, and tells the store again until it acknowledges, unless the fault CACHE_INVALIDATION_PENDING says otherwise; other processes may serve it until then, at most for its ttl. ` +
        `Fix: answer with an error that says so, or with error.result; where others may be late, write \`onUnacknowledged: 'pending'\` in the contract of ${entities}.`,
    );
    this.entities = [...new Set(unacknowledged.map(({ entity }) => entity))];
    this.#result = result;
  }

  /** What the decorated method resolved to, or what `prime` has loaded; `undefined` after `invalidate`. */
  get result(): unknown {
    return this.#result;
  }
}
