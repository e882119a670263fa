import type { Redis } from 'ioredis';
import type { RedisConnection } from '../../connection/redis-connection.js';
import type { RedisNodes } from '../../connection/redis-nodes.js';
import { CacheRedisError, meaningOf } from '../../connection/redis.error.js';
import type { StoreNode } from './store-node.js';

const LEAST_MAJOR = 7;
/** What a probe leaves ends by itself if it is not removed. */
const PROBE_MS = 10_000;

type Trial = (client: Redis, probe: string) => Promise<unknown>;

/**
 * What the store sends, and what its scripts do, which needs the same rights. That a key is of another type is an answer
 * like others.
 */
const TRIALS = {
  time: (client) => client.time(),
  get: (client, probe) => client.get(probe),
  mget: (client, probe) => client.mget(probe),
  set: (client, probe) => client.set(probe, 'x', 'PX', PROBE_MS),
  append: (client, probe) => client.append(probe, 'x'),
  getrange: (client, probe) => client.getrange(probe, 0, 0),
  pttl: (client, probe) => client.pttl(probe),
  pexpire: (client, probe) => client.pexpire(probe, PROBE_MS),
  hget: (client, probe) => client.hget(probe, 'x'),
  hmget: (client, probe) => client.hmget(probe, 'x'),
  hset: (client, probe) => client.hset(probe, 'x', 'x'),
  hincrby: (client, probe) => client.hincrby(probe, 'x', 1),
  xadd: (client, probe) => client.xadd(probe, '*', 'x', 'x'),
  xrange: (client, probe) => client.xrange(probe, '-', '+'),
  del: (client, probe) => client.del(probe),
  publish: (client, probe) => client.publish(probe, ''),
  eval: (client) => client.eval('return 1', 0),
  evalsha: (client) => client.evalsha('0'.repeat(40), 0),
  info: (client) => client.info('replication'),
} satisfies Record<string, Trial>;

/** They would make a key that does not end, if there were none. */
const MAKING = ['append', 'hset', 'hincrby', 'xadd'];

/** What a cluster needs besides. */
const OF_CLUSTER = ['asking', 'cluster|slots'];

/**
 * Tries out all that the store will ask of Redis, of each primary of a cluster, on a key and a channel of no entry, and
 * tells what is missing at once.
 *
 * @throws {CacheRedisError} CACHE_REDIS_TOO_OLD, CACHE_REDIS_NOT_ALLOWED, CACHE_REDIS_REFUSED
 * @throws {NoAnswerError}
 */
export async function checkCapabilities(
  nodes: RedisNodes<StoreNode>,
  namespace: string,
  newProbe: () => string,
): Promise<void> {
  const primaries = await nodes.primaries();
  const isCluster = nodes.only === undefined;
  const checks = await Promise.allSettled([
    ...primaries.map((node) => missingAt(node, isCluster, probeAt(node, nodes, newProbe))),
    subscribing(nodes.subscriber, newProbe()),
  ]);
  const failures = checks.flatMap((check) =>
    check.status === 'rejected' ? [check.reason as unknown] : [],
  );
  // What never passes by itself is told also where another node is out of reach.
  for (const failure of failures) if (failure instanceof CacheRedisError) throw failure;
  const missing = new Set(
    checks.flatMap((check) => (check.status === 'fulfilled' ? check.value : [])),
  );
  if (missing.size > 0) {
    // A connection that may not select its database has failed before.
    const selects = (nodes.subscriber.client.options.db ?? 0) > 0;
    const others = [...(isCluster ? OF_CLUSTER : []), ...(selects ? ['select'] : [])];
    throw notAllowed([...missing], others, namespace);
  }
  if (failures.length > 0) throw failures[0];
}

async function missingAt(node: StoreNode, isCluster: boolean, probe: string): Promise<string[]> {
  checkServer(await node.send('say what it is', aboutServer), isCluster);
  return node.send('try commands out', (client) => tried(client, probe));
}

/** That this node has: another one would refuse it before it is tried out. */
function probeAt(node: StoreNode, nodes: RedisNodes<StoreNode>, newProbe: () => string): string {
  let probe = newProbe();
  while (nodes.nodeOf(probe) !== node) probe = newProbe();
  return probe;
}

function notAllowed(
  missing: readonly string[],
  others: readonly string[],
  namespace: string,
): CacheRedisError {
  const names = [...Object.keys(TRIALS), 'subscribe', 'unsubscribe', ...others];
  const all = names.map((name) => `+${name}`);
  return new CacheRedisError(
    'CACHE_REDIS_NOT_ALLOWED',
    `The cache expected to be allowed every command it needs in Redis, and was refused ${missing.join(', ')}`,
    `give its user what it lacks of ~${namespace}:* &${namespace}:* ${all.join(' ')}, with ACL SETUSER; ` +
      'a command that is unknown was renamed or disabled in the configuration of the server.',
  );
}

function checkServer({ version, mode }: Server, isCluster: boolean): void {
  if (version !== undefined && Number.parseInt(version) < LEAST_MAJOR) {
    throw new CacheRedisError(
      'CACHE_REDIS_TOO_OLD',
      `The cache expected Redis ${LEAST_MAJOR}.0 or later, got ${version}`,
      'upgrade the server, or use Valkey.',
    );
  }
  if (mode === 'cluster' && !isCluster) {
    throw new CacheRedisError(
      'CACHE_REDIS_REFUSED',
      'The cache expected one Redis that has all keys, got a node of a Redis Cluster',
      "write nodes instead of url: redisStore({ nodes: ['redis://…'] }); or give a Cluster as client.",
    );
  }
}

interface Server {
  readonly version?: string;
  readonly mode?: string;
}

/** Nothing if it may not be asked: the commands show it then. */
async function aboutServer(client: Redis): Promise<Server> {
  try {
    const answer = (await client.call('HELLO')) as readonly unknown[];
    const of = (name: string) => String(answer[answer.indexOf(name) + 1]);
    return { version: of('version'), mode: of('mode') };
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
  try {
    const info = await client.info('server');
    return {
      version: /redis_version:(\S+)/.exec(info)?.[1],
      mode: /redis_mode:(\S+)/.exec(info)?.[1],
    };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return {};
  }
}

async function tried(client: Redis, probe: string): Promise<string[]> {
  const refused: string[] = [];
  let isSet = true;
  for (const [name, trial] of Object.entries<Trial>(TRIALS)) {
    if (MAKING.includes(name) && !isSet) continue;
    await trial(client, probe).catch((error: unknown) => {
      if (name === 'set') isSet = false;
      takeRefusal(name, refused)(error);
    });
  }
  return refused;
}

async function subscribing(subscriber: RedisConnection, channel: string): Promise<string[]> {
  const refused: string[] = [];
  const { client } = subscriber;
  try {
    await subscriber.connect();
    await client.subscribe(channel).catch(takeRefusal('subscribe', refused));
    await client.unsubscribe(channel).catch(takeRefusal('unsubscribe', refused));
  } catch (error) {
    throw meaningOf(error, 'let the cache subscribe');
  }
  return refused;
}

function takeRefusal(name: string, refused: string[]): (error: unknown) => void {
  return (error) => {
    if (!isAnswer(error)) throw error;
    if (isRefusal(error)) refused.push(`${name.toUpperCase()} (${error.message})`);
  };
}

/** Others pass by themselves, as being full or a replica; or say that it was allowed, as that a script is not known. */
function isRefusal(error: unknown): boolean {
  return isAnswer(error) && /^(NOPERM|ERR unknown command)/i.test(error.message);
}

function isAnswer(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}
