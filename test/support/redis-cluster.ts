import { setTimeout } from 'node:timers/promises';
import { hasRedis } from './redis-binaries.js';
import { startNode, type TestRedis } from './redis-server.js';

const PRIMARIES = 3;
const SLOTS = 16_384;
const NODE_TIMEOUT_MS = 1_500;
const WITHIN_MS = 60_000;

const OPTIONS = [
  ['--cluster-node-timeout', `${NODE_TIMEOUT_MS}`],
  // The keys of the others are there while those of one are not.
  ['--cluster-require-full-coverage', 'no'],
  ['--cluster-replica-validity-factor', '0'],
  ['--repl-diskless-sync-delay', '0'],
  ['--repl-ping-replica-period', '1'],
].flat();

/** Three primaries with a replica each. Nodes are known by what they are now, which a failover changes. */
export interface TestCluster {
  readonly nodes: readonly TestRedis[];
  readonly urls: readonly string[];
  primaries(): TestRedis[];
  /** The primary that has a key. */
  ownerOf(key: string): TestRedis;
  replicaOf(primary: TestRedis): TestRedis;
  /** Its replica takes its place, and nothing is lost; resolves to that when all nodes know. */
  failOver(primary: TestRedis): Promise<TestRedis>;
  /** Resolves when all slots are served, as those nodes say, and everybody else follows one of them. */
  settled(of?: readonly TestRedis[]): Promise<void>;
  /** How often all nodes together were asked by a command of some name, or refused with some error, during `work`. */
  counted(work: () => Promise<unknown>): Promise<(name: string) => number>;
  stop(): Promise<void>;
}

/** `undefined` where there is no Redis; an error if `CI` is `true`. */
export async function startCluster(
  options: readonly string[] = [],
): Promise<TestCluster | undefined> {
  if (!hasRedis()) return undefined;
  const nodes = await Promise.all(
    Array.from({ length: 2 * PRIMARIES }, () => startNode([...OPTIONS, ...options])),
  );
  const cluster = clusterOf(nodes);
  try {
    await join(nodes);
    await cluster.settled();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function join(nodes: readonly TestRedis[]): Promise<void> {
  const [first, ...others] = nodes as [TestRedis, ...TestRedis[]];
  const [primaries, replicas] = [nodes.slice(0, PRIMARIES), nodes.slice(PRIMARIES)];
  for (const [index, node] of primaries.entries()) {
    const [from, to] = [index, index + 1].map((part) => Math.floor((part * SLOTS) / PRIMARIES));
    node.cli('CLUSTER', 'ADDSLOTSRANGE', `${from!}`, `${to! - 1}`);
    node.cli('CLUSTER', 'SET-CONFIG-EPOCH', `${index + 1}`);
  }
  for (const node of others) first.cli('CLUSTER', 'MEET', '127.0.0.1', `${node.port}`);
  const known = `cluster_known_nodes:${nodes.length}`;
  await until('all nodes know each other', () =>
    nodes.every((node) => node.cli('CLUSTER', 'INFO').includes(known)),
  );
  for (const [index, node] of replicas.entries()) {
    const id = primaries[index]!.cli('CLUSTER', 'MYID');
    await until('a node is a replica', () => {
      try {
        return node.cli('CLUSTER', 'REPLICATE', id) === 'OK';
      } catch {
        // It may have met that one and not know what it is yet.
        return false;
      }
    });
  }
}

function clusterOf(nodes: readonly TestRedis[]): TestCluster {
  /** Of those that answer. */
  const isPrimary = (node: TestRedis) => saysOf(node, 'replication').includes('role:master');
  const at = (port: string) => nodes.find((node) => `${node.port}` === port)!;
  const primaries = () => nodes.filter((node) => node.isUp() && isPrimary(node));
  const settled = async (of: readonly TestRedis[] = nodes) =>
    until('the cluster has settled', () => {
      const infos = of.map((node) => saysOf(node, 'replication'));
      const views = of.map((node) => viewOf(node));
      return (
        of.every((node) => node.cli('CLUSTER', 'INFO').includes('cluster_state:ok')) &&
        infos.every((info) => /role:master|master_link_status:up/.test(info)) &&
        infos.filter((info) => info.includes('role:master')).length === PRIMARIES &&
        new Set(views).size === 1
      );
    });
  const replicaOf = (primary: TestRedis) => {
    const following = new RegExp(`role:slave[^]*master_port:${primary.port}\\b`);
    return nodes.find((node) => node.isUp() && following.test(saysOf(node, 'replication')))!;
  };
  return {
    nodes,
    urls: nodes.map(({ url }) => url),
    primaries,
    ownerOf: (key) => {
      const slot = Number(primaries()[0]!.cli('CLUSTER', 'KEYSLOT', key));
      const line = viewOf(primaries()[0]!)
        .split('\n')
        .find((entry) => {
          const [from, to] = entry.split(' ').map(Number);
          return from! <= slot && slot <= to!;
        });
      return at(line!.split(' ')[2]!);
    },
    replicaOf,
    failOver: async (primary) => {
      const replica = replicaOf(primary);
      replica.cli('CLUSTER', 'FAILOVER');
      await until('the replica has taken over', () => isPrimary(replica) && !isPrimary(primary));
      await settled(nodes.filter((node) => node.isUp()));
      return replica;
    },
    settled,
    counted: async (work) => {
      const before = countsOf(nodes);
      await work();
      const after = countsOf(nodes);
      return (name) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
    },
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** Who serves which slots: a line `from to port` for each range. */
function viewOf(node: TestRedis): string {
  return node
    .cli('CLUSTER', 'NODES')
    .split('\n')
    .flatMap((line) => {
      const [, address, , , , , , , ...ranges] = line.split(' ');
      const port = /:(\d+)@/.exec(address!)![1]!;
      return ranges
        .filter((range) => !range.startsWith('['))
        .map((range) => `${range.replace(/^(\d+)$/, '$1-$1').replace('-', ' ')} ${port}`);
    })
    .sort()
    .join('\n');
}

function countsOf(nodes: readonly TestRedis[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const node of nodes) {
    const lines = /^(?:cmdstat|errorstat)_([\w|]+):(?:calls|count)=(\d+)/gm;
    for (const [, name, count] of saysOf(node, 'everything').matchAll(lines)) {
      counts.set(name!, (counts.get(name!) ?? 0) + Number(count));
    }
  }
  return counts;
}

const saysOf = (node: TestRedis, section: string) => node.cli('INFO', section);

export async function until(what: string, holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + WITHIN_MS; !holds(); await setTimeout(20)) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${WITHIN_MS} ms`);
  }
}
