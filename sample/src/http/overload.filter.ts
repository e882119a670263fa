import { Catch, ServiceUnavailableException, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import {
  CacheFlushTimeoutError,
  CacheLoadTimeoutError,
  CacheOriginBusyError,
} from 'nestjs-cache-contract';
import { ConnectionLostError } from '../database/connection-lost.js';
import { AcquireTimeoutError } from '../database/connection-pool.js';

const OVERLOADS = [
  AcquireTimeoutError,
  ConnectionLostError,
  CacheLoadTimeoutError,
  CacheFlushTimeoutError,
  CacheOriginBusyError,
] as const;
type Overload = InstanceType<(typeof OVERLOADS)[number]>;

/**
 * A database that has no time is no fault of this application: 503, not 500, and no stack trace in the log.
 *
 * An error of a loader reaches its callers as it was thrown, so the cache makes no difference here. Of its own, those
 * about what took too long speak to developers; a client is told less.
 */
@Catch(...OVERLOADS)
export class OverloadFilter extends BaseExceptionFilter {
  override catch(error: Overload, host: ArgumentsHost): void {
    super.catch(new ServiceUnavailableException(told(error)), host);
  }
}

function told(error: Overload): string {
  if (error instanceof CacheLoadTimeoutError) return `no answer within ${error.loadTimeoutMs} ms`;
  if (error instanceof CacheFlushTimeoutError)
    return `not written within ${error.flushTimeoutMs} ms`;
  return error.message;
}
