import type { RedisConnection } from '../../connection/redis-connection.js';
import { Subscription } from '../../connection/subscription.js';
import { newToken } from './lock-commands.js';

/** Where this process is told that what it waits for is free. Opened when it first waits; until then the timers do. */
export class Wakes {
  private readonly subscription: Subscription;

  constructor(
    connection: RedisConnection,
    prefix: string,
    /** One of those it waits for is free. */
    onWake: (name: string) => void,
    /** It can be told from now on; what was to be told before is lost. */
    onListening: () => void,
  ) {
    const channel = `${prefix}:wake:${newToken()}`;
    this.subscription = new Subscription(connection, channel, onWake, onListening);
  }

  /** Its channel while it would be heard there; without it nobody is to be put in line. */
  get listeningOn(): string | undefined {
    return this.subscription.isListening ? this.subscription.channel : undefined;
  }

  open(): void {
    this.subscription.open();
  }
}
