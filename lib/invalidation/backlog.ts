import type { EventSource } from '../events/event-source.js';
import { channels } from '../events/events.js';
import type { Clock } from '../time/clock.js';

/** From when something of an entity is pending until nothing is. */
interface Backlogged {
  readonly since: number;
  pending: number;
  acknowledged: number;
  lapsed: number;
}

/** How much of each entity is pending, and since when; tells when that has come to its end. */
export class Backlog {
  private readonly entities = new Map<string, Backlogged>();

  constructor(
    private readonly clock: Clock,
    private readonly events: EventSource,
  ) {}

  add(entity: string): void {
    const known = this.entities.get(entity);
    if (known !== undefined) known.pending++;
    else {
      const since = this.clock.monotonic();
      this.entities.set(entity, { since, pending: 1, acknowledged: 0, lapsed: 0 });
    }
  }

  remove(entity: string, became: 'acknowledged' | 'lapsed'): void {
    const backlogged = this.entities.get(entity)!;
    backlogged[became]++;
    backlogged.pending--;
    if (backlogged.pending > 0) return;
    this.entities.delete(entity);
    if (!channels.acknowledge.hasSubscribers) return;
    const { since, acknowledged, lapsed } = backlogged;
    this.events.publish('acknowledge', {
      ...this.events.ofEntity(entity, undefined),
      entries: acknowledged,
      lapsed,
      pendingMs: this.clock.monotonic() - since,
    });
  }
}
