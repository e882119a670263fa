/**
 * What every error of this package has in common.
 *
 * Narrow by `code`, not by class: a code survives two installed copies of the package, `instanceof` does not.
 * An error of the loader itself is never wrapped in one of these; it reaches the caller as it was thrown.
 */
export abstract class CacheError extends Error {
  /** Stable across releases; the text of the message is not. */
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** One that Nest's exception filter answers with a status and the message: by these three fields, the convention of http-errors. */
export abstract class AnsweredError<Status extends number> extends CacheError {
  readonly status: Status;
  readonly expose = true;

  constructor(
    readonly statusCode: Status,
    message: string,
  ) {
    super(message);
    this.status = statusCode;
  }
}

/** A call that cannot be meant: refused before anything is read, loaded or written. */
export class CacheUsageError extends CacheError {
  constructor(
    readonly code:
      /** The key is not a usable one: empty, `NaN`, `-0`, a lone surrogate, or not a key at all. */
      | 'CACHE_KEY_INVALID'
      /** What was given as an entity was not made by `entity()`. */
      | 'CACHE_ENTITY_EXPECTED'
      /** A function of this package was called with something it cannot use. */
      | 'CACHE_ARGUMENT_INVALID'
      /** The application has not started, or has ended: a mutation that nobody would ever write, a lock nobody would renew. */
      | 'CACHE_NOT_RUNNING'
      /** A package that is needed only for this is not installed. */
      | 'CACHE_PACKAGE_MISSING',
    private readonly problem: string,
    private readonly fix: string,
    place?: string,
  ) {
    super(`${problem}${place === undefined ? '' : `, in ${place}`}. Fix: ${fix}`);
  }

  /** The same, with the place where it was called. */
  at(place: string): CacheUsageError {
    return new CacheUsageError(this.code, this.problem, this.fix, place);
  }
}

/** The loader neither resolved nor rejected within the entity's `loadTimeout`. */
export class CacheLoadTimeoutError extends CacheError {
  readonly code = 'CACHE_LOAD_TIMEOUT';

  constructor(
    readonly entity: string,
    readonly loadTimeoutMs: number,
  ) {
    super(
      `Loading an entry of '${entity}' took longer than its loadTimeout of ${loadTimeoutMs} ms. ` +
        `The loader's signal (currentLoad().signal) was aborted; nothing was stored. ` +
        `Fix: make the loader faster, hand it the signal, or raise loadTimeout in the contract of '${entity}'.`,
    );
  }
}

/**
 * A load was turned away because its origin has as much to do as it can take, and nothing stale was acceptable.
 *
 * Nest answers it with 503 over HTTP, and its handlers with a `Retry-After`.
 */
export class CacheOriginBusyError extends AnsweredError<503> {
  readonly code = 'CACHE_ORIGIN_BUSY';

  constructor(
    readonly origin: string,
    /** When it is worth trying again, as predicted from what the loads took that came before. */
    readonly retryAfterMs: number,
  ) {
    super(503, `The origin '${origin}' is busy. Try again in ${retryAfterMs} ms.`);
  }
}
