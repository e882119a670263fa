import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { jest } from '@jest/globals';
import { Cluster } from 'ioredis';
import { LuaScript } from '../../lib/connection/lua-script.js';
import type { LogMessage } from '../../lib/store/invalidation-log.js';
import { EntryKeys } from '../../lib/store/redis/entry-keys.js';
import { RedisStore } from '../../lib/store/redis/redis-store.js';
import { until } from '../support/fault-child.js';
import { hasRedis, redisBinaries } from '../support/redis-binaries.js';
import { startCluster, type TestCluster } from '../support/redis-cluster.js';

jest.setTimeout(120_000);

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/writers-outside.md'), 'utf8');
/** What it says for a cluster: two entries, and then all processes. */
const LINES = /## Redis Cluster[^]*?^```sh\n([^]*?)^```/m.exec(page)![1]!.trim().split('\n');
const { text: SCRIPT } = new LuaScript(
  'invalidate-outside',
  new URL('../../lib/store/redis/redis-store.ts', import.meta.url).href,
);
const KEYS = new EntryKeys('shop');
const price = (id: string) => ({ entity: 'price', id });
const keysOf = (id: string) => [KEYS.record(price(id)), KEYS.lease(price(id))] as const;
const LOG = [KEYS.log, KEYS.logMessages] as const;

(hasRedis() ? describe : describe.skip)('programs in other languages, in a cluster', () => {
  let cluster: TestCluster;
  let client: Cluster;
  let store: RedisStore;
  const put = async (id: string) => {
    const lease = await store.claim(price(id), 30_000);
    const times = { loadedAt: lease.grantedAt, softExpiry: lease.grantedAt + 60_000, loadMs: 1 };
    const stored = { ...times, payload: Buffer.from(id), schema: 0, version: undefined };
    await store.fill(lease, stored, 60_000);
  };
  const isThere = async (id: string) => (await store.read(price(id))) !== undefined;

  beforeAll(async () => {
    cluster = (await startCluster())!;
    client = new Cluster([...cluster.urls]);
    store = new RedisStore({ nodes: cluster.urls, namespace: 'shop' });
    await store.check();
  });
  afterAll(async () => {
    client?.disconnect();
    await store?.close();
    await cluster?.stop();
  });

  it('send what the page says, entry by entry, and then tell the processes', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'cache-outside-'));
    mkdirSync(join(directory, 'node_modules'));
    symlinkSync(root, join(directory, 'node_modules/nestjs-cache-contract'), 'dir');
    const { cli, env } = redisBinaries()!;
    const PATH = `${dirname(cli)}:${env.PATH ?? process.env.PATH}`;
    const NODE_URL = cluster.urls[0]!;
    const run = (line: string) => {
      const options = {
        cwd: directory,
        env: { ...env, PATH, NODE_URL },
        encoding: 'utf8',
      } as const;
      return execFileSync('/bin/sh', ['-ec', line], options).trim().split('\n');
    };
    const heard: LogMessage[] = [];
    let isListening = false;
    store.log.listen({
      onMessage: (said) => heard.push(said),
      onListening: () => (isListening = true),
    });
    await until('it listens', () => isListening);
    const { end } = await store.log.poll(undefined);
    await put('p1');
    await put('p2');
    try {
      const [one, other, log] = LINES as [string, string, string];
      expect(run(one)).toEqual(['1', '0']);
      expect([await isThere('p1'), await isThere('p2')]).toEqual([false, true]);
      expect(run(other)).toEqual(['1', '0']);
      expect(await isThere('p2')).toBe(false);
      expect((await store.log.poll(end)).end).toEqual(end);
      expect(run(log)[0]).toBe('0');
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    await until('it is heard', () => heard.length > 0);
    expect(heard).toEqual([
      {
        epoch: end.epoch,
        seq: end.seq + 1,
        writer: 'outside',
        entries: [price('p1'), price('p2')],
        tags: [],
      },
    ]);
  });

  it('take a load its right to store, with the keys of its entry', async () => {
    const lease = await store.claim(price('%{}'), 30_000);
    await client.eval(SCRIPT, 2, ...keysOf('%{}'), 'shop', 'price', '%{}');
    const stored = {
      payload: undefined,
      loadedAt: 0,
      softExpiry: 0,
      loadMs: 1,
      schema: 0,
      version: 1,
    };
    expect(await store.fill(lease, stored, 60_000)).toBe('voided');
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ['the keys of another entry', keysOf('p1'), ['p2']],
    ['the keys of one entry for two', keysOf('p1'), ['p1', 'p2']],
    ['one key', [keysOf('p1')[0]], ['p1']],
    ['the keys of the log the other way round', [LOG[1], LOG[0]], ['p1']],
    ['names without their escapes', ['shop:1:v:{price:%}', 'shop:1:l:{price:%}'], ['%']],
  ])('are refused %s, and nothing is done', async (_, keys, ids) => {
    await put('p1');
    const { end } = await store.log.poll(undefined);
    const answer = client.eval(SCRIPT, keys.length, ...keys, 'shop', 'price', ...ids);
    await expect(answer).rejects.toThrow(/^ERR invalidate\.lua expected as KEYS those of .*Fix: /);
    expect(await isThere('p1')).toBe(true);
    expect((await store.log.poll(end)).end).toEqual(end);
  });

  it('are refused by a node without keys, whatever they name, before anything is done', async () => {
    await put('p1');
    for (const node of cluster.primaries()) {
      expect(() => node.cli('EVAL', SCRIPT, '0', 'shop', 'price', 'p1')).toThrow(
        /expected KEYS, because this is a node of a Redis Cluster, got none\. Fix: /,
      );
    }
    expect(await isThere('p1')).toBe(true);
  });

  it('void no half of an entry whose keys are apart, because its slot moves', async () => {
    const [record, lease] = keysOf('moving');
    const from = cluster.ownerOf(record);
    const to = cluster.primaries().find((node) => node !== from)!;
    const slot = from.cli('CLUSTER', 'KEYSLOT', record);
    const [source, target] = [from, to].map((node) => node.cli('CLUSTER', 'MYID'));
    const held = await store.claim(price('moving'), 30_000);
    to.cli('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source!);
    from.cli('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target!);
    // The record would be asked for at the other node, where the lease is not yet.
    const answer = client.eval(SCRIPT, 2, record, lease, 'shop', 'price', 'moving');
    await expect(answer).rejects.toThrow(/TRYAGAIN|Too many/);
    from.cli('MIGRATE', '127.0.0.1', `${to.port}`, '', '0', '5000', 'KEYS', lease);
    for (const node of cluster.primaries()) node.cli('CLUSTER', 'SETSLOT', slot, 'NODE', target!);
    await client.eval(SCRIPT, 2, record, lease, 'shop', 'price', 'moving');
    const stored = {
      payload: undefined,
      loadedAt: 0,
      softExpiry: 0,
      loadMs: 1,
      schema: 0,
      version: 1,
    };
    expect(await store.fill(held, stored, 60_000)).toBe('voided');
  });
});
