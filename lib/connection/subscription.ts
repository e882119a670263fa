import type { RedisConnection } from './redis-connection.js';

/** A channel that is listened to, again after each loss of the connection. */
export class Subscription {
  private opened = false;
  private heard = false;

  constructor(
    private readonly connection: RedisConnection,
    readonly channel: string,
    private readonly onMessage: (message: string) => void,
    /** Messages arrive from now on; those of before are lost. */
    private readonly onListening: () => void,
  ) {}

  /** Whether a message would be heard. */
  get isListening(): boolean {
    return this.heard;
  }

  /** Again and again, by who wants to hear: the connection may have given up. */
  open(): void {
    if (this.opened) return this.connection.resume();
    this.opened = true;
    const { client } = this.connection;
    client.on('message', (channel, message) => {
      if (channel === this.channel) this.onMessage(message);
    });
    client.on('close', () => (this.heard = false));
    this.connection.onReady(() => void this.subscribe());
    // Connected again and again until it succeeds.
    this.connection.connect().catch(() => undefined);
  }

  private async subscribe(): Promise<void> {
    try {
      await this.connection.client.subscribe(this.channel);
    } catch {
      // The connection has ended, and the next one tries again; or this user may not.
      return;
    }
    this.heard = true;
    this.onListening();
  }
}
