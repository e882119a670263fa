import { createRequire } from 'node:module';
import type { Cluster, NatMap, Redis, RedisOptions } from 'ioredis';
import { CacheUsageError } from '../errors/cache.error.js';
import { isCluster, startupNodesOf, urlOfNode } from './checked-client.js';
import type { RedisBehindSentinels, RedisSource } from './redis-source.js';
import { partsOf } from './redis-url.js';

export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

/** How connections are made to where Redis is. Each connects when it is first used. */
export type RedisAccess =
  | { readonly kind: 'server'; readonly connect: () => Redis }
  | {
      readonly kind: 'cluster';
      /** Some of its nodes. */
      readonly seeds: readonly NodeAddress[];
      readonly connect: (to: NodeAddress) => Redis;
      /** Where a node is for us that calls itself so. */
      readonly translate: (address: NodeAddress) => NodeAddress;
    };

const pauseBefore = (times: number) => Math.min(50 * 2 ** Math.min(times, 5), 1_000);

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
  retryStrategy: pauseBefore,
  // A sentinel that hangs must not keep the others from being asked.
  sentinelCommandTimeout: 1_000,
  // The client would go on for itself, also after it was told to end.
  sentinelRetryStrategy: () => null,
  role: 'master',
  // Connections to all sentinels besides; what they would tell shows in the connection.
  failoverDetector: false,
  keyPrefix: '',
  replyMapping: 'legacy',
  stringNumbers: false,
  enableAutoPipelining: false,
  enableReadyCheck: true,
  monitor: false,
  readOnly: false,
} as const satisfies RedisOptions;

/** What a client of the user may have set that would time commands out after all. */
const UNSET = {
  commandTimeout: undefined,
  blockingTimeout: undefined,
  scripts: undefined,
  reconnectOnError: undefined,
};

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
 * `source` has been checked.
 *
 * @throws {CacheUsageError} CACHE_PACKAGE_MISSING
 */
export function accessTo(source: RedisSource, owner: string): RedisAccess {
  if (source.client !== undefined) {
    const { client } = source;
    if (isCluster(client)) return accessOfCluster(client, ioredis(owner));
    return { kind: 'server', connect: () => client.duplicate({ ...UNSET, ...ofServer() }) };
  }
  const Client = ioredis(owner);
  if (source.nodes !== undefined) {
    const seeds = source.nodes.map((url) => partsOf(url, 6_379));
    return {
      kind: 'cluster',
      seeds,
      connect: ({ host, port }) => new Client({ ...seeds[0], ...SETTINGS, host, port, db: 0 }),
      translate: (address) => address,
    };
  }
  const { url } = source;
  const options = url === undefined ? behindSentinels(source) : partsOf(url, 6_379);
  return { kind: 'server', connect: () => new Client({ ...options, ...ofServer() }) };
}

/** Of one whose address leads elsewhere after a failover; a node of a cluster names the other one. */
function ofServer() {
  return { ...SETTINGS, reconnectOnError: leavesReplicas() };
}

function behindSentinels(source: RedisBehindSentinels): RedisOptions {
  const { name, username, password, database = 0, tls = false } = source;
  const parts = source.sentinels.map((url) => partsOf(url, 26_379));
  const [first] = parts;
  return {
    name,
    sentinels: parts.map(({ host, port }) => ({ host, port })),
    sentinelUsername: first!.username,
    sentinelPassword: first!.password,
    sentinelTLS: first!.tls,
    username,
    password,
    db: database,
    ...(tls && { enableTLSForSentinelMode: true, tls: {} }),
  };
}

function accessOfCluster(cluster: Cluster, Client: typeof Redis): RedisAccess {
  const { redisOptions = {}, natMap } = cluster.options;
  const nodes = startupNodesOf(cluster).map((node) => {
    if (typeof node === 'string') return partsOf(urlOfNode(node), 6_379);
    const options = typeof node === 'number' ? { port: node } : node;
    const { host = '127.0.0.1', port = 6_379 } = options;
    return { ...options, host, port: Number(port) };
  });
  return {
    kind: 'cluster',
    seeds: nodes.map(({ host, port }) => ({ host, port })),
    // What is said of the first goes for those that it names, too.
    connect: ({ host, port }) =>
      new Client({ ...nodes[0], ...redisOptions, ...SETTINGS, ...UNSET, host, port, db: 0 }),
    translate: (address) => translated(address, natMap),
  };
}

function translated(address: NodeAddress, map: NatMap | undefined): NodeAddress {
  const key = `${address.host}:${address.port}`;
  const found = typeof map === 'function' ? map(key) : map?.[key];
  return found ?? address;
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
