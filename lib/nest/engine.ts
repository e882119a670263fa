import type { Surroundings } from '../contract/boot-rules.js';
import type { Singleflight } from '../coordination/singleflight.js';
import { EventSource } from '../events/event-source.js';
import { channels } from '../events/events.js';
import { Invalidator } from '../invalidation/invalidator.js';
import { Loader } from '../read/loader.js';
import { Reader } from '../read/reader.js';
import { Entities } from '../store/entities.js';
import { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';

export interface EngineParts {
  readonly namespace: string;
  readonly clock: Clock;
  readonly flights: Singleflight;
  readonly surroundings: Surroundings;
  readonly warn: (message: string) => void;
}

/** The parts of one application's cache, put together. Nothing in it is shared with another application. */
export class Engine {
  readonly entities: Entities;
  readonly reader: Reader;
  readonly invalidator: Invalidator;
  readonly events: EventSource;
  readonly background: Background;
  readonly surroundings: Surroundings;
  private readonly flights: Singleflight;
  closed = false;

  constructor({ namespace, clock, flights, surroundings, warn }: EngineParts) {
    this.surroundings = surroundings;
    this.flights = flights;
    this.events = new EventSource(namespace, warn);
    this.background = new Background(clock);
    this.entities = new Entities(surroundings, (entity, id) => {
      if (channels.evict.hasSubscribers)
        this.events.publish('evict', this.events.ofEntry(entity, id, undefined));
    });
    this.invalidator = new Invalidator(flights, this.events);
    const loader = new Loader(clock, this.background, this.events);
    this.reader = new Reader(clock, flights, loader, this.background, this.events);
  }

  /** Calls pass through from now on; resolves when the loads under way have ended and no timer is left. */
  async close(): Promise<void> {
    this.closed = true;
    // Poisoned, so that a load which ends during the drain does not fill a table again.
    for (const { policy } of this.entities.close()) this.flights.poison(policy.entity);
    await this.background.close();
  }
}
