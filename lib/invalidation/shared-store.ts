import { randomUUID } from 'node:crypto';
import type { Singleflight } from '../coordination/singleflight.js';
import type { EventSource, Trace } from '../events/event-source.js';
import type { EntryName } from '../store/entry-name.js';
import type { EntityState } from '../store/entity-state.js';
import type { GuardedStore } from '../store/guarded-store.js';
import { RemoteTier } from '../store/remote-tier.js';
import { TagGenerations } from '../store/tag-generations.js';
import { nameOfFamily } from '../store/tag-names.js';
import type { TagTable } from '../store/tag-table.js';
import { TaggedEntries } from '../store/tagged-entries.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import { Announcements } from './announcements.js';
import { Bus } from './bus.js';
import { Copies } from './copies.js';

/** What all stores of an application have in common. */
export interface Surroundings {
  readonly flights: Singleflight;
  readonly clock: Clock;
  readonly events: EventSource;
  readonly background: Background;
  readonly tags: TagTable;
}

/** What processes tell each other of a store. */
interface Told {
  readonly generations: TagGenerations;
  readonly copies: Copies;
  readonly announcements: Announcements;
  readonly bus: Bus;
}

/** A store that this process shares with others, and what they tell each other of it. */
export class SharedStore {
  private readonly told: Told | undefined;

  constructor(
    name: string,
    private readonly store: GuardedStore,
    private readonly around: Surroundings,
  ) {
    const { log } = store;
    if (log === undefined) return;
    const { clock, background, flights, events, tags } = around;
    const writer = randomUUID();
    const keepMs = (): number => copies.keepMs;
    const generations = new TagGenerations(log, clock, keepMs);
    const copies: Copies = new Copies(name, flights, events, tags, generations);
    const announcements = new Announcements(log, writer, background, copies, keepMs);
    const bus = new Bus(log, writer, copies, clock, background);
    this.told = { generations, copies, announcements, bus };
  }

  /** The entries of an entity are kept here from now on. */
  keep(state: EntityState, onUnreadable: () => void): void {
    const { told, around } = this;
    const { policy } = state;
    // Also where this process has no copies: one of another release may have.
    const announce = told && ((entry: EntryName) => told.announcements.announce(entry));
    const invalidateAll = () => told!.announcements.announceLater(nameOfFamily(policy.entity));
    const tags = policy.isTold
      ? new TaggedEntries(told!.generations, around.tags, policy, invalidateAll)
      : undefined;
    state.remote = new RemoteTier(this.store, around.clock, policy, announce, onUnreadable, tags);
    if (!policy.isTold) return;
    told!.copies.add(state);
    // Nobody listens where nothing is to be heard.
    if (told!.copies.size === 1) told!.bus.open();
  }

  /** Tells others that what carries a tag is not current. `name`: as logs have it. False if they are to be told later. */
  async invalidateTag(name: string, trace: Trace | undefined, by?: string): Promise<boolean> {
    try {
      await this.told?.announcements.announce(name);
      return true;
    } catch {
      this.told!.copies.untold(name, trace, by);
      return false;
    }
  }

  /** What follows are last attempts. */
  admitAll(): void {
    this.store.admitAll();
  }

  /** Nothing is asked by itself from now on. What others do not know yet they are told once more. */
  async end(): Promise<void> {
    this.told?.bus.close();
    const left = (await this.told?.announcements.end()) ?? [];
    if (left.length > 0) this.told!.copies.leftUntold(left);
  }

  close(): Promise<void> {
    return this.store.close();
  }
}
