import type { RedisConnection } from '../../connection/redis-connection.js';
import { Wakes } from '../../coordination/redis/wakes.js';

/** Somebody of this process who waits for the end of a lease. */
export interface Waiter {
  /** Resolves if that is told. */
  readonly woken: Promise<void>;
  readonly leave: () => void;
}

/** Those of this process who wait for the end of a lease; told on one channel, on a connection of its own. */
export class Waiters {
  private readonly wakes: Wakes;
  private readonly resolvers = new Map<string, Set<() => void>>();

  constructor(connection: RedisConnection, prefix: string) {
    this.wakes = new Wakes(
      connection,
      prefix,
      (lease) => this.wake(lease),
      // What was told meanwhile is lost: who waited then comes when the lease would have ended.
      () => undefined,
    );
  }

  /** Where this process would be told, while it would be. */
  get channel(): string | undefined {
    return this.wakes.listeningOn;
  }

  open(): void {
    this.wakes.open();
  }

  /** To be called before the lease is asked for: it may end before the answer is read. */
  enter(lease: string): Waiter {
    let resolve!: () => void;
    const woken = new Promise<void>((told) => (resolve = told));
    const resolvers = this.resolvers.get(lease) ?? new Set();
    this.resolvers.set(lease, resolvers.add(resolve));
    const leave = () => {
      if (resolvers.delete(resolve) && resolvers.size === 0) this.resolvers.delete(lease);
    };
    return { woken, leave };
  }

  /** How many wait. */
  get size(): number {
    let size = 0;
    for (const { size: some } of this.resolvers.values()) size += some;
    return size;
  }

  private wake(lease: string): void {
    const resolvers = this.resolvers.get(lease);
    if (resolvers === undefined) return;
    this.resolvers.delete(lease);
    for (const resolve of resolvers) resolve();
    // Whoever leaves later must not take those with him who wait by then.
    resolvers.clear();
  }
}
