import type { Redis } from 'ioredis';
import { writeTogether } from '../../connection/write-together.js';
import type { LuaScript } from '../../connection/lua-script.js';
import { isUnknownScript, type RedisConnection } from '../../connection/redis-connection.js';
import type { RedisNode } from '../../connection/redis-nodes.js';
import { isReply, meaningOf, NoAnswerError } from '../../connection/redis.error.js';
import type { Clock } from '../../time/clock.js';
import { isRefusal, refusal } from '../refusal.js';
import { ServerHistory } from './server-history.js';
import { ServerTime } from './server-time.js';
import { judged, type DoubtfulRecord } from './stored-record.js';

/** What a Redis that hangs may keep waiting; more is refused at once. */
const MOST_IN_FLIGHT = 10_000;
const MOST_BYTES_UNSENT = 64 * 2 ** 20;
/** Longer than any server takes that has not hung. */
const SILENT_MS = 500;
/** As long as it may take to leave a replica for where its address leads to by now. */
const LEFT_WITHIN_MS = 500;

/** What stands for a key that holds no string: something else has written it. */
const NO_RECORD = Buffer.alloc(0);

/** What a server has under a key. */
export type Found = Buffer | DoubtfulRecord | null;

/** It was sent, and the connection has ended before the answer: it may have been done, or may be yet. */
export class LostAnswerError extends NoAnswerError {}

/** The server is a replica, and takes nothing: it has not been done. */
export class ReplicaError extends NoAnswerError {}

/**
 * Sends what a store asks of one server, each command once. It is answered, or rejected at the latest when the connection is
 * given up because it has been silent for too long.
 */
export class StoreNode implements RedisNode {
  readonly time: ServerTime;
  private readonly history: ServerHistory;
  private inFlight = 0;
  /** It has said nothing since, although it was asked. */
  private owesSince = 0;
  /** Its connection led to a replica, and is being replaced. */
  private isLeftUntil = -Infinity;
  private closed = false;
  private readonly waiting = new Set<(connected: boolean) => void>();

  constructor(
    readonly connection: RedisConnection,
    private readonly clock: Pick<Clock, 'after' | 'monotonic'>,
    /** It has not answered for long; who asks it next does not get an answer either. */
    private readonly onSilent: () => void,
  ) {
    const time = new ServerTime(clock);
    this.time = time;
    const history = new ServerHistory(clock);
    this.history = history;
    // Sent before anything else, so that both are known when anything else is answered.
    connection.onReady(() => {
      time.forget();
      history.forget();
      this.isLeftUntil = -Infinity;
      this.askTime();
      this.askHistory();
      for (const settle of this.waiting) settle(true);
    });
  }

  /** Of keys that this server has, all of them. */
  read(keys: readonly string[], asking = false): Promise<Found[]> {
    this.keepTime();
    this.keepHistory();
    return this.send('read', async (client) => {
      if (asking) this.connection.ask();
      if (keys.length > 1) {
        const all = await client.mgetBuffer([...keys]);
        return all.map((record) => this.judged(record));
      }
      try {
        return [this.judged(await client.getBuffer(keys[0]!))];
      } catch (error) {
        // Of several it would tell that there is nothing.
        if (isNoString(error)) return [NO_RECORD];
        throw error;
      }
    });
  }

  /** Of keys that this node of a cluster has, as far as is known: for each what is there, or why it does not tell. */
  readEach(keys: readonly string[]): Promise<(Found | Error)[]> {
    this.keepTime();
    this.keepHistory();
    return this.send('read', async (client) => {
      // They go out in one piece all the same; a pipeline of the client takes nearly twice as long.
      const answers = await Promise.allSettled(keys.map((key) => client.getBuffer(key)));
      return answers.map((answer) => {
        if (answer.status === 'fulfilled') return this.judged(answer.value);
        if (isNoString(answer.reason)) return NO_RECORD;
        const failure = this.failed(answer.reason, 'read');
        // What has ended before it told is over for all of them.
        if (!isRefusal(failure)) throw failure;
        return failure;
      });
    });
  }

  /** What the script returned: a code, the time, and what belongs to the code. */
  run<Reply extends readonly [code: number, micros: number, ...unknown[]]>(
    script: LuaScript,
    keys: readonly string[],
    values: readonly (string | number | Buffer)[],
    asking: boolean,
  ): Promise<Reply> {
    return this.send(`run ${script.name}`, async (client) => {
      const call = async (command: string, what: string) => {
        if (asking) this.connection.ask();
        const sentAt = this.clock.monotonic();
        const args = [what, keys.length, ...keys, ...values];
        const reply = (await client.callBuffer(command, args)) as Reply;
        this.time.learn(reply[1], sentAt);
        return reply;
      };
      try {
        return await call('EVALSHA', script.sha);
      } catch (error) {
        if (!isUnknownScript(error)) throw error;
        return call('EVAL', script.text);
      }
    });
  }

  /** Resolves when there is a connection, to whether there is one within so many milliseconds. */
  reconnected(withinMs: number): Promise<boolean> {
    const { client } = this.connection;
    if (this.closed || isConnected(client)) return Promise.resolve(!this.closed);
    return new Promise((resolve) => {
      const settle = (connected: boolean) => {
        this.waiting.delete(settle);
        stop();
        resolve(connected);
      };
      const stop = this.clock.after(withinMs, () => settle(false));
      this.waiting.add(settle);
    });
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const settle of this.waiting) settle(false);
    await this.connection.close();
  }

  /**
   * @throws {CacheRedisError} CACHE_REDIS_REFUSED
   * @throws {NoAnswerError}
   */
  async send<Reply>(action: string, command: (client: Redis) => Promise<Reply>): Promise<Reply> {
    if (this.closed) throw new NoAnswerError(`The store was to ${action}, but is closed`);
    const { client } = this.connection;
    if (this.inFlight >= MOST_IN_FLIGHT || unsentBytes(client) > MOST_BYTES_UNSENT) {
      throw new NoAnswerError(`Redis is behind with its answers, and was not asked to ${action}`);
    }
    const now = this.clock.monotonic();
    if (this.inFlight === 0) this.owesSince = now;
    else if (now - this.owesSince > SILENT_MS) this.onSilent();
    let sent = false;
    this.inFlight++;
    try {
      if (client.status !== 'ready') await this.connection.connect();
      if (!isConnected(client)) throw new Error('the connection is being ended');
      sent = true;
      writeTogether(client.stream);
      return await command(client);
    } catch (error) {
      throw sent || this.isLeft() ? this.failed(error, action) : meaningOf(error, action);
    } finally {
      this.inFlight--;
      this.owesSince = this.clock.monotonic();
    }
  }

  /** Of a command that was sent. */
  private failed(error: unknown, action: string): Error {
    const answered = error instanceof Error && error.name === 'ReplyError';
    if (answered && error.message.startsWith('READONLY')) {
      if (!isConnected(this.connection.client) && !this.isLeft()) {
        this.isLeftUntil = this.clock.monotonic() + LEFT_WITHIN_MS;
      }
      return replica(action, error);
    }
    if (answered) return refusal(meaningOf(error, action));
    if (this.isLeft()) return replica(action, error);
    return new LostAnswerError(`Redis did not say whether it did ${action}`, { cause: error });
  }

  private isLeft(): boolean {
    return this.clock.monotonic() < this.isLeftUntil;
  }

  /** Scripts tell the time too, but who only finds what he reads needs none. */
  private keepTime(): void {
    if (this.time.isOld && isConnected(this.connection.client)) this.askTime();
  }

  private askTime(): void {
    const sentAt = this.clock.monotonic();
    this.connection.client
      .time()
      .then(([seconds, micros]) => {
        this.time.learn(Number(seconds) * 1_000_000 + Number(micros), sentAt);
      })
      // The next answer tells it; or this user may not ask, which whoever checks the rights is told.
      .catch(() => undefined);
  }

  /** By what this server has said last, which was asked before this was read. */
  private judged(record: Buffer | null): Found {
    return record === null ? null : judged(record, this.history);
  }

  private keepHistory(): void {
    if (this.history.isOld && isConnected(this.connection.client)) this.askHistory();
  }

  private askHistory(): void {
    this.history.asked();
    this.connection.client
      .info('replication')
      .then((info) => this.history.learn(info))
      // As above; nothing is known then, and so all is doubtful.
      .catch(() => this.history.forget());
  }
}

function isNoString(error: unknown): boolean {
  return isReply(error) && error.message.startsWith('WRONGTYPE');
}

function replica(action: string, cause: unknown): ReplicaError {
  return refusal(new ReplicaError(`Redis is a replica, and did not ${action}`, { cause }));
}

/** The client calls itself ready until a connection that it ends has ended. */
function isConnected(client: Redis): boolean {
  return client.status === 'ready' && client.stream.writable;
}

function unsentBytes(client: Redis): number {
  // There is none before it first connects.
  return (client as { stream?: Redis['stream'] }).stream?.writableLength ?? 0;
}
