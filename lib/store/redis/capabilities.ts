import type { Redis } from 'ioredis';
import type { RedisConnection } from '../../connection/redis-connection.js';
import { CacheRedisError, meaningOf } from '../../connection/redis.error.js';
import type { StoreCommands } from './store-commands.js';

const LEAST_MAJOR = 7;
/** What a probe leaves ends by itself if it is not removed. */
const PROBE_MS = 10_000;

type Trial = (client: Redis, probe: string) => Promise<unknown>;

/** What the store sends, and what its scripts do, which needs the same rights. */
const TRIALS = {
  time: (client) => client.time(),
  get: (client, probe) => client.get(probe),
  mget: (client, probe) => client.mget(probe),
  set: (client, probe) => client.set(probe, 'x', 'PX', PROBE_MS),
  append: (client, probe) => client.append(probe, 'x'),
  getrange: (client, probe) => client.getrange(probe, 0, 0),
  setrange: (client, probe) => client.setrange(probe, 0, 'x'),
  pttl: (client, probe) => client.pttl(probe),
  pexpire: (client, probe) => client.pexpire(probe, PROBE_MS),
  del: (client, probe) => client.del(probe),
  publish: (client, probe) => client.publish(probe, ''),
  eval: (client) => client.eval('return 1', 0),
  evalsha: (client) => client.evalsha('0'.repeat(40), 0),
} satisfies Record<string, Trial>;

/**
 * Tries out all that the store will ask of Redis, on a key and a channel of no entry, and tells what is missing at once.
 *
 * @throws {CacheRedisError} CACHE_REDIS_TOO_OLD, CACHE_REDIS_NOT_ALLOWED, CACHE_REDIS_REFUSED
 * @throws {NoAnswerError}
 */
export async function checkCapabilities(
  commands: StoreCommands,
  subscriber: RedisConnection,
  namespace: string,
  probe: string,
): Promise<void> {
  checkVersion(await commands.send('say what version it is', versionOf));
  const missing = await commands.send('try commands out', (client) => tried(client, probe));
  missing.push(...(await subscribing(subscriber, probe)));
  if (missing.length === 0) return;
  // The client warns where it may not ask for INFO, at each connection.
  const all = [...Object.keys(TRIALS), 'subscribe', 'unsubscribe', 'info'].map(
    (name) => `+${name}`,
  );
  throw new CacheRedisError(
    'CACHE_REDIS_NOT_ALLOWED',
    `The cache expected to be allowed every command it needs in Redis, and was refused ${missing.join(', ')}`,
    `give its user what it lacks of ~${namespace}:* &${namespace}:* ${all.join(' ')}, with ACL SETUSER; ` +
      'a command that is unknown was renamed or disabled in the configuration of the server.',
  );
}

function checkVersion(version: string | undefined): void {
  if (version === undefined || Number.parseInt(version) >= LEAST_MAJOR) return;
  throw new CacheRedisError(
    'CACHE_REDIS_TOO_OLD',
    `The cache expected Redis ${LEAST_MAJOR}.0 or later, got ${version}`,
    'upgrade the server, or use Valkey.',
  );
}

/** Nothing if it may not be asked: the commands show it then. */
async function versionOf(client: Redis): Promise<string | undefined> {
  try {
    const answer = (await client.call('HELLO')) as readonly unknown[];
    return String(answer[answer.indexOf('version') + 1]);
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
  try {
    return /redis_version:(\S+)/.exec(await client.info('server'))?.[1];
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return undefined;
  }
}

async function tried(client: Redis, probe: string): Promise<string[]> {
  const refused: string[] = [];
  let isSet = true;
  for (const [name, trial] of Object.entries<Trial>(TRIALS)) {
    // They would make a key that does not end.
    if ((name === 'append' || name === 'setrange') && !isSet) continue;
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
