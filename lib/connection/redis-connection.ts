import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Redis } from 'ioredis';
import type { LuaScript } from './lua-script.js';
import { isReply, meaningOf } from './redis.error.js';
import { unreachable, type UnreachableError } from './unreachable.js';

/** As the client rejects what it has sent. */
interface CommandError extends Error {
  readonly command?: { readonly name: string };
}

/** One connection for one purpose. It connects when it is first used, and again by itself until it is closed. */
export class RedisConnection {
  private connecting: Promise<void> | undefined;
  /** Why it is not connected: what has failed first, since the rest follows from that. */
  private trouble: Error | undefined;
  private failed = false;
  private closed = false;

  constructor(
    readonly client: Redis,
    /** Of a node of a cluster: whether only the cluster has told that it is there. */
    private readonly isAnnounced?: (address: string) => boolean,
  ) {
    // Whoever wants something of it learns of it by his own call; an error nobody listens to is printed by the client.
    client.on('error', (error) => this.fail(error));
    client.on('close', () => this.fail(undefined));
    client.on('connecting', () => (this.failed = false));
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
   * What the script returned. `isOver`: nobody waits for it any longer; sent then, it would come after what its sender
   * did instead. `asking`: another node has sent it on.
   *
   * @throws {CacheRedisError} CACHE_REDIS_REFUSED
   * @throws {NoAnswerError} nobody knows whether it was executed, or will be
   * @throws {RedirectedError} it was not executed
   */
  async run(
    script: LuaScript,
    keys: readonly string[],
    values: readonly (string | number)[],
    isOver: () => boolean,
    asking: boolean,
  ): Promise<unknown> {
    const args = [keys.length, ...keys, ...values];
    try {
      await this.connect();
      if (isOver()) return;
      if (asking) this.ask();
      return await this.client.call('EVALSHA', script.sha, ...args);
    } catch (error) {
      if (!isUnknownScript(error) || isOver()) throw meaningOf(error, `run ${script.name}`);
    }
    try {
      if (asking) this.ask();
      return await this.client.call('EVAL', script.text, ...args);
    } catch (error) {
      throw meaningOf(error, `run ${script.name}`);
    }
  }

  /** What is sent next was sent on by another node. */
  ask(): void {
    this.client.asking().catch(() => undefined);
  }

  /** Whom it reaches, while it is connected. */
  get peer(): string | undefined {
    const { stream } = this.client as { stream?: Redis['stream'] };
    const { remoteAddress, remotePort } = (stream ?? {}) as Partial<Socket>;
    return remoteAddress === undefined ? undefined : `${remoteAddress}:${remotePort}`;
  }

  /** Where it goes, or went last. */
  get address(): string {
    const { host, port } = this.client.options;
    return `${host}:${port}`;
  }

  /** Ends the connection and makes another one, if it is in use. */
  reconnect(): void {
    const { client } = this;
    if (client.status === 'ready' || client.status === 'connect') client.disconnect(true);
    else this.resume();
  }

  /** What is to be told of it, if `failure` is why it does not answer. */
  unreachable(failure: Error | undefined): UnreachableError {
    return unreachable(failure, this.client.options, this.isAnnounced?.(this.address));
  }

  /** Begins again if it has given up. */
  resume(): void {
    if (this.client.status === 'end') this.connect().catch(() => undefined);
  }

  /** Leaves no socket and no timer, whatever Redis is doing. */
  async close(): Promise<void> {
    const { client } = this;
    const { stream } = client as { stream?: Redis['stream'] };
    this.closed = true;
    // A sentinel may still be asked where the primary is.
    const ended = client.status === 'connecting' ? once(client, 'end') : undefined;
    client.disconnect();
    if (stream !== undefined && !stream.closed) {
      // A server that hangs would never end its half of the connection.
      const closed = once(stream, 'close');
      stream.destroy();
      await closed;
    }
    await ended;
  }

  private attempt(): Promise<void> {
    const { client } = this;
    // Where no sentinel has known a primary it has ended, and begins again when somebody asks.
    const isIdle = client.status === 'wait' || (client.status === 'end' && !this.closed);
    if (isIdle) void client.connect().catch(() => undefined);
    else if (client.status !== 'connecting' && client.status !== 'connect') {
      return Promise.reject(this.reason());
    }
    return new Promise((resolve, reject) => {
      const settle = () => {
        client.off('ready', succeed);
        client.off('close', fail);
        client.off('end', fail);
        client.off('error', fail);
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
      client.on('error', fail);
    });
  }

  private fail(error: CommandError | undefined): void {
    if (this.failed) return;
    this.failed = true;
    const { client } = this;
    // The client would go on with the first database, which belongs to somebody else.
    const isElsewhere = error?.command?.name === 'select';
    this.trouble = isReply(error)
      ? meaningOf(error, isElsewhere ? `select database ${client.options.db}` : this.entry)
      : this.unreachable(error);
    if (isElsewhere) client.disconnect(true);
  }

  private reason(): Error {
    return this.trouble ?? this.unreachable(undefined);
  }

  /** What it asks for first. Of many nodes, one may be unlike the others. */
  private get entry(): string {
    return `let the cache in${this.isAnnounced === undefined ? '' : ` at ${this.address}`}`;
  }
}

/** A node has not seen it yet, as after a restart or a failover. */
export function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
