import type { Surroundings } from '../contract/boot-rules.js';
import { Overrides } from '../contract/overrides.js';
import type { Singleflight } from '../coordination/singleflight.js';
import { EventSource } from '../events/event-source.js';
import { channels } from '../events/events.js';
import { Invalidator } from '../invalidation/invalidator.js';
import { Keeper } from '../read/keeper.js';
import { Loader } from '../read/loader.js';
import { Reader } from '../read/reader.js';
import { Entities } from '../store/entities.js';
import { TagTable } from '../store/tag-table.js';
import { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import { Writer } from '../write/writer.js';

export interface EngineParts {
  readonly namespace: string;
  readonly clock: Clock;
  readonly flights: Singleflight;
  readonly surroundings: Surroundings;
  readonly warn: (message: string) => void;
  readonly overrides?: Overrides;
}

/** The parts of one application's cache, put together. Nothing in it is shared with another application. */
export class Engine {
  readonly entities: Entities;
  readonly tags = new TagTable();
  readonly reader: Reader;
  readonly writer: Writer;
  readonly invalidator: Invalidator;
  readonly events: EventSource;
  readonly background: Background;
  readonly surroundings: Surroundings;
  private readonly flights: Singleflight;
  closed = false;

  constructor(parts: EngineParts) {
    const { namespace, clock, flights, surroundings, warn, overrides = new Overrides() } = parts;
    this.surroundings = surroundings;
    this.flights = flights;
    this.events = new EventSource(namespace, warn);
    this.background = new Background(clock);
    const onEvict = (entity: string, id: string) => {
      if (channels.evict.hasSubscribers)
        this.events.publish('evict', this.events.ofEntry(entity, id, undefined));
    };
    const timing = {
      monotonic: () => clock.monotonic(),
      after: (ms: number, task: () => void) => this.background.after(ms, task),
    };
    this.entities = new Entities(surroundings, onEvict, timing, overrides);
    this.invalidator = new Invalidator(flights, this.tags, this.events);
    const keeper = new Keeper(clock, this.tags, this.events);
    const loader = new Loader(clock, this.background, keeper, this.events);
    this.reader = new Reader(clock, flights, this.tags, loader, this.background, this.events);
    this.writer = new Writer(flights, keeper, loader, this.invalidator);
  }

  /** Calls pass through from now on; resolves when the loads under way have ended and no timer is left. */
  async close(): Promise<void> {
    this.closed = true;
    // Poisoned, so that a load which ends during the drain does not fill a table again.
    for (const { policy } of this.entities.close()) this.flights.poison(policy.entity);
    await this.background.close();
  }
}
