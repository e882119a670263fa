import { Redis } from 'ioredis';
import { ManualClock } from './manual-clock.js';
import type { TestRedis } from './redis-server.js';

/**
 * Takes so many milliseconds off what the keys of a namespace have left to live, and removes those that have nothing
 * left. The time that really went by since the last call is given back: to keys that are as they were then, exactly; to
 * others by rounding up to the ttls that are in use. What was left is remembered in a hash.
 */
const MOVE = `
local moved = 'moved ' .. ARGV[1]
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. ':*')) do
  local expires = redis.call('PEXPIRETIME', key)
  if expires > 0 then
    local left = redis.call('PTTL', key)
    local before = redis.call('HGET', moved, key)
    local at, was = string.match(before or '', '(%S+) (%S+)')
    if tonumber(at) == expires then
      left = tonumber(was)
    else
      for i = #ARGV, 3, -1 do
        if tonumber(ARGV[i]) >= left and tonumber(ARGV[i]) - left < 200 then left = tonumber(ARGV[i]) end
      end
    end
    left = left - tonumber(ARGV[2])
    if left <= 0 then
      redis.call('DEL', key)
    else
      redis.call('PEXPIRE', key, math.ceil(left))
      redis.call('HSET', moved, key, string.format('%.0f %.6f', redis.call('PEXPIRETIME', key), left))
    end
  end
end`;

/** The ttls that the locks under test are asked for with, shortest first. */
const TTLS = [100, 250, 1_000, 10_000, 3_600_000].map(String);

/**
 * Time that a test moves, also for a real Redis: there the keys are moved towards their end instead. What Redis does
 * meanwhile is waited for by asking it how many commands it has seen.
 */
export class RedisTime extends ManualClock {
  private readonly observer: Redis;

  constructor(
    private readonly redis: TestRedis,
    private readonly namespace: string,
  ) {
    super();
    this.observer = new Redis(redis.url, { retryStrategy: () => null });
  }

  /** As {@link advance}, in Redis too; resolves when nothing more happens by itself. */
  async pass(ms: number): Promise<void> {
    const end = this.monotonic() + ms;
    for (;;) {
      await this.quiet();
      const next = Math.min(end, Math.max(this.monotonic(), this.nextAt()));
      const step = next - this.monotonic();
      if (step > 0) await this.observer.eval(MOVE, 0, this.namespace, step, ...TTLS);
      if (next === end && this.nextAt() > end) break;
      this.advance(step);
    }
    this.advance(end - this.monotonic());
  }

  /** As {@link ManualClock.stall}, in Redis too. */
  override stall(ms: number): void {
    this.redis.cli('EVAL', MOVE, '0', this.namespace, `${ms}`, ...TTLS);
    super.stall(ms);
  }

  /** Keys that have an end. */
  async expiring(): Promise<string[]> {
    const keys = await this.observer.keys(`${this.namespace}:*`);
    const ends = await Promise.all(keys.map((key) => this.observer.pexpiretime(key)));
    return keys.filter((_, i) => ends[i] !== -1);
  }

  /** Resolves when Redis has been asked nothing for a while, and everything it said was heard. */
  async quiet(): Promise<void> {
    let seen = 0;
    for (let still = 0; still < 3;) {
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      const stats = await this.observer.info('stats');
      const now = Number(/total_commands_processed:(\d+)/.exec(stats)![1]);
      still = now === seen + 1 ? still + 1 : 0;
      seen = now;
    }
  }

  close(): void {
    this.observer.disconnect();
  }

  private nextAt(): number {
    return Math.min(...[...this['timers']].map(({ at }) => at));
  }
}
