import type { Comparable } from '../entry/version.js';
import type { EventSource } from '../events/event-source.js';
import type { EntityState } from '../store/entity-state.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import { UntoldError } from './announcements.js';
import { Backlog } from './backlog.js';

const RETRY_MS = 500;
/** So many at a time are sent again. */
const BATCH = 100;
/** More than these are not remembered one by one, but as all entries of their entity. */
const MOST = 10_000;

interface Pending {
  readonly state: EntityState;
  readonly id: string;
  /** Whether one without a version was asked for. */
  readonly all: boolean;
  /** The highest version that was asked for. */
  readonly atLeast: Comparable | undefined;
  /** What was there when it was asked for is gone by itself then. */
  readonly until: number;
}

/**
 * Invalidations that the store has not acknowledged. They are sent again until it has; this process does not ask the
 * store for these entries meanwhile.
 */
export class PendingInvalidations {
  private readonly pending = new Map<string, Pending>();
  private readonly backlog: Backlog;
  private timer: (() => void) | undefined;
  private isSending = false;
  private ended = false;

  constructor(
    private readonly clock: Clock,
    private readonly background: Background,
    events: EventSource,
  ) {
    this.backlog = new Backlog(clock, events);
  }

  get size(): number {
    return this.pending.size;
  }

  /** Whether it will be sent again. */
  add(state: EntityState, id: string, atLeast: Comparable | undefined): boolean {
    const { remote } = state;
    // After the end of the application nobody sends anything again.
    if (remote === undefined || this.ended) return false;
    const name = nameOf(state, id);
    const known = this.pending.get(name);
    if (known === undefined && this.pending.size >= MOST) {
      const isTold = remote.invalidateAll();
      remote.quarantined.delete(id);
      return isTold;
    }
    if (known === undefined) this.backlog.add(state.policy.entity);
    this.pending.set(name, {
      state,
      id,
      // One without a version removes what is there, and does not say what must come: neither stands for the other.
      all: atLeast === undefined || known?.all === true,
      atLeast: higher(known?.atLeast, atLeast),
      until: this.clock.monotonic() + remote.keepMs,
    });
    remote.quarantined.add(id);
    if (!this.isSending) this.timer ??= this.after();
    return true;
  }

  private after(): () => void {
    return this.background.after(RETRY_MS, () => {
      this.timer = undefined;
      this.background.track(this.sendAgain());
    });
  }

  /** Begins when all that was sent has been answered: one that fails late must not bring back what another has settled. */
  private async sendAgain(): Promise<void> {
    this.isSending = true;
    // The store is back: nobody waits for the others longer than that takes.
    while (this.pending.size > 0 && (await this.sendSome()));
    this.isSending = false;
    if (this.pending.size > 0) this.timer ??= this.after();
  }

  /** Whether all of them have been settled. */
  private async sendSome(): Promise<boolean> {
    const now = this.clock.monotonic();
    const some = [...this.pending.values()].slice(0, BATCH);
    await Promise.all(some.map((pending) => this.settle(pending, now)));
    return some.every((pending) => this.pending.get(nameOf(pending.state, pending.id)) !== pending);
  }

  /** The last attempt. How many entries of which entities the store has not heard of, and will not. */
  async end(): Promise<ReadonlyMap<string, number>> {
    this.ended = true;
    const now = this.clock.monotonic();
    await Promise.all([...this.pending.values()].map((pending) => this.settle(pending, now)));
    const left = new Map<string, number>();
    for (const { state } of this.pending.values()) {
      const { entity } = state.policy;
      left.set(entity, (left.get(entity) ?? 0) + 1);
    }
    return left;
  }

  private async settle(pending: Pending, now: number): Promise<void> {
    const { state, id, all, atLeast, until } = pending;
    const name = nameOf(state, id);
    const isLast = () => this.pending.get(name) === pending;
    try {
      if (now < until && atLeast !== undefined) await this.tell(state, id, atLeast);
      if (now < until && all) await this.tell(state, id);
    } catch {
      // To the end of the line: those of another store, which may be back, have their turn.
      if (isLast()) {
        this.pending.delete(name);
        this.pending.set(name, pending);
      }
      return;
    }
    this.forget(pending, name, now < until ? 'acknowledged' : 'lapsed');
  }

  /** The others are told again by who tells them. */
  private async tell({ remote }: EntityState, id: string, atLeast?: Comparable): Promise<void> {
    await remote!.invalidate(id, atLeast).catch((error: unknown) => {
      if (!(error instanceof UntoldError)) throw error;
    });
  }

  private forget(pending: Pending, name: string, became: 'acknowledged' | 'lapsed'): void {
    // Asked for once more meanwhile: that one may not have arrived.
    if (this.pending.get(name) !== pending) return;
    this.pending.delete(name);
    pending.state.remote!.quarantined.delete(pending.id);
    this.backlog.remove(pending.state.policy.entity, became);
  }
}

function higher(a: Comparable | undefined, b: Comparable | undefined): Comparable | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a > b ? a : b;
}

function nameOf({ policy }: EntityState, id: string): string {
  return `${policy.entity}/${id}`;
}
