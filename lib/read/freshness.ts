import type { CacheRecord } from '../entry/record.js';
import type { EntityState } from '../store/entity-state.js';
import type { TagTable } from '../store/tag-table.js';
import type { Clock } from '../time/clock.js';
import { accepted, type CallContext } from './call-context.js';

/**
 * Whether a record answers a call.
 *
 * One rule covers everything stale: a record may be served for so many milliseconds past its soft expiry, a number
 * that the reader brings along (its entity's, or that of its controller), and another number after loading failed.
 */
export class Freshness {
  constructor(
    private readonly clock: Clock,
    private readonly tags: TagTable,
  ) {}

  /** The record of the table that answers a call at once, fresh or as stale as the call accepts. */
  usable(
    state: EntityState,
    id: string,
    context: CallContext | undefined,
    now: number,
  ): CacheRecord | undefined {
    const record = state.table.get(id);
    if (record === undefined || now >= state.usableUntil) return undefined;
    return this.serves(state, record, context, now) ? record : undefined;
  }

  serves(
    state: EntityState,
    record: CacheRecord,
    context: CallContext | undefined,
    now: number,
  ): boolean {
    const staleForMs = accepted(context, state) ?? state.staleForMs;
    if (now < record.softExpiry && staleForMs >= 0 && record.extras === undefined) return true;
    return !record.isDoubtful && this.servable(record, staleForMs, now);
  }

  /** `held`: what a store has, where the entry is kept there. */
  usableAfterFailure(
    state: EntityState,
    id: string,
    context: CallContext | undefined,
    now: number,
    held: CacheRecord | null | undefined,
  ): CacheRecord | undefined {
    const record = held ?? state.table.get(id);
    if (record === undefined) return undefined;
    // Nobody knows whether such a copy is current: it is for who would have something stale rather than an error.
    const isUnheard = !held && now >= state.usableUntil;
    const isUnknown = isUnheard || record.isDoubtful;
    if (isUnknown && state.staleOnErrorMs <= state.staleForMs) return undefined;
    // What the store says is not there is not there.
    if (isUnheard && held === undefined) return undefined;
    // Who accepts something stale in ordinary times accepts in trouble what everybody does.
    const asked = accepted(context, state) ?? state.staleOnErrorMs;
    const staleForMs = asked > 0 ? Math.max(asked, state.staleOnErrorMs) : asked;
    // However new it is, it may be old, as what is stale; and what is absent there may have been created since.
    if (record.isDoubtful && (staleForMs <= 0 || record.absent)) return undefined;
    return this.servable(record, staleForMs, now) ? record : undefined;
  }

  /** Whether it is to be loaded again behind the caller, though it answers him. */
  isToBeRefreshed(state: EntityState, record: CacheRecord, now: number): boolean {
    return now >= record.softExpiry || (state.earlyRefresh > 0 && this.isDrawn(state, record, now));
  }

  /** No tag of it was invalidated since its load began. */
  isCurrent({ extras }: CacheRecord): boolean {
    return extras === undefined || this.tags.isCurrent(extras.tags, extras.taggedAt);
  }

  /** Absence is never served stale: what was created since should be seen. */
  private servable(record: CacheRecord, staleForMs: number, now: number): boolean {
    if (!this.isCurrent(record)) return false;
    return now < record.softExpiry + (record.absent ? Math.min(0, staleForMs) : staleForMs);
  }

  /**
   * XFetch: the nearer the expiry and the longer the load, the likelier. A reader drawn loads before anybody has to
   * wait for it (Vattani, Chierichetti, Lowenstein, VLDB 2015).
   */
  private isDrawn({ earlyRefresh }: EntityState, record: CacheRecord, now: number): boolean {
    const ahead = -Math.log(1 - this.clock.random()) * record.loadMs * earlyRefresh;
    return now + ahead >= record.softExpiry;
  }
}
