import type { CacheRecord } from '../entry/record.js';
import type { EventSource } from '../events/event-source.js';
import { channels, type CacheEvents } from '../events/events.js';
import type { EntityState } from '../store/entity-state.js';
import type { CallContext } from './call-context.js';

/** What is told of reads. An event that nobody listens to is not built. */
export class ReadEvents {
  constructor(private readonly events: EventSource) {}

  hit(
    state: EntityState,
    id: string,
    record: CacheRecord,
    context: CallContext | undefined,
    now: number,
  ): void {
    if (!channels.hit.hasSubscribers) return;
    this.events.publish('hit', {
      ...this.events.ofEntry(state.policy.entity, id, context),
      ageMs: now - record.loadedAt,
      staleMs: Math.max(0, now - record.softExpiry),
      savedMs: record.loadMs,
      absent: record.absent,
    });
  }

  /** `held`: what is there, and does not answer. */
  miss(
    state: EntityState,
    id: string,
    held: CacheRecord | null | undefined,
    context: CallContext | undefined,
  ): void {
    if (!channels.miss.hasSubscribers) return;
    const reason = !(held ?? state.table.get(id)) ? 'absent' : 'expired';
    const about = this.events.ofEntry(state.policy.entity, id, context);
    this.events.publish('miss', { ...about, reason });
  }

  bypass(
    { policy }: EntityState,
    reason: CacheEvents['bypass']['reason'],
    context: CallContext | undefined,
  ): void {
    if (!channels.bypass.hasSubscribers) return;
    const about = this.events.ofEntity(policy.entity, context);
    this.events.publish('bypass', { ...about, reason });
  }

  /** `revive` has made something of the value before, and throws now. */
  unrevivable({ policy }: EntityState, context: CallContext | undefined): void {
    const { entity } = policy;
    const message = `\`revive\` of '${entity}' threw for a value it had made before; the entry was dropped.`;
    this.events.fault('CACHE_CALLBACK_FAILED', entity, message, context);
  }
}
