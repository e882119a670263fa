import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** One connection that goes through the proxy. */
interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** Commands that have not been let through. */
  held: Buffer[];
}

/**
 * What becomes of a chunk of commands.
 *
 * - `held`: it is executed when nobody reckons with it any longer.
 * - `lost`: it is executed, but nobody is told. `twice`: and it is executed again later.
 */
export type Fate = 'through' | 'held' | 'lost' | 'twice';

/** Stands between clients and a Redis, and does to what they say what networks do. */
export class RedisProxy {
  /** Decides on each chunk of commands that clients send. */
  fate: (commands: Buffer) => Fate = () => 'through';
  /** What the server says, as clients get to see it. */
  rewrite: (replies: Buffer) => Buffer = (replies) => replies;

  private readonly links = new Set<Link>();
  /** What the server is to be told when nobody reckons with it any longer. */
  private late: Buffer[] = [];
  private readonly acceptor = createServer((client) => this.accept(client));

  private constructor(
    /** Where what connects from now on gets to. */
    public port: number,
  ) {}

  static async before(port: number): Promise<RedisProxy> {
    const proxy = new RedisProxy(port);
    proxy.acceptor.listen(0, '127.0.0.1');
    await once(proxy.acceptor, 'listening');
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.acceptor.address() as AddressInfo).port}`;
  }

  /** How many chunks are held, or to come late. */
  get pending(): number {
    return [...this.links].reduce((sum, { held }) => sum + held.length, this.late.length);
  }

  /** Ends all connections of clients. What was held of theirs is on its way still. */
  cut(): void {
    for (const link of this.links) this.end(link);
  }

  /** What was on its way arrives, each chunk on a connection of its own; resolves when the server has answered. */
  async deliverLate(): Promise<void> {
    const chunks = this.late;
    this.late = [];
    for (const chunk of chunks) {
      const server = connect(this.port, '127.0.0.1');
      server.write(chunk);
      await Promise.race([once(server, 'data'), once(server, 'close')]);
      server.destroy();
    }
  }

  async close(): Promise<void> {
    this.cut();
    this.acceptor.close();
    await once(this.acceptor, 'close');
  }

  private accept(client: Socket): void {
    const server = connect(this.port, '127.0.0.1');
    const link: Link = { client, server, held: [] };
    this.links.add(link);
    let deaf = false;
    client.setNoDelay(true);
    client.on('data', (commands) => {
      const fate = this.fate(commands);
      // What comes after what is held waits for its turn.
      if (fate === 'held' || link.held.length > 0) {
        link.held.push(commands);
        return;
      }
      if (fate !== 'through') deaf = true;
      if (fate === 'twice') this.late.push(commands);
      server.write(commands);
    });
    server.on('data', (replies) => {
      if (!deaf) client.write(this.rewrite(replies));
    });
    for (const socket of [client, server]) {
      socket.on('error', () => undefined);
      socket.on('close', () => this.end(link));
    }
  }

  private end(link: Link): void {
    if (!this.links.delete(link)) return;
    this.late.push(...link.held);
    link.client.destroy();
    link.server.destroy();
  }
}
