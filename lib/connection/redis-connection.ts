import { once } from 'node:events';
import type { Redis } from 'ioredis';
import type { Clock } from '../time/clock.js';
import type { LuaScript } from './lua-script.js';
import { meaningOf, NoAnswerError } from './redis.error.js';

/** One connection for one purpose. It connects when it is first used, and again by itself until it is closed. */
export class RedisConnection {
  private connecting: Promise<void> | undefined;
  /** Why it is not connected. */
  private trouble: unknown;

  constructor(
    readonly client: Redis,
    private readonly timing: Pick<Clock, 'after'>,
  ) {
    // Whoever wants something of it learns of it by his own call; an error nobody listens to is printed by the client.
    client.on('error', (error) => (this.trouble = error));
    client.on('ready', () => (this.trouble = undefined));
  }

  /** Calls `listener` whenever it is connected, for the first time or again; at once if it is now. */
  onReady(listener: () => void): void {
    this.client.on('ready', listener);
    if (this.client.status === 'ready') listener();
  }

  /** Resolves when connected; rejects if that fails now. It is tried again by itself, whoever asks. */
  async connect(): Promise<void> {
    const { client } = this;
    if (client.status === 'ready') return;
    this.connecting ??= this.attempt().finally(() => (this.connecting = undefined));
    await this.connecting;
  }

  /**
   * What the script returned.
   *
   * @throws {CacheRedisError} CACHE_REDIS_REFUSED
   * @throws {NoAnswerError} if there was none within `withinMs`; the script may have been executed, or be later
   */
  run(
    script: LuaScript,
    keys: readonly string[],
    values: readonly (string | number)[],
    withinMs: number,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let over = false;
      const giveUp = () => {
        over = true;
        reject(new NoAnswerError(`Redis did not run ${script.name} within ${withinMs} ms`));
      };
      // An answer that came while the process was busy is read before the turn is over.
      const stop = this.timing.after(withinMs, () => setImmediate(giveUp));
      this.evaluate(script, keys, values, () => over)
        .catch((error: unknown) => {
          throw meaningOf(error, `run ${script.name}`);
        })
        .then(resolve, reject)
        .finally(stop);
    });
  }

  /** Leaves no socket and no timer, whatever Redis is doing. */
  async close(): Promise<void> {
    const { client } = this;
    const { stream } = client as { stream?: Redis['stream'] };
    client.disconnect();
    if (stream === undefined || stream.closed) return;
    // A server that hangs would never end its half of the connection.
    const closed = once(stream, 'close');
    stream.destroy();
    await closed;
  }

  private async evaluate(
    script: LuaScript,
    keys: readonly string[],
    values: readonly (string | number)[],
    over: () => boolean,
  ): Promise<unknown> {
    await this.connect();
    const args = [...keys, ...values];
    // Nobody waits for it any longer: sent now, it would come after what its sender did instead.
    if (over()) return;
    try {
      return await this.client.evalsha(script.sha, keys.length, ...args);
    } catch (error) {
      if (!(error as Error).message.startsWith('NOSCRIPT') || over()) throw error;
      return this.client.eval(script.text, keys.length, ...args);
    }
  }

  private attempt(): Promise<void> {
    const { client } = this;
    if (client.status === 'wait') void client.connect().catch(() => undefined);
    else if (client.status !== 'connecting' && client.status !== 'connect') {
      return Promise.reject(this.reason());
    }
    return new Promise((resolve, reject) => {
      const settle = () => {
        client.off('ready', succeed);
        client.off('close', fail);
        client.off('end', fail);
      };
      const succeed = () => {
        settle();
        resolve();
      };
      const fail = () => {
        settle();
        reject(this.reason());
      };
      client.on('ready', succeed);
      client.on('close', fail);
      client.on('end', fail);
    });
  }

  private reason(): Error {
    return this.trouble instanceof Error ? this.trouble : new Error('not connected');
  }
}
