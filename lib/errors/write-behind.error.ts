import { AnsweredError } from './cache.error.js';

/**
 * A mutation was not accepted, because as many keys as `maxPending` allows wait to be written. Nothing of it remains.
 *
 * Nest answers it with 503 over HTTP, and its handlers with a `Retry-After`.
 */
export class CacheJournalFullError extends AnsweredError<503> {
  readonly code = 'CACHE_JOURNAL_FULL';

  constructor(
    readonly entity: string,
    /** When it is worth trying again, as predicted from what the flushes took that came before. */
    readonly retryAfterMs: number,
  ) {
    super(
      503,
      `As many mutations of '${entity}' as its maxPending allows wait to be written. Try again in ${retryAfterMs} ms.`,
    );
  }
}

/**
 * A batch was not written within the entity's `flushTimeout`. It will be tried again, unchanged.
 *
 * Who waited for it gets 503 over HTTP from Nest.
 */
export class CacheFlushTimeoutError extends AnsweredError<503> {
  readonly code = 'CACHE_FLUSH_TIMEOUT';

  constructor(
    readonly entity: string,
    readonly flushTimeoutMs: number,
  ) {
    super(
      503,
      `Writing a batch of '${entity}' took longer than its flushTimeout of ${flushTimeoutMs} ms. The batch's signal was aborted. ` +
        `Fix: make the flushing method faster, hand it the signal, lower maxBatch, or raise flushTimeout in the contract of '${entity}'.`,
    );
  }
}

/**
 * A batch was not written, for a reason that is not the flushing method's error. It will be tried again, unchanged.
 *
 * Who waited for it gets 503 over HTTP from Nest.
 */
export class CacheFlushFailedError extends AnsweredError<503> {
  readonly code = 'CACHE_FLUSH_FAILED';

  constructor(
    readonly entity: string,
    reason: string,
  ) {
    super(503, `A batch of '${entity}' was not written: ${reason}.`);
  }
}

/**
 * The flushing method rejected a mutation whose caller waited for it. Nothing of it was written.
 *
 * Nest answers it with 422 over HTTP, and the reason.
 */
export class CacheMutationRejectedError extends AnsweredError<422> {
  readonly code = 'CACHE_MUTATION_REJECTED';

  constructor(
    readonly entity: string,
    /** As the flushing method gave it. */
    readonly reason: string,
  ) {
    super(422, `A mutation of '${entity}' was rejected: ${reason}`);
  }
}
