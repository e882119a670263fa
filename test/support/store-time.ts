import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { LuaScript } from '../../lib/connection/lua-script.js';
import { StoreNode } from '../../lib/store/redis/store-node.js';
import { RedisStore, type RedisStoreOptions } from '../../lib/store/redis/redis-store.js';
import { ManualClock } from './manual-clock.js';
import type { TestRedis } from './redis-server.js';

/** Brings the end of every key of a namespace nearer. */
const MOVE = `
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. ':*')) do
  local left = redis.call('PTTL', key) - tonumber(ARGV[2])
  if left <= 0 then redis.call('DEL', key) else redis.call('PEXPIRE', key, left) end
end`;

/** Time that a test moves for stores in a real Redis; what really goes by shortens the ttls of keys besides. */
export class StoreTime extends ManualClock {
  readonly servers: readonly Redis[];
  private readonly start = Date.now() - this.monotonic();

  constructor(
    /** Who has keys. */
    redis: readonly TestRedis[],
    private readonly namespace: string,
  ) {
    super();
    this.servers = redis.map(({ url }) => new Redis(url, { retryStrategy: () => null }));
  }

  /** A store whose scripts are told this time instead of the server's. */
  store(options: RedisStoreOptions): RedisStore {
    const store = new RedisStore({ ...options, namespace: this.namespace }, this);
    const commands = store['commands'];
    const run = commands.run.bind(commands);
    commands.run = (script, keys, values) => run(this.told(script), keys, values);
    StoreNode.prototype['askTime'] = () => undefined;
    return store;
  }

  /** As {@link advance}, in Redis too. */
  async pass(ms: number): Promise<void> {
    this.advance(ms);
    await Promise.all(this.servers.map((server) => server.eval(MOVE, 0, this.namespace, ms)));
  }

  close(): void {
    for (const observer of this.servers) observer.disconnect();
  }

  private told(script: LuaScript): LuaScript {
    const text = script.text.replace(
      "local time = redis.call('TIME')\n  return time[1] * 1000000 + time[2]",
      `return ${Math.round((this.start + this.monotonic()) * 1_000)}`,
    );
    return { name: script.name, text, sha: createHash('sha1').update(text).digest('hex') };
  }
}
