import type { Surroundings } from '../contract/boot-rules.js';
import type { AnyEntity } from '../contract/entity.js';
import { Overrides } from '../contract/overrides.js';
import type { DistributedLock } from '../coordination/distributed-lock.js';
import type { Singleflight } from '../coordination/singleflight.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { CacheConfigurationError, type Fault } from '../errors/configuration.error.js';
import { EventSource } from '../events/event-source.js';
import { channels } from '../events/events.js';
import { Invalidator } from '../invalidation/invalidator.js';
import { PendingInvalidations } from '../invalidation/pending-invalidations.js';
import { SharedStore } from '../invalidation/shared-store.js';
import { EntryLoads } from '../read/entry-loads.js';
import { FleetLoader } from '../read/fleet-loader.js';
import { Freshness } from '../read/freshness.js';
import { Keeper } from '../read/keeper.js';
import { Loader } from '../read/loader.js';
import { ReadEvents } from '../read/read-events.js';
import { Reader } from '../read/reader.js';
import { Entities } from '../store/entities.js';
import type { EntityState } from '../store/entity-state.js';
import { GuardedStore } from '../store/guarded-store.js';
import { TagTable } from '../store/tag-table.js';
import { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import { MemoryJournal } from '../write/behind/memory-journal.js';
import { makeVisible } from '../write/behind/visible.js';
import { WriteBehind } from '../write/behind/write-behind.js';
import { Writer } from '../write/writer.js';

import type { OpenStore } from './open-store.js';
import { checkStores, knownOf, type CheckedStores } from './stores.js';

/** How long a flush at the end of the application waits after a failed attempt. */
const RETRY_MS = 200;

export interface EngineParts {
  readonly namespace: string;
  readonly clock: Clock;
  readonly flights: Singleflight;
  readonly lock: DistributedLock;
  readonly surroundings: Surroundings;
  readonly warn: (message: string) => void;
  readonly overrides?: Overrides;
  /** Stores that this process shares with others, by name. */
  readonly stores?: ReadonlyMap<string, OpenStore>;
  /** What is wrong with stores that could not be opened. */
  readonly storeFaults?: readonly Fault[];
  /** Names of those that could not be opened. */
  readonly unopened?: readonly string[];
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
  private readonly pending: PendingInvalidations;
  private readonly stores: ReadonlyMap<string, OpenStore>;
  private readonly storeFaults: readonly Fault[];
  private readonly shared = new Map<string, SharedStore>();
  private readonly behind = new Map<EntityState, WriteBehind>();
  private readonly checks: (() => readonly Fault[])[] = [];
  private readonly warn: (message: string) => void;
  private readonly refusals = new Set<string>();
  private checked = false;
  closed = false;

  constructor(parts: EngineParts) {
    const { namespace, clock, flights, warn, overrides = new Overrides(), unopened = [] } = parts;
    this.warn = warn;
    this.stores = parts.stores ?? new Map<string, OpenStore>();
    this.storeFaults = parts.storeFaults ?? [];
    const surroundings = {
      ...parts.surroundings,
      stores: knownOf({ stores: this.stores, unopened }),
    };
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
    const keeper = new Keeper(clock, this.tags, this.events);
    const opened = new Map<OpenStore, SharedStore>();
    const around = {
      flights,
      clock,
      events: this.events,
      background: this.background,
      tags: this.tags,
    };
    for (const [name, open] of this.stores) {
      const { store, deadlineMs } = open;
      const guarded = () => new GuardedStore(store, deadlineMs, clock, this.background);
      const shared = opened.get(open) ?? new SharedStore(name, guarded(), around);
      opened.set(open, shared);
      this.shared.set(name, shared);
    }
    const complete = (state: EntityState) => {
      this.shared
        .get(state.policy.store ?? '')
        ?.keep(state, () => this.unreadable(state.policy.entity));
      this.writeBehind(state, parts, keeper);
    };
    this.entities = new Entities(surroundings, onEvict, timing, overrides, complete);
    this.pending = new PendingInvalidations(clock, this.background, this.events);
    this.invalidator = new Invalidator(flights, this.tags, this.events, this.pending, this.shared);
    const loader = new Loader(clock, this.background, keeper, this.events);
    const { background, events, invalidator } = this;
    const freshness = new Freshness(clock, this.tags);
    const fleet = new FleetLoader(clock, background, loader, invalidator, events);
    const loads = new EntryLoads(flights, loader, fleet, background, events);
    this.reader = new Reader(clock, freshness, loads, loader, fleet, new ReadEvents(events));
    this.writer = new Writer(flights, keeper, loader, this.invalidator);
  }

  /** Told, and absorbed: it is loaded again. */
  unreadable(entity: string): void {
    const message = `An entry of '${entity}' in its store could not be read, and was loaded again. Fix: see whether anything else writes to its namespace.`;
    this.events.fault('CACHE_STORED_UNREADABLE', entity, message, undefined);
  }

  /** Calls go on without it. Told once each: it repeats with every call. */
  refused(store: string, { message }: Error): void {
    if (this.closed) return;
    const refusal = `[CACHE_STORE_OUT_OF_REACH] The store '${store}' does not do what it is asked: ${message}`;
    if (this.refusals.has(refusal)) return;
    this.refusals.add(refusal);
    this.warn(refusal);
  }

  /** What keeps the stores from doing what is asked of them, and which of them are not there yet. */
  async checkStores(): Promise<CheckedStores> {
    const onRefused = (store: string, error: Error) => this.refused(store, error);
    const checked = await checkStores(this.stores, this.background, onRefused);
    return { ...checked, faults: [...this.storeFaults, ...checked.faults] };
  }

  /** Asked at the start, when the contracts are known: what is wrong with a part that is no part of `CacheModule`. */
  checkAtStart(check: () => readonly Fault[]): void {
    if (!this.checked) return void this.checks.push(check);
    // Of a module that is loaded later.
    const faults = check();
    if (faults.length > 0) throw new CacheConfigurationError(faults, 'at the first use');
  }

  checkParts(): Fault[] {
    this.checked = true;
    return this.checks.flatMap((check) => check());
  }

  private writeBehind(state: EntityState, parts: EngineParts, keeper: Keeper): void {
    const { writeBehind } = state.policy;
    if (writeBehind === undefined) return;
    const { namespace, clock, lock } = parts;
    const { maxBatch, maxPending, shards } = writeBehind;
    const { background, events } = this;
    const behind = new WriteBehind(state, {
      namespace,
      clock,
      background,
      lock,
      events,
      show: (id, change, trace) => makeVisible(keeper, state, id, change, trace),
      forget: (id) => void this.invalidator.invalidate(state, id),
      journal: (shard) => new MemoryJournal(shard, maxBatch, Math.ceil(maxPending / shards)),
    });
    this.behind.set(state, behind);
  }

  /** @throws {CacheUsageError} CACHE_ARGUMENT_INVALID if its mutations are not journalled */
  behindOf(entity: AnyEntity): WriteBehind {
    const behind = this.behind.get(this.entities.stateOf(entity));
    if (behind !== undefined) return behind;
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `'${entity.name}' has no journal: its contract does not say that it is written behind`,
      `write \`write: writeBehind({ … })\` in the contract of '${entity.name}'.`,
    );
  }

  /** The states of the entities that are written behind. */
  get writtenBehind(): readonly EntityState[] {
    return [...this.behind.keys()];
  }

  /** Writes all that is accepted until now, as far as that is possible in so much time; and from now on at once. */
  async drainJournals(patienceMs: number): Promise<void> {
    for (const behind of this.behind.values()) behind.hurry();
    let late = false;
    const waiting = [...this.behind.values()].filter(({ status }) => status.pending > 0);
    if (waiting.length === 0) return;
    const pause = () => new Promise<void>((go) => this.background.after(RETRY_MS, go));
    const flush = async (behind: WriteBehind) => {
      while (!late) {
        try {
          return await behind.flush();
        } catch {
          // Told as an event by who tried.
          await pause();
        }
      }
    };
    await new Promise<void>((resolve) => {
      const stop = this.background.after(patienceMs, () => {
        late = true;
        resolve();
      });
      void Promise.all(waiting.map(flush)).then(() => {
        stop();
        resolve();
      });
    });
  }

  /** Calls pass through from now on; resolves when the loads under way have ended and no timer is left. */
  async close(): Promise<void> {
    this.closed = true;
    for (const behind of this.behind.values()) behind.close();
    // Poisoned, so that a load which ends during the drain does not fill a table again.
    const states = this.entities.close();
    for (const { policy } of states) this.flights.poison(policy.entity);
    // Nobody may wait for what is on its way, as in a short process.
    await Promise.all(states.map(async ({ remote }) => remote?.told()));
    const shared = [...new Set(this.shared.values())];
    for (const store of shared) store.admitAll();
    const left = await this.pending.end();
    await Promise.all(shared.map((store) => store.end()));
    for (const [entity, count] of left) {
      const message = `${count} entries of '${entity}' were invalidated, and their store could not be told before the application ended: other processes may serve the old values for their ttl.`;
      this.events.lastFault('CACHE_INVALIDATION_PENDING', entity, message);
    }
    await this.background.close();
    for (const behind of this.behind.values()) behind.reportLost();
    await Promise.all(shared.map((store) => store.close()));
  }
}
