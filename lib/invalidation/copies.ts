import type { EventSource, Trace } from '../events/event-source.js';
import type { Singleflight } from '../coordination/singleflight.js';
import type { EntityState } from '../store/entity-state.js';
import type { LogMessage, LogPosition } from '../store/invalidation-log.js';
import type { TagGenerations } from '../store/tag-generations.js';
import { familyIn, nameOfFamily, tagIn } from '../store/tag-names.js';
import type { TagTable } from '../store/tag-table.js';
import { isTag, type Change, type TagListener } from './announcements.js';

/** How often the log is asked at least. */
const POLL_MS = 1_000;
/** How often it is asked within the shortest lease. */
const POLLS_PER_LEASE = 3;

/** So long tags are remembered at least. */
const LEAST_KEPT_MS = 3_600_000;

/** What this process has of the entries of a store, beside the store. */
export class Copies implements TagListener {
  private readonly states = new Map<string, EntityState>();

  constructor(
    private readonly store: string,
    private readonly flights: Singleflight,
    private readonly events: EventSource,
    private readonly tags: TagTable,
    private readonly generations: TagGenerations,
  ) {}

  add(state: EntityState): void {
    this.states.set(state.policy.entity, state);
  }

  get size(): number {
    return this.states.size;
  }

  get pollMs(): number {
    let shortest = Infinity;
    for (const { policy } of this.states.values()) {
      shortest = Math.min(shortest, policy.copyLeaseMs);
    }
    return Math.min(POLL_MS, shortest / POLLS_PER_LEASE);
  }

  /** How long the store may keep what this process stores. */
  get keepMs(): number {
    const all = [...this.states.values()].map(({ remote }) => remote!.keepMs);
    return Math.max(LEAST_KEPT_MS, ...all);
  }

  /** Changed elsewhere, or here if `isOwn`: copies go, and what is on its way here does not become one. */
  hear(message: LogMessage, isOwn: boolean): void {
    this.generations.hear(message, message.tags);
    // This process has done it before it told the others.
    if (isOwn) return;
    for (const { entity, id } of message.entries) {
      const state = this.states.get(entity);
      if (state === undefined) continue;
      this.flights.poison(entity, id);
      state.remote!.overtake(id);
      state.table.delete(id);
    }
    this.invalidate(message.tags);
  }

  /** Tags that this process has invalidated are known to be; what came from the store meanwhile may be older. */
  told(tags: readonly string[], end: LogPosition): void {
    this.generations.told(tags, end);
    this.invalidate(tags);
  }

  /** What came from the store while it was being told may be what was invalidated. */
  notTold(tag: string): void {
    this.generations.notTold(tag);
    this.invalidate([tag]);
  }

  lost(tag: string): void {
    this.generations.lost(tag);
  }

  get families(): string[] {
    return [...this.states.keys()].map(nameOfFamily);
  }

  private invalidate(tags: readonly string[]): void {
    for (const name of tags) {
      const tag = tagIn(name);
      if (tag !== undefined) this.tags.invalidate(tag);
      const state = this.states.get(familyIn(name) ?? '');
      if (state === undefined) continue;
      this.clear(state);
      state.remote!.distrust();
    }
  }

  private clear(state: EntityState): void {
    this.flights.poison(state.policy.entity);
    state.remote!.overtakeAll();
    state.table.clear();
  }

  /** None of them is known to be current, nor is anything that is on its way here. */
  drop(why: 'at the start' | 'something was missed', end: LogPosition): void {
    this.generations.begin(end);
    for (const state of this.states.values()) this.clear(state);
    if (why === 'at the start') return;
    for (const entity of this.states.keys()) {
      this.events.fault(
        'CACHE_COPIES_DROPPED',
        entity,
        `What the store '${this.store}' said of changes was not complete: this process dropped its copies of '${entity}', and reads them again.`,
        undefined,
      );
    }
  }

  /**
   * Others could not be told what this process has invalidated together. `name`: as logs have it. `by`: the entity whose
   * method did it, told of where this process has nothing of the store.
   */
  untold(name: string, trace: Trace | undefined, by?: string): void {
    const family = familyIn(name);
    const what = family === undefined ? 'A tag was' : `All entries of '${family}' were`;
    const known = this.states.size > 0 ? this.states.keys() : by === undefined ? [] : [by];
    for (const entity of family === undefined ? known : [family]) {
      this.events.fault(
        'CACHE_INVALIDATION_PENDING',
        entity,
        `${what} invalidated, and the store '${this.store}' could not be told. It is told again until it has heard; other processes may serve old values of '${entity}' until then, at most for its ttl.`,
        trace,
      );
    }
  }

  /** The application has ended, and others do not know what it has changed. */
  leftUntold(left: readonly Change[]): void {
    const counts = new Map<string, number>();
    for (const change of left) {
      if (!isTag(change)) counts.set(change.entity, (counts.get(change.entity) ?? 0) + 1);
    }
    const single = [...counts].map(([entity, count]) => [entity, `${count} entries`] as const);
    // Entries of any of them may carry the tag.
    const together = left.some(isTag) ? [...this.states.keys()] : [];
    const all = together.map((entity) => [entity, 'A tag or all entries'] as const);
    for (const [entity, what] of [...single, ...all]) {
      this.events.lastFault(
        'CACHE_INVALIDATION_PENDING',
        entity,
        `${what} of '${entity}' were invalidated, and those who share the store '${this.store}' could not be told before the application ended: other processes may serve the old values for their ttl.`,
      );
    }
  }

  /** Nobody says whether they are current: they are not used from some moment on. */
  unheard(): void {
    this.generations.unheard();
    for (const entity of this.states.keys()) {
      this.events.fault(
        'CACHE_STORE_OUT_OF_REACH',
        entity,
        `The store '${this.store}' does not say what others change: this process uses no copies of '${entity}' until it does, and does not know what they invalidate by tag.`,
        undefined,
      );
    }
  }

  /** At `askedAt`, or later, nothing was missing. */
  renew(askedAt: number): void {
    this.generations.renew(askedAt);
    for (const state of this.states.values()) state.renewCopies(askedAt);
  }
}
