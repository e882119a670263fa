import type { Cluster, ClusterNode, Redis } from 'ioredis';
import { CacheUsageError } from '../errors/cache.error.js';
import { showNoText } from '../errors/wording.js';
import { faultIn } from './redis-url.js';

/** What is used of a client, and others of that name lack. */
const METHODS = ['duplicate', 'call', 'callBuffer', 'evalsha'] as const;

/** @throws {CacheUsageError} CACHE_ARGUMENT_INVALID */
export function checkClient(client: unknown, owner: string, fix: string): void {
  if (!isOfIoredis(client)) {
    const came = isOfNodeRedis(client) ? 'a client of node-redis' : showNoText(client);
    throw refused(`a Redis or a Cluster of ioredis, got ${came}`, owner, fix);
  }
  if (isCluster(client)) return checkCluster(client, owner);
  const { db = 0 } = client.options;
  if (Number.isSafeInteger(db) && db >= 0) return;
  throw refused(
    'one with the number of a database',
    owner,
    'write as db of the client, or as path of its url, a whole number from 0, or nothing.',
  );
}

function checkCluster(cluster: Cluster, owner: string): void {
  if (cluster.options.useSRVRecords === true) {
    throw refused(
      'a Cluster that knows addresses, got one that looks for SRV records',
      owner,
      'resolve them, and give the addresses as nodes.',
    );
  }
  for (const node of startupNodesOf(cluster)) {
    const fault = typeof node === 'string' ? faultIn(urlOfNode(node)) : undefined;
    if (fault === undefined) continue;
    throw refused(
      `a Cluster whose nodes have valid urls, got ${fault.came}`,
      owner,
      fault.fix ?? 'write redis://node-1:6379.',
    );
  }
}

export function isCluster(value: unknown): value is Cluster {
  return (value as Partial<Redis> | null)?.isCluster ?? false;
}

/** As they were given to it. */
export function startupNodesOf(cluster: Cluster): readonly ClusterNode[] {
  return cluster['startupNodes'] as readonly ClusterNode[];
}

/** A node of a Cluster may be named without a protocol, or by its port. */
export function urlOfNode(node: string): string {
  if (/^\d+$/.test(node)) return `redis://127.0.0.1:${node}`;
  return node.includes('://') ? node : `redis://${node.replace(/^\/\//, '')}`;
}

function isOfIoredis(client: unknown): client is Redis | Cluster {
  const { status, options } = (client ?? {}) as Partial<Redis>;
  const has = (name: string) => typeof (client as Record<string, unknown>)[name] === 'function';
  return typeof status === 'string' && typeof options === 'object' && METHODS.every(has);
}

function isOfNodeRedis(client: unknown): boolean {
  const { sendCommand, duplicate, status } = (client ?? {}) as Partial<Redis>;
  return (
    [sendCommand, duplicate].every((part) => typeof part === 'function') && status === undefined
  );
}

function refused(expected: string, owner: string, fix: string): CacheUsageError {
  return new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `${owner} expected as client ${expected}`,
    fix,
  );
}
