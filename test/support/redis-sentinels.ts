import { hasRedis } from './redis-binaries.js';
import { until } from './redis-cluster.js';
import { startRedis, startSentinel, type TestRedis } from './redis-server.js';

const SENTINELS = 3;
const QUORUM = 2;
const DOWN_AFTER_MS = 1_500;
/** How often they ask; ten seconds otherwise. */
const PERIODS = ['info-period', '300', 'publish-period', '300'];

/** One primary with a replica, and three who watch them. */
export interface TestSentinels {
  /** What they call the primary. */
  readonly name: string;
  readonly servers: readonly TestRedis[];
  readonly sentinels: readonly TestRedis[];
  readonly urls: readonly string[];
  /** As the sentinels say. */
  primary(): TestRedis;
  /** The replica takes its place; resolves to that when all sentinels say so and the other one follows. */
  failOver(): Promise<TestRedis>;
  /** Resolves when another one than `than` is what all sentinels say. */
  anotherPrimary(than: TestRedis): Promise<TestRedis>;
  /** Resolves when the replica has all that the primary has. */
  settled(): Promise<void>;
  /** Resolves when it can fail over: all sentinels know of the replica and of each other. */
  acquainted(): Promise<void>;
  stop(): Promise<void>;
}

const NAME = 'shop-primary';

/** `undefined` where there is no Redis; an error if `CI` is `true`. `password`: of the servers, `ofSentinels` of these. */
export async function startSentinels({ password = '', ofSentinels = '' } = {}): Promise<
  TestSentinels | undefined
> {
  if (!hasRedis()) return undefined;
  const secret = password === '' ? [] : ['--requirepass', password, '--masterauth', password];
  const quick = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'];
  const primary = (await startRedis({ options: [...secret, ...quick] }))!;
  const following = ['--replicaof', `127.0.0.1 ${primary.port}`];
  const replica = (await startRedis({ options: [...secret, ...quick, ...following] }))!;
  const watching = [
    `sentinel monitor ${NAME} 127.0.0.1 ${primary.port} ${QUORUM}`,
    `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${NAME} 6000`,
    ...(password === '' ? [] : [`sentinel auth-pass ${NAME} ${password}`]),
    ...(ofSentinels === ''
      ? []
      : [`requirepass ${ofSentinels}`, `sentinel sentinel-pass ${ofSentinels}`]),
  ].join('\n');
  const sentinels = await Promise.all(
    Array.from({ length: SENTINELS }, () => startSentinel(`${watching}\n`)),
  );
  const watched = sentinelsOf([primary, replica], sentinels, password, ofSentinels);
  try {
    await watched.settled();
    await watched.acquainted();
    return watched;
  } catch (error) {
    await watched.stop();
    throw error;
  }
}

function sentinelsOf(
  servers: readonly TestRedis[],
  sentinels: readonly TestRedis[],
  password: string,
  ofSentinels: string,
): TestSentinels {
  const authorised = (secret: string, command: readonly string[]) =>
    secret === '' ? command : ['-a', secret, '--no-auth-warning', ...command];
  const ask = (sentinel: TestRedis, ...command: string[]) =>
    sentinel.cli(...authorised(ofSentinels, ['SENTINEL', ...command]));
  const replication = (server: TestRedis) =>
    server.cli(...authorised(password, ['INFO', 'replication']));
  const namedBy = (sentinel: TestRedis) => {
    const [, port] = ask(sentinel, 'GET-MASTER-ADDR-BY-NAME', NAME).split('\n');
    return servers.find((server) => `${server.port}` === port);
  };
  const up = () => sentinels.filter((sentinel) => sentinel.isUp());
  const primary = () => namedBy(up()[0]!)!;
  const anotherPrimary = async (than: TestRedis) => {
    await until('the sentinels name another primary', () =>
      up().every((sentinel) => namedBy(sentinel) !== than && namedBy(sentinel) !== undefined),
    );
    return primary();
  };
  const settled = () =>
    until('the replica is in step', () => {
      const infos = servers.map(replication);
      return (
        infos.some((info) => info.includes('role:master')) &&
        infos.some((info) => info.includes('master_link_status:up'))
      );
    });
  const acquainted = () => {
    for (const sentinel of sentinels) ask(sentinel, 'DEBUG', ...PERIODS);
    return until('all sentinels know of the replica and of each other', () =>
      sentinels.every((sentinel) => {
        const state = ask(sentinel, 'MASTER', NAME).replaceAll('\n', ' ');
        const replicas = ask(sentinel, 'REPLICAS', NAME).replaceAll('\n', ' ');
        return (
          state.includes(`num-other-sentinels ${sentinels.length - 1}`) &&
          replicas.includes('master-link-status ok')
        );
      }),
    );
  };
  return {
    name: NAME,
    servers,
    sentinels,
    urls: sentinels.map(({ port }) => {
      const secret = ofSentinels === '' ? '' : `:${ofSentinels}@`;
      return `redis://${secret}127.0.0.1:${port}`;
    }),
    primary,
    anotherPrimary,
    failOver: async () => {
      const before = primary();
      await until('a sentinel begins', () => {
        try {
          return ask(up()[0]!, 'FAILOVER', NAME) === 'OK';
        } catch {
          // Another failover has been too recent.
          return false;
        }
      });
      const after = await anotherPrimary(before);
      await settled();
      return after;
    },
    settled,
    acquainted,
    stop: async () => {
      await Promise.all([...sentinels, ...servers].map((server) => server.stop()));
    },
  };
}
