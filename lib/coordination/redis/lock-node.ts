import type { RedisConnection } from '../../connection/redis-connection.js';
import type { RedisNode } from '../../connection/redis-nodes.js';

/** One server that has locks. */
export class LockNode implements RedisNode {
  constructor(
    readonly connection: RedisConnection,
    /** It has not answered for long: somebody else may have its locks by now. */
    readonly onSilent: () => void,
  ) {}

  close(): Promise<void> {
    return this.connection.close();
  }
}
