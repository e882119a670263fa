import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { LuaScript } from '../../lib/connection/lua-script.js';
import { RedisStore, type RedisStoreOptions } from '../../lib/store/redis/redis-store.js';
import { ManualClock } from './manual-clock.js';
import type { TestRedis } from './redis-server.js';

/** Brings the end of every key of a namespace nearer, and moves the time that scripts are told. */
const MOVE = `
redis.call('SET', 'time of ' .. ARGV[1], ARGV[2])
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. ':*')) do
  local left = redis.call('PTTL', key) - tonumber(ARGV[3])
  if left <= 0 then redis.call('DEL', key) else redis.call('PEXPIRE', key, left) end
end`;

/** Time that a test moves for stores in a real Redis; what really goes by shortens the ttls of keys besides. */
export class StoreTime extends ManualClock {
  private readonly observer: Redis;
  private readonly start = Date.now() - this.monotonic();

  constructor(
    redis: TestRedis,
    private readonly namespace: string,
  ) {
    super();
    this.observer = new Redis(redis.url, { retryStrategy: () => null });
  }

  /** A store whose scripts are told this time instead of the server's. */
  store(options: RedisStoreOptions): RedisStore {
    const store = new RedisStore({ ...options, namespace: this.namespace }, this);
    const commands = store['commands'];
    const run = commands.run.bind(commands);
    commands.run = (script, keys, values) => run(this.told(script), keys, values);
    commands['askTime'] = () => undefined;
    return store;
  }

  /** As {@link advance}, in Redis too. */
  async pass(ms: number): Promise<void> {
    this.advance(ms);
    const micros = `${Math.round((this.start + this.monotonic()) * 1_000)}`;
    await this.observer.eval(MOVE, 0, this.namespace, micros, ms);
  }

  close(): void {
    this.observer.disconnect();
  }

  private told(script: LuaScript): LuaScript {
    const text = script.text.replace(
      "local time = redis.call('TIME')\n  return time[1] * 1000000 + time[2]",
      `return tonumber(redis.call('GET', 'time of ${this.namespace}'))`,
    );
    return { name: script.name, text, sha: createHash('sha1').update(text).digest('hex') };
  }
}
