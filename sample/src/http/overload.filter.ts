import { Catch, ServiceUnavailableException, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { CacheLoadTimeoutError, CacheOriginBusyError } from 'nestjs-cache-contract';
import { AcquireTimeoutError } from '../database/connection-pool.js';

type Overload = AcquireTimeoutError | CacheLoadTimeoutError | CacheOriginBusyError;

/**
 * A database that has no time is no fault of this application: 503, not 500, and no stack trace in the log.
 *
 * An error of a loader reaches its callers as it was thrown, so the cache makes no difference here. Of its own two, the
 * one about a load that took too long speaks to developers; a client is told less.
 */
@Catch(AcquireTimeoutError, CacheLoadTimeoutError, CacheOriginBusyError)
export class OverloadFilter extends BaseExceptionFilter {
  override catch(error: Overload, host: ArgumentsHost): void {
    const message =
      error instanceof CacheLoadTimeoutError
        ? `no answer within ${error.loadTimeoutMs} ms`
        : error.message;
    super.catch(new ServiceUnavailableException(message), host);
  }
}
