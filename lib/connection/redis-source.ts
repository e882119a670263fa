import type { Cluster, Redis } from 'ioredis';

/** What is said with other kinds only. */
type Not<Names extends string> = { readonly [Name in Names]?: undefined };
type OfServers = 'name' | 'username' | 'password' | 'database' | 'tls';

/** One Redis at an address that leads to its primary. */
export interface RedisServer extends Not<'nodes' | 'sentinels' | 'client' | OfServers> {
  /**
   * `redis://user:password@host:6379/0`; `rediss://` for TLS. User and password are percent-encoded, the path is the
   * number of a database or nothing, and there are no parameters.
   */
  readonly url: string;
}

/** A Redis Cluster. */
export interface RedisNodesOfCluster extends Not<'url' | 'sentinels' | 'client' | OfServers> {
  /**
   * Some of its nodes, `redis://user:password@host:6379`; `rediss://` for TLS. The others are learned of from the first
   * that answers. One user, one password and one protocol are for all of them.
   *
   * @range at least 1; for two to be down, at least 3
   */
  readonly nodes: readonly string[];
}

/** One Redis that Sentinel watches over, and follows to another server when it fails over. */
export interface RedisBehindSentinels extends Not<'url' | 'nodes' | 'client'> {
  /**
   * The sentinels, `redis://user:password@host:26379`; `rediss://` for TLS. One user, one password and one protocol are
   * for all of them, and for none but them.
   *
   * @range at least 1
   */
  readonly sentinels: readonly string[];
  /** What the sentinels call the primary: `mymaster` of `sentinel monitor mymaster …`. */
  readonly name: string;
  /**
   * The user at the servers they watch over.
   *
   * @default the one that Redis calls default
   */
  readonly username?: string;
  /** His password there. */
  readonly password?: string;
  /**
   * Number of the database there.
   *
   * @default 0
   * @range 0 … as many as the servers have
   */
  readonly database?: number;
  /**
   * Whether those servers are talked to with TLS.
   *
   * @default false
   */
  readonly tls?: boolean;
}

/** As a client of your own finds it. */
export interface RedisOfClient extends Not<'url' | 'nodes' | 'sentinels' | OfServers> {
  /**
   * Your own client: a `Redis`, also one with sentinels, or a `Cluster`. Connections are made with its addresses, its
   * credentials and its TLS, and are closed again; it is itself neither used nor closed. Its `keyPrefix` does not count,
   * and of a `Cluster` neither do `scaleReads`, `dnsLookup` and its retries.
   */
  readonly client: Redis | Cluster;
}

/** Where Redis is: `url`, `nodes`, `sentinels` or `client`, exactly one of them. */
export type RedisSource = RedisServer | RedisNodesOfCluster | RedisBehindSentinels | RedisOfClient;
