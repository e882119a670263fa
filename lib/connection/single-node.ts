import type { RedisAccess } from './redis-access.js';
import { RedisConnection } from './redis-connection.js';
import type { RedisNode, RedisNodes } from './redis-nodes.js';

/** One Redis that has all keys, whichever server that is at the moment. */
export class SingleNode<Node extends RedisNode> implements RedisNodes<Node> {
  readonly only: Node;
  readonly subscriber: RedisConnection;

  constructor(
    access: Extract<RedisAccess, { kind: 'server' }>,
    nodeOn: (connection: RedisConnection, onSilent: () => void) => Node,
  ) {
    const connection = new RedisConnection(access.connect());
    this.subscriber = new RedisConnection(access.connect());
    this.only = nodeOn(connection, () => undefined);
    // Who only listens does not notice that the server he listens to has hung, and is not the primary any longer.
    connection.onReady(() => {
      if (this.subscriber.peer !== connection.peer) this.subscriber.reconnect();
    });
  }

  nodeOf(): Node {
    return this.only;
  }

  placeOf(): string {
    return '';
  }

  primaries(): Promise<readonly Node[]> {
    return Promise.resolve([this.only]);
  }

  send<Reply>(
    _key: string,
    command: (node: Node, asking: boolean) => Promise<Reply>,
  ): Promise<Reply> {
    return command(this.only, false);
  }

  async close(): Promise<void> {
    await Promise.all([this.only.close(), this.subscriber.close()]);
  }
}
