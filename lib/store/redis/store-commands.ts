import type { LuaScript } from '../../connection/lua-script.js';
import type { RedisNodes } from '../../connection/redis-nodes.js';
import { CacheRedisError, NoAnswerError, RedirectedError } from '../../connection/redis.error.js';
import type { Found, StoreNode } from './store-node.js';

/** A command that names more keys makes others wait for too long. */
const MOST_KEYS = 500;

/** A promise where the node that was asked has not told: another one may, or nobody does. */
type Answer = Found | Promise<Found>;

/** What a store asks of Redis, told to the node that has the key. */
export class StoreCommands {
  private closed = false;

  constructor(
    private readonly nodes: RedisNodes<StoreNode>,
    /** Told of each refusal that does not pass by itself. */
    private readonly onRefused: (error: CacheRedisError) => void,
  ) {}

  /** In their order, and one command for as many of them as can be. */
  read(keys: readonly string[]): Promise<Answer[]> {
    if (this.closed) return closed();
    const { only } = this.nodes;
    if (only === undefined) return this.telling(this.readAtNodes(keys));
    if (keys.length <= MOST_KEYS) return this.telling(only.read(keys));
    const parts = chunks(keys, MOST_KEYS).map((part) => only.read(part));
    return this.telling(Promise.all(parts).then((found) => found.flat()));
  }

  /** What the script returned: a code, the time, and what belongs to the code. */
  run<Reply extends readonly [code: number, micros: number, ...unknown[]]>(
    script: LuaScript,
    keys: readonly [string, ...string[]],
    values: readonly (string | number | Buffer)[],
  ): Promise<Reply> {
    if (this.closed) return closed();
    return this.telling(
      this.nodes.send(keys[0], (node, asking) => node.run<Reply>(script, keys, values, asking)),
    );
  }

  /** Resolves when there is a connection to the node that has the key, to whether there is one within so many milliseconds. */
  async reconnected(key: string, withinMs: number): Promise<boolean> {
    const node = this.nodes.nodeOf(key);
    return node !== undefined && !this.closed && node.reconnected(withinMs);
  }

  async close(): Promise<void> {
    this.closed = true;
    await this.nodes.close();
  }

  private telling<T>(answer: Promise<T>): Promise<T> {
    return answer.catch((error: unknown) => {
      if (error instanceof CacheRedisError) this.onRefused(error);
      throw error;
    });
  }

  private async readAtNodes(keys: readonly string[]): Promise<Answer[]> {
    const all = Array<Answer>(keys.length);
    const read = async (part: readonly number[]) => {
      const answers = await this.readEach(part.map((at) => keys[at]!));
      for (const [index, at] of part.entries()) all[at] = answers[index]!;
    };
    const byNode = new Map<StoreNode | undefined, number[]>();
    for (const [at, key] of keys.entries()) {
      const node = this.nodes.nodeOf(key);
      const part = byNode.get(node);
      if (part === undefined) byNode.set(node, [at]);
      else part.push(at);
    }
    await Promise.all([...byNode.values()].flatMap((of) => chunks(of, MOST_KEYS)).map(read));
    return all;
  }

  /**
   * Of one node. Nobody waits for what it does not tell: another node that has a key by now may hang, and who asked for
   * the other keys is not to pay for that.
   */
  private async readEach(keys: readonly string[]): Promise<Answer[]> {
    const answers = await this.nodes.send(keys[0]!, (node) => node.readEach(keys));
    return answers.map((answer, index) => {
      if (!(answer instanceof Error)) return answer;
      const told = this.telling(
        answer instanceof RedirectedError ? this.readOne(keys[index]!) : Promise.reject(answer),
      );
      // Who asked may have gone away, or waits for other nodes first.
      told.catch(() => undefined);
      return told;
    });
  }

  private async readOne(key: string): Promise<Found> {
    return (await this.nodes.send(key, (node, asking) => node.read([key], asking)))[0]!;
  }
}

function closed(): Promise<never> {
  return Promise.reject(new NoAnswerError('The store is closed'));
}

function chunks<T>(items: readonly T[], most: number): T[][] {
  const parts: T[][] = [];
  for (let first = 0; first < items.length; first += most) {
    parts.push(items.slice(first, first + most));
  }
  return parts;
}
