import type { Policy } from '../contract/policy.js';
import { LocalTier } from './local-tier.js';

/** Why calls go past the cache, for all callers. */
export type Detour = 'strategy' | 'closed';

/**
 * What a call of one entity looks at: one object, in which everything that can disable a hit is already folded
 * together. Whoever changes how an entity behaves writes here; the read path only reads.
 */
export class EntityState {
  readonly table: LocalTier;
  /** When the loads under way began. */
  readonly loading = new Map<string, number>();
  /** Until when, on the monotonic clock, the table may answer. */
  usableUntil: number;
  detour: Detour | undefined;

  constructor(
    readonly policy: Policy,
    onEvict: (id: string) => void,
  ) {
    const { read } = policy;
    this.detour = read.kind === 'bypass' ? 'strategy' : undefined;
    this.usableUntil = this.detour === undefined ? Infinity : -Infinity;
    this.table =
      read.kind === 'bypass'
        ? new LocalTier(1, 0, onEvict)
        : new LocalTier(read.maxEntries, read.maxBytes, onEvict);
  }

  /** From now on every call runs its method. */
  close(): void {
    this.detour = 'closed';
    this.usableUntil = -Infinity;
    this.table.clear();
  }
}
