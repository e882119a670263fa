import type { Comparable } from '../entry/version.js';
import type { EntityState } from '../store/entity-state.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';

const RETRY_MS = 500;
/** So many at a time are sent again. */
const BATCH = 100;
/** More than these are not remembered one by one. */
const MOST = 10_000;

interface Pending {
  readonly state: EntityState;
  readonly id: string;
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
  private timer: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly background: Background,
  ) {}

  get size(): number {
    return this.pending.size;
  }

  add(state: EntityState, id: string, atLeast: Comparable | undefined): void {
    const { remote } = state;
    if (remote === undefined) return;
    if (this.pending.size >= MOST) {
      remote.shutOut();
      return;
    }
    // Without a version removes more than with one: it stands for both.
    const known = this.pending.get(nameOf(state, id));
    const below = known !== undefined && known.atLeast === undefined ? undefined : atLeast;
    const until = this.clock.monotonic() + remote.keepMs;
    this.pending.set(nameOf(state, id), { state, id, atLeast: below, until });
    remote.quarantined.add(id);
    this.timer ??= this.after();
  }

  private after(): () => void {
    return this.background.after(RETRY_MS, () => {
      this.timer = undefined;
      this.background.track(this.sendAgain());
    });
  }

  private async sendAgain(): Promise<void> {
    const now = this.clock.monotonic();
    const some = [...this.pending.values()].slice(0, BATCH);
    await Promise.all(some.map((pending) => this.settle(pending, now)));
    if (this.pending.size > 0) this.timer ??= this.after();
  }

  private async settle(pending: Pending, now: number): Promise<void> {
    const { state, id, atLeast, until } = pending;
    try {
      if (now < until) await state.remote!.invalidate(id, atLeast);
    } catch {
      return;
    }
    // Asked for once more meanwhile: that one may not have arrived.
    if (this.pending.get(nameOf(state, id)) !== pending) return;
    this.pending.delete(nameOf(state, id));
    state.remote!.quarantined.delete(id);
  }
}

function nameOf({ policy }: EntityState, id: string): string {
  return `${policy.entity}/${id}`;
}
