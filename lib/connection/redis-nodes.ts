import type { RedisConnection } from './redis-connection.js';

/** What is kept for each node: its connection for commands, and what is known of it. */
export interface RedisNode {
  close(): Promise<void>;
}

/** Where the keys are: at one Redis, or at the primaries of a cluster. */
export interface RedisNodes<Node extends RedisNode> {
  /** Who has all keys, unless they are shared out among several. */
  readonly only: Node | undefined;
  /** On any node, since all of them hear every message; a connection of its own. */
  readonly subscriber: RedisConnection;
  /** Who has the key, as far as that is known. */
  nodeOf(key: string): Node | undefined;
  /** Names who answers for the key, as far as that is known; all names differ that may fail one by one. */
  placeOf(key: string): string;
  /** All who have keys; finds out first where that is not known. */
  primaries(): Promise<readonly Node[]>;
  /**
   * What `command` resolves to with the node that has the key. It is called again where that node has not done it and
   * names another one; `asking` then if only this command is to be sent there.
   */
  send<Reply>(
    key: string,
    command: (node: Node, asking: boolean) => Promise<Reply>,
  ): Promise<Reply>;
  /** Leaves no socket and no timer. */
  close(): Promise<void>;
}
