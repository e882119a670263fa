import { until } from './fault-child.js';
import { hasRedis } from './redis-binaries.js';
import { RedisProxy } from './redis-proxy.js';
import { startRedis, type TestRedis } from './redis-server.js';

/** A primary with a replica, and one address that leads to whichever of them is primary. */
export interface RedisPair {
  readonly url: string;
  /** Who is primary now. */
  primary(): TestRedis;
  /** Resolves when the replica has all that the primary has. */
  inStep(): Promise<void>;
  /** From now on the replica gets nothing of what the primary acknowledges. */
  loseTheRest(): void;
  /** The primary dies, and the replica takes its place and its address. */
  failOver(): Promise<void>;
  stop(): Promise<void>;
}

/** `undefined` where there is no Redis; an error if `CI` is `true`. */
export async function startPair(): Promise<RedisPair | undefined> {
  if (!hasRedis()) return undefined;
  const quick = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'];
  const first = (await startRedis({ options: quick }))!;
  const second = (await startRedis({ options: quick }))!;
  const between = await RedisProxy.before(first.port);
  const address = await RedisProxy.before(first.port);
  second.cli('REPLICAOF', '127.0.0.1', new URL(between.url).port);
  let primary = first;
  const offset = (server: TestRedis) =>
    /master_repl_offset:(\d+)/.exec(server.cli('INFO', 'replication'))?.[1];
  const inStep = () =>
    until('the replica is in step', () => {
      const isUp = second.cli('INFO', 'replication').includes('master_link_status:up');
      return isUp && offset(first) === offset(second);
    }).then(() => undefined);
  await inStep();
  return {
    url: address.url,
    primary: () => primary,
    inStep,
    loseTheRest: () => void (between.rewrite = () => Buffer.alloc(0)),
    failOver: async () => {
      await first.kill();
      await between.close();
      second.cli('REPLICAOF', 'NO', 'ONE');
      primary = second;
      address.port = second.port;
      address.cut();
    },
    stop: async () => {
      await address.close();
      if (primary === first) await between.close();
      await Promise.all([first, second].map((server) => server.stop()));
    },
  };
}
