import type { RedisNodes } from '../../connection/redis-nodes.js';
import type { StoreNode } from './store-node.js';

/**
 * Which primary may lose what it has acknowledged, and how: one that has replicas and writes also while none of them is in
 * step. One of them may take its place then, and what this one goes on to acknowledge is gone. Nothing if there is none.
 *
 * @throws {NoAnswerError}
 */
export async function lossOf(nodes: RedisNodes<StoreNode>): Promise<string | undefined> {
  const primaries = await nodes.primaries();
  const losing = await Promise.all(
    primaries.map(async (node) => {
      const info = await node.send('say who follows it', (client) => client.info('replication'));
      const { peer, address } = node.connection;
      return mayLose(info) ? (peer ?? address) : undefined;
    }),
  );
  const named = losing.filter((address) => address !== undefined);
  if (named.length === 0) return undefined;
  const [is, its] = named.length === 1 ? ['goes', 'its replicas'] : ['go', 'their replicas'];
  return (
    `${named.join(', ')} ${is} on to acknowledge while cut off from ${its}, one of which may have taken over. Fix: ` +
    'set min-replicas-to-write 1 in the redis.conf of primaries and replicas, with a short min-replicas-max-lag'
  );
}

/** The line that counts who is in step is there only where that is asked for. */
function mayLose(info: string): boolean {
  const replicas = /^connected_slaves:(\d+)/m.exec(info)?.[1];
  return Number(replicas ?? 0) > 0 && !/^min_slaves_good_slaves:/m.test(info);
}
