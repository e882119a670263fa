import type { Clock } from '../time/clock.js';
import { ClusterLayout } from './cluster-layout.js';
import { MovingSlots } from './moving-slots.js';
import type { NodeAddress, RedisAccess } from './redis-access.js';
import type { RedisConnection } from './redis-connection.js';
import { NoAnswerError, RedirectedError } from './redis.error.js';
import type { RedisNode, RedisNodes } from './redis-nodes.js';
import { withoutNode } from './unreachable.js';
import { hostOr, nameOf, SLOTS, slotOf } from './slots.js';

/** A command is sent on so many times, while nodes disagree. */
const MOST_REDIRECTIONS = 5;
/** Between two looks at who has what, however many commands say that it has changed. */
const LOOK_AGAIN_MS = 100;

interface Known<Node> {
  readonly connection: RedisConnection;
  readonly node: Node;
  /** Its end says nothing of the cluster any more. */
  readonly ignore: () => void;
}

/**
 * The primaries of a cluster, each with a connection of its own that fails as fast as one to a single Redis does. The
 * client's own cluster would send again what may have been done, and keep what it cannot send.
 *
 * Who has which slots is asked when nothing is known, when a node says that it has changed, and when one does not answer.
 */
export class ClusterNodes<Node extends RedisNode> implements RedisNodes<Node> {
  readonly only = undefined;
  readonly subscriber: RedisConnection;
  private readonly known = new Map<string, Known<Node>>();
  private readonly ownerOf: (string | undefined)[] = Array<undefined>(SLOTS);
  private readonly moving = new MovingSlots();
  /** Those that are being closed. */
  private readonly leaving = new Set<Promise<void>>();
  private readonly layout: ClusterLayout;
  private looking: Promise<void> | undefined;
  /** As the last one has ended, or will. */
  private looked: Promise<void> | undefined;
  private lookedAt = -Infinity;
  private stopLooking: (() => void) | undefined;
  private closed = false;

  constructor(
    private readonly access: Extract<RedisAccess, { kind: 'cluster' }>,
    private readonly clock: Clock,
    private readonly nodeOn: (connection: RedisConnection, onSilent: () => void) => Node,
  ) {
    this.layout = new ClusterLayout(access, clock);
    this.subscriber = this.openSubscriber();
  }

  nodeOf(key: string): Node | undefined {
    const address = this.ownerOf[slotOf(key)];
    return address === undefined ? undefined : this.at(address).node;
  }

  placeOf(key: string): string {
    const slot = slotOf(key);
    const to = this.moving.to(slot);
    const owner = this.ownerOf[slot] ?? '';
    // Either of the two may be why it fails, and is not to answer for the other one.
    return to === undefined ? owner : `${owner} to ${to}`;
  }

  async primaries(): Promise<readonly Node[]> {
    await this.look();
    const orphans = this.ownerOf.filter((address) => address === undefined).length;
    // Where only the nodes of some are away, these are named all the same.
    if (orphans > 0) throw withoutNode(orphans);
    const addresses = new Set(this.ownerOf as string[]);
    return [...addresses].map((address) => this.at(address).node);
  }

  async send<Reply>(
    key: string,
    command: (node: Node, asking: boolean) => Promise<Reply>,
  ): Promise<Reply> {
    const slot = slotOf(key);
    if (this.ownerOf[slot] === undefined) await this.lookUnlessJust();
    let [address, asking] = [this.ownerOf[slot], false];
    for (let sentOn = 0; ; sentOn++) {
      if (address === undefined) throw new NoAnswerError(`No node of the cluster has slot ${slot}`);
      if (this.closed) throw new NoAnswerError('The connections to the cluster are closed');
      try {
        return await command(this.at(address).node, asking);
      } catch (error) {
        if (!(error instanceof RedirectedError) || sentOn === MOST_REDIRECTIONS) throw error;
        address = this.addressIn(error, address);
        asking = error.isAsk;
        if (asking) {
          this.moving.told(error.slot, address);
          continue;
        }
        this.moving.end(error.slot);
        this.ownerOf[error.slot] = address;
        this.lookSoon();
      }
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    this.stopLooking?.();
    const closing = [...this.known.values()].map(({ node }) => node.close());
    this.known.clear();
    this.ownerOf.fill(undefined);
    await Promise.all([...closing, ...this.leaving, this.layout.close(), this.subscriber.close()]);
    await this.looking?.catch(() => undefined);
  }

  private at(address: string): Known<Node> {
    const known = this.known.get(address);
    if (known !== undefined) return known;
    const connection = this.layout.connectionTo(partsOf(address));
    const lookSoon = () => this.lookSoon();
    // Somebody else may have its keys by now, or will have them soon: tried again, it ends again.
    connection.client.on('close', lookSoon);
    const ignore = () => void connection.client.off('close', lookSoon);
    const created = { connection, node: this.nodeOn(connection, lookSoon), ignore };
    this.known.set(address, created);
    return created;
  }

  /** Resolves when it is known who has what; rejects if nobody says. */
  private look(): Promise<void> {
    if (this.closed) return Promise.reject(new NoAnswerError('The connections are closed'));
    if (this.looking === undefined) {
      this.looking = this.lookNow().finally(() => (this.looking = undefined));
      this.looked = this.looking;
    }
    return this.looking;
  }

  /** On the way of a call: what was found a moment ago will do, and so will why nothing was. */
  private lookUnlessJust(): Promise<void> {
    const isJust = this.clock.monotonic() < this.lookedAt + LOOK_AGAIN_MS;
    return isJust && !this.closed ? this.looked! : this.look();
  }

  private lookSoon(): void {
    if (this.closed || this.stopLooking !== undefined) return;
    const pause = Math.max(0, this.lookedAt + LOOK_AGAIN_MS - this.clock.monotonic());
    this.stopLooking = this.clock.after(pause, () => {
      this.stopLooking = undefined;
      this.look().catch(() => undefined);
    });
  }

  private async lookNow(): Promise<void> {
    this.lookedAt = this.clock.monotonic();
    const connected = [...this.known.values()].map(({ connection }) => connection);
    const { ranges, nodes } = await this.layout.ask(connected);
    if (this.closed) return;
    this.ownerOf.fill(undefined);
    for (const { first, last, primary } of ranges) {
      this.ownerOf.fill(nameOf(primary), first, last + 1);
    }
    const named = new Set(nodes.map(nameOf));
    this.moving.looked(this.ownerOf);
    for (const [address, { node, ignore }] of this.known) {
      if (named.has(address) || this.moving.isTarget(address)) continue;
      // What is on its way to it will not be answered, or would be by one that is not of this cluster.
      this.known.delete(address);
      ignore();
      const leaving = node.close().finally(() => this.leaving.delete(leaving));
      this.leaving.add(leaving);
    }
    this.followWith(named);
  }

  /** Who only listens does not notice that the node he listens to has hung and was given up by the others. */
  private followWith(named: ReadonlySet<string>): void {
    const { client, address } = this.subscriber;
    if (named.has(address)) return;
    if (client.status === 'wait') Object.assign(client.options, this.anyNode());
    else this.subscriber.reconnect();
  }

  private openSubscriber(): RedisConnection {
    const client = this.access.connect(this.anyNode());
    const { retryStrategy } = client.options;
    client.options.retryStrategy = (times) => {
      Object.assign(client.options, this.anyNode());
      return retryStrategy!(times);
    };
    return this.layout.connectionOf(client);
  }

  private anyNode(): NodeAddress {
    const { nodes } = this.layout;
    return nodes[Math.floor(this.clock.random() * nodes.length)]!;
  }

  private addressIn({ address }: RedirectedError, said: string): string {
    const { host, port } = partsOf(address);
    return nameOf(this.access.translate({ host: hostOr(partsOf(said).host, host), port }));
  }
}

function partsOf(address: string): NodeAddress {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}
