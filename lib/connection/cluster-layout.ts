import type { Redis } from 'ioredis';
import type { Clock } from '../time/clock.js';
import type { NodeAddress, RedisAccess } from './redis-access.js';
import { RedisConnection } from './redis-connection.js';
import { CacheRedisError, meaningOf, NoAnswerError } from './redis.error.js';
import { layoutOf, nameOf, type Layout } from './slots.js';

/** So many nodes are asked at once, and the first answer counts: one that hangs keeps nobody waiting. */
const ASKED_AT_ONCE = 3;
const ANSWER_WITHIN_MS = 1_000;

/** Finds out from any node of a cluster who has which slots. */
export class ClusterLayout {
  /** All there are, as far as is known. */
  nodes: readonly NodeAddress[];
  /** Connections for one question each. */
  private readonly scouts = new Set<RedisConnection>();
  /** The nodes that somebody has written down. */
  private readonly given: ReadonlySet<string>;
  private closed = false;

  constructor(
    private readonly access: Extract<RedisAccess, { kind: 'cluster' }>,
    private readonly clock: Pick<Clock, 'after' | 'random'>,
  ) {
    this.nodes = access.seeds;
    this.given = new Set(access.seeds.map(nameOf));
  }

  /**
   * `connected`: who is asked first.
   *
   * @throws {CacheRedisError} CACHE_REDIS_REFUSED
   * @throws {NoAnswerError}
   */
  async ask(connected: readonly RedisConnection[]): Promise<Layout> {
    const ready = connected.filter(({ client }) => client.status === 'ready');
    const asked = ready.map(({ address }) => address);
    const others = new Map(
      [...this.nodes, ...this.access.seeds].map((address) => [nameOf(address), address]),
    );
    for (const name of asked) others.delete(name);
    const questions = [
      ...this.shuffled(ready).map((connection) => () => this.answerOf(connection)),
      ...this.shuffled([...others.values()]).map((address) => () => this.scout(address)),
    ];
    const failures: unknown[] = [];
    for (let first = 0; first < questions.length; first += ASKED_AT_ONCE) {
      if (this.closed) throw new NoAnswerError('The connections to the cluster are closed');
      const some = questions.slice(first, first + ASKED_AT_ONCE);
      try {
        const layout = await Promise.any(some.map((question) => question()));
        if (layout.nodes.length > 0) this.nodes = layout.nodes;
        return layout;
      } catch (error) {
        failures.push(...((error as AggregateError).errors as unknown[]));
      }
    }
    throw failures.find((failure) => failure instanceof CacheRedisError) ?? failures.at(-1);
  }

  connectionTo(address: NodeAddress): RedisConnection {
    return this.connectionOf(this.access.connect(address));
  }

  connectionOf(client: Redis): RedisConnection {
    return new RedisConnection(client, (address) => !this.given.has(address));
  }

  /** Nobody is asked any more. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.scouts].map((scout) => scout.close()));
  }

  private async scout(address: NodeAddress): Promise<Layout> {
    const scout = this.connectionTo(address);
    this.scouts.add(scout);
    try {
      return await this.answerOf(scout);
    } finally {
      await scout.close();
      this.scouts.delete(scout);
    }
  }

  private async answerOf(connection: RedisConnection): Promise<Layout> {
    const { client } = connection;
    const { host = '', port = 0 } = client.options;
    let stop = () => {};
    const late = new Promise<never>((_, reject) => {
      const silence = Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' });
      const giveUp = () => reject(connection.unreachable(silence));
      stop = this.clock.after(ANSWER_WITHIN_MS, () => setImmediate(giveUp));
    });
    const asked = connection.connect().then(() => client.cluster('SLOTS'));
    try {
      return layoutOf(await Promise.race([asked, late]), { host, port }, this.access.translate);
    } catch (error) {
      throw meaningOf(error, 'say which node has which keys');
    } finally {
      stop();
    }
  }

  private shuffled<T>(items: readonly T[]): T[] {
    return items
      .map((item) => ({ item, by: this.clock.random() }))
      .sort((one, other) => one.by - other.by)
      .map(({ item }) => item);
  }
}
