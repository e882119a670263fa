import type { RedisConnection } from '../../connection/redis-connection.js';
import { newToken } from './lock-commands.js';

/** Where this process is told that what it waits for is free. Opened when it first waits. */
export class Wakes {
  private readonly channel: string;
  private opened = false;
  private heard = false;

  constructor(
    private readonly connection: RedisConnection,
    prefix: string,
    /** One of those it waits for is free. */
    private readonly onWake: (name: string) => void,
    /** It can be told from now on; what was to be told before is lost. */
    private readonly onListening: () => void,
  ) {
    this.channel = `${prefix}:wake:${newToken()}`;
  }

  /** Its channel while it would be heard there; without it nobody is to be put in line. */
  get listeningOn(): string | undefined {
    return this.heard ? this.channel : undefined;
  }

  open(): void {
    if (this.opened) return this.connection.resume();
    this.opened = true;
    const { client } = this.connection;
    client.on('message', (channel, name) => {
      if (channel === this.channel) this.onWake(name);
    });
    client.on('close', () => (this.heard = false));
    this.connection.onReady(() => void this.subscribe());
    // Connected again and again until it succeeds; until then the timers do.
    this.connection.connect().catch(() => undefined);
  }

  private async subscribe(): Promise<void> {
    try {
      await this.connection.client.subscribe(this.channel);
    } catch {
      // The connection has ended, and the next one tries again; or this user may not, and the timers do.
      return;
    }
    this.heard = true;
    this.onListening();
  }
}
