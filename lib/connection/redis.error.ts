import { CacheError } from '../errors/cache.error.js';

/** Answers that pass by themselves: Redis is starting, changing its primary, full, or busy with a script. */
const PASSING =
  /^(LOADING|READONLY|MASTERDOWN|NOREPLICAS|OOM|BUSY|UNKILLABLE|TRYAGAIN|CLUSTERDOWN|MISCONF|ERR max number of clients)\b/;

/** A script says it otherwise than a command, and Redis 7.0 otherwise than later ones. */
const LACKING_RIGHTS = /^NOPERM|The user executing the script can't|ACL failure in script/;

/** Redis is there and cannot do what is asked of it, or refuses to, and will go on to. */
export class CacheRedisError extends CacheError {
  constructor(
    readonly code:
      /** It refused a command. */
      | 'CACHE_REDIS_REFUSED'
      /** Its version lacks what is needed. */
      | 'CACHE_REDIS_TOO_OLD'
      /** This user may not send all commands that are needed, or they are disabled. */
      | 'CACHE_REDIS_NOT_ALLOWED',
    problem: string,
    fix: string,
    options?: ErrorOptions,
  ) {
    super(`${problem}. Fix: ${fix}`, options);
  }
}

/** No answer, so nobody knows whether it was done; or an answer that says to come back later. Never leaves the package. */
export class NoAnswerError extends Error {}

/** This node of a cluster has not done it: the key is at another one. */
export class RedirectedError extends NoAnswerError {
  constructor(
    readonly slot: number,
    /** `host:port`, without a host if it is that of the node which says so. */
    readonly address: string,
    /** It is on its way there: only this command is to be sent there, and has to say that it was sent on. */
    readonly isAsk: boolean,
  ) {
    super(`Slot ${slot} is at ${address}`);
  }
}

const REDIRECTION = /^(MOVED|ASK) (\d+) (\S*:\d+)$/;

/** What the failure of a command means for who sent it. */
export function meaningOf(failure: unknown, action: string): CacheRedisError | NoAnswerError {
  if (failure instanceof NoAnswerError || failure instanceof CacheRedisError) return failure;
  const [, kind, slot, address] = REDIRECTION.exec((failure as Error).message) ?? [];
  if (kind !== undefined) return new RedirectedError(Number(slot), address!, kind === 'ASK');
  // The client adds what was sent: keys and values, or a password.
  if (failure instanceof Error) delete (failure as { command?: unknown }).command;
  if (isReply(failure) && !PASSING.test(failure.message)) {
    return new CacheRedisError(
      'CACHE_REDIS_REFUSED',
      `Redis refused to ${action}: ${failure.message.replace(/\.$/, '')}`,
      remedy(failure.message),
      { cause: failure },
    );
  }
  return new NoAnswerError(`Redis did not ${action}`, { cause: failure });
}

/** What a server has answered. */
export function isReply(failure: unknown): failure is Error {
  return failure instanceof Error && failure.name === 'ReplyError';
}

function remedy(message: string): string {
  if (/^(NOAUTH|WRONGPASS|ERR invalid password|ERR AUTH)/.test(message)) {
    return 'give the right user and password in the url, or with the client.';
  }
  if (message.startsWith('DENIED')) {
    return 'give Redis a password, or bind it to an address of its own: in protected mode it answers nobody from elsewhere.';
  }
  if (/'select' command|DB index/.test(message)) {
    return 'choose a database that this Redis has, as path of the url or as db of the client, and allow this user +select; or leave it out for the first one.';
  }
  if (LACKING_RIGHTS.test(message)) {
    return 'allow this user EVALSHA, EVAL, SUBSCRIBE, PUBLISH, INFO and the commands of the script, on the keys and channels of the namespace: docs/redis.md lists them.';
  }
  if (message.includes('WRONGTYPE')) {
    return 'remove the keys of the namespace that something else has written, or choose another namespace.';
  }
  if (message.startsWith('CROSSSLOT')) {
    return 'this is a node of a Redis Cluster: write nodes instead of url.';
  }
  if (message.includes('cluster support disabled')) {
    return 'this is no node of a Redis Cluster: write url instead of nodes.';
  }
  return 'use Redis 7.0 or later, and a namespace that nothing else writes to.';
}
