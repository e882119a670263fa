import { Cluster, Redis } from 'ioredis';
import { createClient, type RedisSource } from '../../../lib/connection/redis-source.js';
import { RedisLock } from '../../../lib/coordination/redis/redis-lock.js';

describe('a connection of our own', () => {
  const given = {
    lazyConnect: true,
    commandTimeout: 1,
    keyPrefix: 'mine:',
    enableAutoPipelining: true,
    username: 'shop',
    db: 3,
  };
  it.each<[string, () => RedisSource]>([
    ['a url', () => ({ url: 'redis://shop@localhost:1/3' })],
    ['a client', () => ({ client: new Redis('redis://localhost:1', given) })],
  ])('made from %s fails at once, sends nothing twice and times nothing out', (_, source) => {
    expect(createClient(source(), 'Test').options).toMatchObject({
      port: 1,
      username: 'shop',
      db: 3,
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      connectTimeout: 2_000,
      keyPrefix: '',
      enableAutoPipelining: false,
    });
    expect(createClient(source(), 'Test').options.commandTimeout).toBeUndefined();
  });

  it('is tried again after a second at most, and soon at first', () => {
    const { retryStrategy } = createClient({ url: 'redis://localhost:1' }, 'Test').options;
    const pauses = [1, 2, 3, 10, 1_000].map((times) => retryStrategy!(times) as number);
    expect(pauses).toEqual([100, 200, 400, 1_000, 1_000]);
  });
});

describe('locks in Redis are refused', () => {
  const url = "Fix: write new RedisLock({ url: 'redis://localhost:6379' }).";
  const client = new Redis('redis://localhost:1', { lazyConnect: true });
  const cluster = new Cluster([], { lazyConnect: true });
  it.each<[string, unknown, string]>([
    ['nothing', undefined, `RedisLock expected either a url or a client, got neither. ${url}`],
    ['neither', {}, `RedisLock expected either a url or a client, got neither. ${url}`],
    [
      'both',
      { url: 'redis://localhost', client },
      `RedisLock expected either a url or a client, got both. ${url}`,
    ],
    [
      'another address, which is not shown',
      { url: 'http://user:secret@localhost' },
      `RedisLock expected a url that begins with redis:// or rediss://, got a text that begins otherwise. ${url}`,
    ],
    [
      'a number',
      { url: 6379 },
      `RedisLock expected a url that begins with redis:// or rediss://, got 6379 (number). ${url}`,
    ],
    [
      'options as client',
      { client: { host: 'localhost' } },
      "RedisLock expected as client a Redis of ioredis, got an object. Fix: write new RedisLock({ client: new Redis('redis://localhost:6379') }), or give the url.",
    ],
    [
      'a cluster',
      { client: cluster },
      "RedisLock expected as client a Redis of ioredis, got a Cluster. Fix: write new RedisLock({ client: new Redis('redis://localhost:6379') }), or give the url.",
    ],
    [
      'a namespace with braces',
      { url: 'redis://localhost', namespace: '{a}' },
      "RedisLock expected as namespace 1 to 64 letters, digits, '-', '_' and '.', got '{a}' (string). Fix: write namespace: 'shop'.",
    ],
  ])('%s', (_, options, message) => {
    expect(() => new RedisLock(options as never)).toThrow(
      expect.objectContaining({ code: 'CACHE_ARGUMENT_INVALID', message }),
    );
  });
});
