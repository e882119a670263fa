import { randomBytes } from 'node:crypto';
import { LuaScript } from '../../connection/lua-script.js';
import type { RedisNodes } from '../../connection/redis-nodes.js';
import { NoAnswerError } from '../../connection/redis.error.js';
import type { LockNode } from './lock-node.js';
import type { Clock } from '../../time/clock.js';

const ACQUIRE = new LuaScript('acquire-lock', import.meta.url);
const RENEW = new LuaScript('renew-lock', import.meta.url);
const RELEASE = new LuaScript('release-lock', import.meta.url);

/** What holds nothing and waits for nothing. */
export const NONE = '';

const ANSWER_WITHIN_MS = 1_000;

/** Taken, with a fence; or held by somebody else for so long, unless it is renewed. */
export type Acquired = { readonly fence: bigint } | { readonly remainingMs: number };

const TOKEN_BYTES = 16;
/** Fetched for many tokens at a time. */
let random = Buffer.alloc(0);

/** Of one width, so that none is a part of another; never the same again. */
export function newToken(): string {
  if (random.length === 0) random = randomBytes(256 * TOKEN_BYTES);
  const token = random.toString('base64url', 0, TOKEN_BYTES);
  random = random.subarray(TOKEN_BYTES);
  return token;
}

/**
 * What is asked of Redis about a lock. All of one lock travels on one connection, so what is sent first happens first.
 *
 * @throws {CacheRedisError} CACHE_REDIS_REFUSED
 * @throws {NoAnswerError}
 */
export class LockCommands {
  constructor(
    private readonly nodes: RedisNodes<LockNode>,
    private readonly namespace: string,
    private readonly timing: Pick<Clock, 'after'>,
  ) {}

  async acquire(
    name: string,
    token: string,
    previous: string,
    ttlMs: number,
    channel: string,
  ): Promise<Acquired> {
    const lock = this.key(name);
    const [taken, answer] = (await this.run(
      ACQUIRE,
      [lock, `${lock}:f`, `${lock}:q`],
      [token, previous, Math.ceil(ttlMs), channel],
      ANSWER_WITHIN_MS,
    )) as [number, string | number];
    return taken === 1 ? { fence: BigInt(answer) } : { remainingMs: Number(answer) };
  }

  /** Whether it is still held. Waits for the answer for as long as that is worth something. */
  async renew(name: string, token: string, ttlMs: number, withinMs: number): Promise<boolean> {
    const values = [token, Math.ceil(ttlMs)];
    return (await this.run(RENEW, [this.key(name)], values, withinMs)) === 1;
  }

  async release(name: string, token: string, channel: string): Promise<void> {
    const lock = this.key(name);
    await this.run(RELEASE, [lock, `${lock}:q`], [token, channel, name], ANSWER_WITHIN_MS);
  }

  /** Also if there was no answer within `withinMs` the script may have been executed, or be later. */
  private run(
    script: LuaScript,
    keys: readonly [string, ...string[]],
    values: readonly (string | number)[],
    withinMs: number,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let over = false;
      let asked: LockNode | undefined;
      const giveUp = () => {
        over = true;
        asked?.onSilent();
        reject(new NoAnswerError(`Redis did not run ${script.name} within ${withinMs} ms`));
      };
      // An answer that came while the process was busy is read before the turn is over.
      const stop = this.timing.after(withinMs, () => setImmediate(giveUp));
      this.nodes
        .send(keys[0], (node, asking) => {
          asked = node;
          return node.connection.run(script, keys, values, () => over, asking);
        })
        .then(resolve, reject)
        .finally(stop);
    });
  }

  /** The braces put all keys of a name on one node of a cluster, so the name can have none of its own. */
  private key(name: string): string {
    const escapes: Record<string, string> = { '{': '%7B', '}': '%7D', '%': '%25' };
    return `${this.namespace}:k:{${name.replace(/[{}%]/g, (sign) => escapes[sign]!)}}`;
  }
}
