import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

/** Servers that let everybody in and never say anything, as those that hang. */
export class MuteServers {
  /** How often somebody has connected. */
  connections = 0;
  private readonly sockets = new Set<Socket>();
  private readonly servers = new Set<ReturnType<typeof createServer>>();

  async open(count: number): Promise<string[]> {
    return Promise.all(Array.from({ length: count }, () => this.openOne()));
  }

  private async openOne(): Promise<string> {
    const server = createServer((socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('error', () => undefined);
    });
    this.servers.add(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    for (const server of this.servers) {
      server.close();
      await once(server, 'close');
    }
  }
}
