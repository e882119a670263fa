import { inspect } from 'node:util';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { accessTo } from '../../../lib/connection/redis-access.js';
import type { RedisSource } from '../../../lib/connection/redis-source.js';
import { RedisLock } from '../../../lib/coordination/redis/redis-lock.js';

/** Of a connection that is made to it; of a cluster, to another node than those that were named. */
function optionsFor(source: RedisSource): RedisOptions {
  const access = accessTo(source, 'Test');
  return access.kind === 'server'
    ? access.connect().options
    : access.connect({ host: 'other', port: 1 }).options;
}

describe('a connection of our own', () => {
  const given = {
    lazyConnect: true,
    commandTimeout: 1,
    keyPrefix: 'mine:',
    enableAutoPipelining: true,
    username: 'shop',
    db: 3,
  };
  const sentinels = [{ host: 'localhost', port: 26379 }];
  it.each<[string, number, () => RedisSource]>([
    ['a url', 3, () => ({ url: 'redis://shop@localhost:1/3' })],
    ['a client', 3, () => ({ client: new Redis('redis://localhost:1', given) })],
    [
      'a client with sentinels',
      3,
      () => ({ client: new Redis({ ...given, port: 1, sentinels, name: 'a', role: 'slave' }) }),
    ],
    [
      'sentinels',
      3,
      () => ({ sentinels: ['redis://a'], name: 'a', username: 'shop', database: 3 }),
    ],
    ['nodes', 0, () => ({ nodes: ['redis://shop@localhost:1'] })],
    [
      'a cluster',
      0,
      () => ({ client: new Cluster(['redis://a'], { redisOptions: given, lazyConnect: true }) }),
    ],
  ])('made from %s fails at once, sends nothing twice and times nothing out', (_, db, source) => {
    const options = optionsFor(source());
    expect(options).toMatchObject({
      username: 'shop',
      db,
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      connectTimeout: 2_000,
      keyPrefix: '',
      enableAutoPipelining: false,
      role: 'master',
      failoverDetector: false,
    });
    expect(options.commandTimeout).toBeUndefined();
  });

  it('is tried again after a second at most, and soon at first', () => {
    const { retryStrategy } = optionsFor({ url: 'redis://localhost:1' });
    const pauses = [1, 2, 3, 10, 1_000].map((times) => retryStrategy!(times) as number);
    expect(pauses).toEqual([100, 200, 400, 1_000, 1_000]);
  });

  it('takes nodes of a cluster as its client does', () => {
    const client = new Cluster(['one:7000', '7001', 'rediss://[::1]'], { lazyConnect: true });
    expect(accessTo({ client }, 'Test')).toMatchObject({
      seeds: [
        { host: 'one', port: 7_000 },
        { host: '127.0.0.1', port: 7_001 },
        { host: '::1', port: 6_379 },
      ],
    });
  });

  it('says to sentinels and to servers what is meant for each', () => {
    const to = (protocol: string, tls: boolean) =>
      optionsFor({
        sentinels: [
          `${protocol}://watcher:of%20sentinels@[::1]`,
          `${protocol}://watcher:of%20sentinels@two:2`,
        ],
        name: 'mymaster',
        username: 'shop',
        password: 'of servers',
        database: 2,
        tls,
      });
    expect(to('rediss', false)).toMatchObject({
      sentinels: [
        { host: '::1', port: 26_379 },
        { host: 'two', port: 2 },
      ],
      name: 'mymaster',
      sentinelUsername: 'watcher',
      sentinelPassword: 'of sentinels',
      sentinelTLS: {},
      username: 'shop',
      password: 'of servers',
      db: 2,
    });
    expect(to('rediss', false).tls).toBeUndefined();
    expect(to('redis', true)).toMatchObject({ enableTLSForSentinelMode: true, tls: {} });
    expect(to('redis', true).sentinelTLS).toBeUndefined();
  });

  it('says to every node of a cluster what is meant for all', () => {
    const nodes = ['rediss://shop:of%20nodes@one', 'rediss://shop:of%20nodes@[::1]:7000'];
    const access = accessTo({ nodes }, 'Test');
    expect(access).toMatchObject({
      seeds: [
        { host: 'one', port: 6_379 },
        { host: '::1', port: 7_000 },
      ],
    });
    const secrets = { username: 'shop', password: 'of nodes', tls: {} };
    expect(optionsFor({ nodes })).toMatchObject({ host: 'other', port: 1, ...secrets });
  });

  it('goes where a cluster of the user would go', () => {
    const first: RedisOptions = { host: 'one', port: 1, password: 'secret' };
    const client = new Cluster([first, 'redis://two:2', 3], {
      lazyConnect: true,
      redisOptions: { tls: { ca: 'ours' } },
      natMap: { '10.0.0.1:6379': { host: 'outside', port: 7 } },
    });
    const access = accessTo({ client }, 'Test');
    if (access.kind !== 'cluster') throw new Error('it is a cluster');
    expect(access.seeds).toEqual([
      { host: 'one', port: 1 },
      { host: 'two', port: 2 },
      { host: '127.0.0.1', port: 3 },
    ]);
    const found = access.translate({ host: '10.0.0.1', port: 6_379 });
    expect(access.connect(found).options).toMatchObject({
      host: 'outside',
      port: 7,
      password: 'secret',
      tls: { ca: 'ours' },
    });
    expect(access.translate({ host: '10.0.0.2', port: 1 })).toEqual({ host: '10.0.0.2', port: 1 });
  });
});

describe('locks in Redis are refused', () => {
  const begin = 'RedisLock expected';
  const one = `${begin} one of url, nodes, sentinels and client, got`;
  const url = "Fix: write new RedisLock({ url: 'redis://localhost:6379' }).";
  const nodes =
    "Fix: write new RedisLock({ nodes: ['redis://node-1:6379', 'redis://node-2:6379'] }).";
  const behind =
    "Fix: write new RedisLock({ sentinels: ['redis://sentinel-1:26379'], name: 'mymaster' }).";
  const encode =
    'Fix: see whether host and port are right, and percent-encode user and password, as encodeURIComponent does.';
  const invalid = `${begin} a url that begins with redis:// or rediss://, got one that is not valid. ${encode}`;
  const path = `${begin} a url that begins with redis:// or rediss://, got one whose path is not the number of a database. Fix: write a number after the last /, or nothing; in user and password, percent-encode it, as encodeURIComponent does.`;
  const sign = `${begin} a url that begins with redis:// or rediss://, got one with a ? or a #. Fix: leave out what follows it, and set options at a client; in user and password, percent-encode it, as encodeURIComponent does.`;
  const sentinels = ['redis://localhost:26379'];
  const client = new Redis('redis://localhost:1', { lazyConnect: true });
  const cluster = new Cluster([], { lazyConnect: true, useSRVRecords: true });
  it.each<[string, unknown, string]>([
    ['nothing', undefined, `${one} undefined. ${url}`],
    ['none of them', {}, `${one} none of them. ${url}`],
    ['two of them', { url: 'redis://localhost', client }, `${one} url and client. ${url}`],
    [
      'another address, which is not shown',
      { url: 'http://user:secret@localhost' },
      `${begin} a url that begins with redis:// or rediss://, got a text that begins otherwise. ${url}`,
    ],
    [
      'a number',
      { url: 6379 },
      `${begin} a url that begins with redis:// or rediss://, got 6379 (number). ${url}`,
    ],
    ['a url with a port that is none', { url: 'redis://u:s3cret@127.0.0.1:99999' }, invalid],
    ['a password that is not encoded', { url: 'redis://u:50%off@localhost' }, invalid],
    [
      'a url without a host',
      { url: 'redis:///5' },
      `${begin} a url that begins with redis:// or rediss://, got one without a host. ${url}`,
    ],
    ['a name as database', { url: 'redis://localhost/cache' }, path],
    ['a database below the first', { url: 'redis://localhost/-1' }, path],
    ['a / in a password', { url: 'redis://u:12/x@localhost' }, path],
    ['parameters, which the client would prefer', { url: 'redis://h/0?keyPrefix=foo:' }, sign],
    ['a # in a password', { url: 'redis://u:12#x@localhost' }, sign],
    [
      'a url that is missing in the environment',
      { url: undefined },
      `${one} url: undefined. Fix: see where its value comes from, as a variable of the environment that is not set; or ${url.slice('Fix: '.length)}`,
    ],
    ['a url alone, which is not shown', 'redis://u:s3cret@localhost', `${one} a text. ${url}`],
    ['parts of an address', { host: 'localhost', port: 6379 }, `${one} host and port. ${url}`],
    ['a client alone', client, `${one} a client alone. Fix: write new RedisLock({ client }).`],
    [
      'names that are misspelt',
      { ulr: 'redis://localhost', namspace: 'shop', family: 4 },
      'RedisLock has no options `ulr`, `namspace` and `family`. Fix: write `url` instead of `ulr`, write `namespace` instead of `namspace` and remove `family`; the options are url, nodes, sentinels, client, name, username, password, database, tls, namespace.',
    ],
    [
      'a node with a database',
      { nodes: ['redis://localhost/1'] },
      `${begin} as nodes some urls, got one with the number of a database. Fix: leave the path out: a cluster has one database.`,
    ],
    [
      'a sentinel with a database',
      { sentinels: ['redis://localhost/1'], name: 'a' },
      `${begin} as sentinels some urls, got one with the number of a database. Fix: write it as database, beside sentinels: it is at the servers they watch over.`,
    ],
    ['no nodes', { nodes: [] }, `${begin} as nodes some urls, got none. ${nodes}`],
    [
      'one node as text, which is not shown',
      { nodes: 'redis://:secret@localhost' },
      `${begin} as nodes some urls, got a text. ${nodes}`,
    ],
    [
      'a node with another protocol',
      { nodes: ['redis://localhost', 'localhost:6379'] },
      `${begin} as nodes some urls, each that begins with redis:// or rediss://, got a text that begins otherwise. ${nodes}`,
    ],
    [
      'an address that is none',
      { nodes: ['redis://:secret@:a'] },
      `${begin} as nodes some urls, each that begins with redis:// or rediss://, got one that is not valid. ${encode}`,
    ],
    [
      'nodes with different passwords',
      { nodes: ['redis://:one@a', 'redis://:two@b'] },
      `${begin} as nodes some urls with one user, one password and one protocol for all, got different ones. ${nodes}`,
    ],
    [
      'sentinels without a name',
      { sentinels },
      `${begin} as name what the sentinels call the primary, got undefined. ${behind}`,
    ],
    [
      'a password that is none',
      { sentinels, name: 'mymaster', password: 1234 },
      `${begin} as password a text, got 1234 (number). ${behind}`,
    ],
    [
      'half a database',
      { sentinels, name: 'mymaster', database: 0.5 },
      `${begin} as database a whole number from 0, got 0.5 (number). ${behind}`,
    ],
    [
      'a password beside an address',
      { url: 'redis://localhost', password: 'secret' },
      `${begin} password beside sentinels only, got it beside url. Fix: leave it out: what belongs to a url stands in it.`,
    ],
    [
      'options as client',
      { client: { host: 'localhost' } },
      `${begin} as client a Redis or a Cluster of ioredis, got an object. Fix: write new RedisLock({ client: new Redis('redis://localhost:6379') }), or give the url.`,
    ],
    [
      'a client of node-redis',
      // What it has in common with one of ioredis.
      { client: { duplicate() {}, sendCommand() {}, evalSha() {}, options: {}, isOpen: false } },
      `${begin} as client a Redis or a Cluster of ioredis, got a client of node-redis. Fix: write new RedisLock({ client: new Redis('redis://localhost:6379') }), or give the url.`,
    ],
    [
      'a client with a name as database',
      { client: new Redis('redis://localhost/cache', { lazyConnect: true }) },
      `${begin} as client one with the number of a database. Fix: write as db of the client, or as path of its url, a whole number from 0, or nothing.`,
    ],
    [
      'a cluster with a password that is not encoded',
      { client: new Cluster(['redis://u:50%off@localhost'], { lazyConnect: true }) },
      `${begin} as client a Cluster whose nodes have valid urls, got one that is not valid. ${encode}`,
    ],
    [
      'a cluster that is found by SRV records',
      { client: cluster },
      `${begin} as client a Cluster that knows addresses, got one that looks for SRV records. Fix: resolve them, and give the addresses as nodes.`,
    ],
    [
      'no namespace',
      { url: 'redis://localhost' },
      "RedisLock expected as namespace 1 to 64 letters, digits, '-', '_' and '.', got undefined. Fix: write namespace: 'shop'.",
    ],
    [
      'a namespace with braces',
      { url: 'redis://localhost', namespace: '{a}' },
      "RedisLock expected as namespace 1 to 64 letters, digits, '-', '_' and '.', got '{a}' (string). Fix: write namespace: 'shop'.",
    ],
  ])('%s', (_, options, message) => {
    let refusal: unknown;
    try {
      new RedisLock(options as never);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ code: 'CACHE_ARGUMENT_INVALID', message });
    // As Node prints what nobody catches.
    expect(inspect(refusal)).not.toMatch(/s3cret|50%off/);
  });
});
