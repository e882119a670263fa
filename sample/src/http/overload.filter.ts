import { Catch, ServiceUnavailableException, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { CacheLoadTimeoutError } from 'nestjs-cache-contract';
import { AcquireTimeoutError } from '../database/connection-pool.js';

/**
 * A database that has no time is no fault of this application: 503, not 500.
 *
 * An error of a loader reaches its callers as it was thrown, so the cache makes no difference here. The one error of
 * its own speaks to developers; a client is told less.
 */
@Catch(AcquireTimeoutError, CacheLoadTimeoutError)
export class OverloadFilter extends BaseExceptionFilter {
  override catch(error: AcquireTimeoutError | CacheLoadTimeoutError, host: ArgumentsHost): void {
    const message =
      error instanceof CacheLoadTimeoutError
        ? `no answer within ${error.loadTimeoutMs} ms`
        : error.message;
    super.catch(new ServiceUnavailableException(message), host);
  }
}
