import { randomUUID } from 'node:crypto';
import type { Singleflight } from '../coordination/singleflight.js';
import type { EventSource } from '../events/event-source.js';
import type { EntryName } from '../store/entry-name.js';
import type { EntityState } from '../store/entity-state.js';
import type { GuardedStore } from '../store/guarded-store.js';
import { RemoteTier } from '../store/remote-tier.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import { Announcements } from './announcements.js';
import { Bus } from './bus.js';
import { Copies } from './copies.js';

/** A store that this process shares with others, and what they tell each other of it. */
export class SharedStore {
  private readonly announcements: Announcements | undefined;
  private readonly copies: Copies;
  private readonly bus: Bus | undefined;

  constructor(
    name: string,
    private readonly store: GuardedStore,
    flights: Singleflight,
    private readonly clock: Clock,
    { events, background }: { readonly events: EventSource; readonly background: Background },
  ) {
    const { log } = store;
    this.copies = new Copies(name, flights, events);
    if (log === undefined) return;
    const writer = randomUUID();
    this.announcements = new Announcements(log, writer, background);
    this.bus = new Bus(log, writer, this.copies, clock, background);
  }

  /** The entries of an entity are kept here from now on. */
  keep(state: EntityState, onUnreadable: () => void): void {
    const { announcements } = this;
    // Also where this process has no copies: one of another release may have.
    const announce = announcements && ((entry: EntryName) => announcements.announce(entry));
    state.remote = new RemoteTier(this.store, this.clock, state.policy, announce, onUnreadable);
    if (state.policy.keptIn !== 'store and process') return;
    this.copies.add(state);
    // Nobody listens where nothing is to be heard.
    if (this.copies.size === 1) this.bus?.open();
  }

  /** Nothing is asked by itself from now on. What others do not know yet they are told once more. */
  async end(): Promise<void> {
    this.bus?.close();
    await this.announcements?.end();
  }

  close(): Promise<void> {
    return this.store.close();
  }
}
