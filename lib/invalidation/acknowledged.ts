import type { Policy } from '../contract/policy.js';
import { CacheInvalidationUnacknowledgedError } from '../errors/unacknowledged.error.js';
import type { InvalidationOutcome } from './invalidator.js';

/**
 * What an invalidation is for whoever asked for it. By then everything has been done about it that can be.
 *
 * @throws {CacheInvalidationUnacknowledgedError}
 */
export function acknowledged(policy: Policy, outcome: InvalidationOutcome): InvalidationOutcome {
  if (isFailure(policy, outcome)) throw unacknowledged([policy]);
  return outcome;
}

/** The invalidations of one call, of one or several entities. All of them are made before it is told of any. */
export class Outcomes {
  private readonly underWay: Promise<void>[] = [];
  private readonly failed = new Set<Policy>();

  add(
    policy: Policy,
    outcome: InvalidationOutcome | Promise<InvalidationOutcome | undefined> | undefined,
  ): void {
    // Nobody waits for what has been done.
    if (outcome === undefined || outcome === 'acknowledged') return;
    const heard = Promise.resolve(outcome).then((what) => {
      if (isFailure(policy, what)) this.failed.add(policy);
    });
    this.underWay.push(heard);
  }

  /** Resolves when all stores have answered, or nobody waits for them any longer; nothing if none was asked. */
  settled(): Promise<unknown> | undefined {
    return this.underWay.length === 0 ? undefined : Promise.all(this.underWay);
  }

  /**
   * `result`: of the method, which has run.
   *
   * @throws {CacheInvalidationUnacknowledgedError}
   */
  check(result: unknown): void {
    if (this.failed.size > 0) throw unacknowledged([...this.failed], result);
  }
}

function isFailure(
  { onUnacknowledged, keptIn }: Policy,
  outcome: InvalidationOutcome | undefined,
): boolean {
  // A tag may be pending for others, also where this entity has none of its entries in a store.
  return outcome === 'pending' && onUnacknowledged === 'fail' && keptIn !== 'process';
}

function unacknowledged(
  policies: readonly Policy[],
  result?: unknown,
): CacheInvalidationUnacknowledgedError {
  // Only who has a store asks to know.
  const each = policies.map(({ entity, store }) => ({ entity, store: store! }));
  return new CacheInvalidationUnacknowledgedError(each, result);
}
