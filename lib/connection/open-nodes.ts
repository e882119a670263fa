import type { Clock } from '../time/clock.js';
import { ClusterNodes } from './cluster-nodes.js';
import { accessTo } from './redis-access.js';
import type { RedisConnection } from './redis-connection.js';
import type { RedisNode, RedisNodes } from './redis-nodes.js';
import type { RedisSource } from './redis-source.js';
import { SingleNode } from './single-node.js';

/**
 * Connects when it is first used. `source` has been checked.
 *
 * @throws {CacheUsageError} CACHE_PACKAGE_MISSING
 */
export function openNodes<Node extends RedisNode>(
  source: RedisSource,
  owner: string,
  clock: Clock,
  nodeOn: (connection: RedisConnection, onSilent: () => void) => Node,
): RedisNodes<Node> {
  const access = accessTo(source, owner);
  return access.kind === 'cluster'
    ? new ClusterNodes(access, clock, nodeOn)
    : new SingleNode(access, nodeOn);
}
