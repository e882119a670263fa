import type { Policy } from '../contract/policy.js';
import { CoolDown } from '../coordination/cool-down.js';
import type { Flight } from '../coordination/singleflight.js';
import type { OriginCap } from '../coordination/origin-cap.js';
import { WriteTickets } from '../coordination/write-tickets.js';
import type { Comparable } from '../entry/version.js';
import { LocalTier } from './local-tier.js';
import type { RemoteTier } from './remote-tier.js';
import { VersionFloors } from './version-floors.js';

/** A load under way. */
export interface Loading {
  readonly startedAt: number;
  readonly flight: Flight;
  readonly visit?: Visit;
}

/** A load, seen from the journal of its entity. */
export interface Visit {
  /** Runs the load when nothing is being written under its key; or answers in its place, if the source has no say. */
  load(run: () => unknown): unknown;
  /** Whether it waits for a flush. */
  readonly waits: boolean;
  /** What came of the load is stored, or dropped. */
  end(): void;
}

/** What an entity has accepted and not yet written: what the source says is not all. */
export interface PendingWrites {
  /** `inner`: the load is part of another one. */
  visit(id: string, inner: boolean): Visit;
  /** The value under a key, given what the source says; nothing if the two do not go together. */
  over(id: string, said: unknown): { readonly value: unknown } | undefined;
  /** Whether the key is about to be written, and new loads of it wait until it is. */
  closes(id: string): boolean;
  /** Whether something waits under the key; or, asked for that, something that does not depend on the source. */
  holds(id: string, what: 'anything' | 'a value'): boolean;
}

/** Why calls go past the cache, for all callers. */
export type Detour = 'strategy' | 'closed';

/**
 * What a call of one entity looks at: one object, in which everything that can disable a hit is already folded
 * together. Whoever changes how an entity behaves writes here; the read path only reads.
 */
export class EntityState {
  readonly table: LocalTier;
  /** The loads under way: when each began, and whether its value may still be used. */
  readonly loading = new Map<string, Loading>();
  /** What has been loaded here, and is on its way to where others see it. Never rejects. */
  readonly storing = new Map<string, Promise<unknown>>();
  readonly coolDown = new CoolDown();
  readonly tickets = new WriteTickets();
  readonly floors = new VersionFloors();
  /** Until when, on the monotonic clock, the table may answer. */
  usableUntil: number;
  /** How long past its soft expiry a value may be served while it is loaded again. */
  readonly staleForMs: number;
  /** The same after loading failed. */
  readonly staleOnErrorMs: number;
  /** The most a caller can accept past a soft expiry without the contract being broken. */
  readonly mostPatientMs: number;
  /** Beta of XFetch; 0 is off. */
  readonly earlyRefresh: number;
  detour: Detour | undefined;
  /** The entries that this process shares with others; the table is a copy of some of them then, or empty. */
  remote: RemoteTier | undefined;
  /** Write-behind only. */
  pending: PendingWrites | undefined;

  constructor(
    readonly policy: Policy,
    onEvict: (id: string) => void,
    /** Shared with the other entities of its origin. */
    readonly cap?: OriginCap,
  ) {
    const { read } = policy;
    const bypass = read.kind === 'bypass';
    this.detour = bypass ? 'strategy' : undefined;
    this.usableUntil = bypass || this.copiesAreLeased ? -Infinity : Infinity;
    this.staleForMs = bypass ? 0 : read.staleForMs;
    this.staleOnErrorMs = bypass ? 0 : read.staleForMs + read.staleIfErrorMs;
    this.mostPatientMs =
      bypass || policy.prefer === 'error'
        ? 0
        : Math.max(0, policy.maxStalenessMs.normal - read.ttlMs);
    this.earlyRefresh = bypass ? 0 : read.earlyRefresh;
    this.table = bypass
      ? new LocalTier(1, 0, onEvict)
      : new LocalTier(read.maxEntries, read.maxBytes, onEvict);
  }

  /** Whether a value of this version may be stored: older than what is there, or than what must come, it may not. */
  admits(id: string, version: Comparable | undefined): boolean {
    const held = this.table.get(id)?.extras?.version;
    const isOlder = version !== undefined && held !== undefined && version < held;
    return !isOlder && this.floors.admits(id, version);
  }

  /** Whether what is in the table may be used only while it is known that nothing was missed. */
  private get copiesAreLeased(): boolean {
    return this.policy.keptIn === 'store and process' && this.policy.copyLeaseMs < Infinity;
  }

  /** At `askedAt`, or later, nothing that has changed elsewhere was missed here. */
  renewCopies(askedAt: number): void {
    if (this.detour !== undefined || !this.copiesAreLeased) return;
    this.usableUntil = Math.max(this.usableUntil, askedAt + this.policy.copyLeaseMs);
  }

  /** From now on every call runs its method. */
  close(): void {
    this.detour = 'closed';
    this.usableUntil = -Infinity;
    this.table.clear();
  }
}
