import { createRequire } from 'node:module';
import type { Redis, RedisOptions } from 'ioredis';
import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';

const ADDRESS = /^rediss?:\/\/./;

/** Where Redis is. */
export type RedisSource =
  | {
      /** `redis://user:password@host:6379/0`; `rediss://` for TLS. */
      readonly url: string;
      readonly client?: undefined;
    }
  | {
      /**
       * Your own client. Connections are made with its address and its credentials and are closed again; it is itself
       * neither used nor closed. Its `keyPrefix` does not count.
       */
      readonly client: Redis;
      readonly url?: undefined;
    };

/**
 * A connection that fails at once instead of waiting for better times: each caller has a plan of his own for that.
 *
 * A command is never sent twice by the client: its second copy could execute when its sender has given up. Nor is it
 * timed out there: such a timeout also rejects an answer that has arrived while this process was busy.
 */
const SETTINGS = {
  lazyConnect: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  // The client would subscribe again by itself, and leave it unhandled if that fails.
  autoResubscribe: false,
  connectTimeout: 2_000,
  // Ends a connection whose other end has vanished without a word.
  socketTimeout: 5_000,
  // Closing would keep the process running for as long, for a connection that has ended before.
  disconnectTimeout: 0,
  retryStrategy: (times: number) => Math.min(50 * 2 ** Math.min(times, 5), 1_000),
  keyPrefix: '',
  replyMapping: 'legacy',
  stringNumbers: false,
  enableAutoPipelining: false,
  enableReadyCheck: true,
  monitor: false,
  readOnly: false,
} as const satisfies RedisOptions;

/** What a client of the user may have set that would time commands out after all. */
const UNSET = { commandTimeout: undefined, blockingTimeout: undefined, scripts: undefined };

/** One that goes on being a replica is all there is: to leave it for each refusal would cost others their answers. */
const LOOK_AGAIN_AFTER_MS = 5_000;

/** A replica was the primary until a moment ago: its name leads to the new one by now. */
function leavesReplicas(): (error: Error) => boolean {
  let lookedAt = -Infinity;
  return (error) => {
    const now = performance.now();
    if (!error.message.startsWith('READONLY') || now - lookedAt < LOOK_AGAIN_AFTER_MS) return false;
    lookedAt = now;
    return true;
  };
}

/**
 * A client of our own. It connects when it is first used.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID, CACHE_PACKAGE_MISSING
 */
export function createClient(source: RedisSource, owner: string): Redis {
  const { url, client } = checked(source, owner);
  const settings = { ...SETTINGS, reconnectOnError: leavesReplicas() };
  if (client !== undefined) return client.duplicate({ ...settings, ...UNSET });
  return new (ioredis(owner))(url, settings);
}

/** Who hands over a client of his own has it installed; who does not may not. */
function ioredis(owner: string): typeof Redis {
  try {
    return (createRequire(import.meta.url)('ioredis') as { Redis: typeof Redis }).Redis;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    throw new CacheUsageError(
      'CACHE_PACKAGE_MISSING',
      `${owner} needs the package 'ioredis', which is not installed`,
      'npm install ioredis@6',
    );
  }
}

function checked(source: unknown, owner: string): RedisSource {
  // A function, or a class.
  const call = /^[a-z]/.test(owner) ? owner : `new ${owner}`;
  const right = `write ${call}({ url: 'redis://localhost:6379' }).`;
  const given: Record<string, unknown> =
    typeof source === 'object' && source !== null ? { ...source } : {};
  const { url, client } = given;
  if ((url === undefined) === (client === undefined)) {
    const none = typeof source === 'object' ? 'neither' : show(source);
    const came = url === undefined ? none : 'both';
    throw refused(`${owner} expected either a url or a client, got ${came}`, right);
  }
  // Its text is not shown: there may be a password in it.
  if (url !== undefined && (typeof url !== 'string' || !ADDRESS.test(url))) {
    const came = typeof url === 'string' ? 'a text that begins otherwise' : show(url);
    throw refused(
      `${owner} expected a url that begins with redis:// or rediss://, got ${came}`,
      right,
    );
  }
  if (client !== undefined && !isClient(client)) {
    const came = isCluster(client) ? 'a Cluster' : show(client);
    throw refused(
      `${owner} expected as client a Redis of ioredis, got ${came}`,
      `write ${call}({ client: new Redis('redis://localhost:6379') }), or give the url.`,
    );
  }
  return source as RedisSource;
}

function isCluster(value: unknown): boolean {
  return (value as Partial<Redis> | null)?.isCluster ?? false;
}

function isClient(value: unknown): boolean {
  return typeof (value as Partial<Redis> | null)?.duplicate === 'function' && !isCluster(value);
}

function refused(problem: string, fix: string): CacheUsageError {
  return new CacheUsageError('CACHE_ARGUMENT_INVALID', problem, fix);
}
