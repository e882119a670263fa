import type { PendingWrites, Visit } from '../../store/entity-state.js';
import type { Gate } from './gate.js';
import type { Journal } from './journal.js';
import { shown, valueOf, type Pending } from './pending.js';

interface Shard {
  readonly journal: Journal;
  readonly gate: Gate;
}

/** What readers see of mutations that are not written yet. */
export class PendingReads implements PendingWrites {
  constructor(
    private readonly shardOf: (id: string) => Shard,
    private readonly revive: ((plain: unknown) => unknown) | undefined,
  ) {}

  visit(id: string, inner: boolean): Visit {
    const { gate } = this.shardOf(id);
    let state: 'outside' | 'waiting' | 'inside' | 'ended' = 'outside';
    let turnBack = () => {};
    // What was set or removed meanwhile does not depend on the source: `over` will say it.
    const ask = (run: () => unknown) => (this.holds(id, 'a value') ? null : run());
    return {
      get waits() {
        return state === 'waiting';
      },
      load: (run) => {
        let go!: (value: unknown) => void;
        const waited = new Promise<unknown>((resolve) => (go = resolve)).then(() => ask(run));
        const enter = () => {
          state = 'inside';
          go(undefined);
        };
        if (gate.enter(id, inner, enter)) {
          state = 'inside';
          return ask(run);
        }
        state = 'waiting';
        turnBack = () => gate.turnBack(enter);
        return waited;
      },
      end: () => {
        if (state === 'inside') gate.leave(id);
        // Its time has run out while it waited.
        else turnBack();
        state = 'ended';
      },
    };
  }

  over(id: string, said: unknown): { value: unknown } | undefined {
    const pending = this.shardOf(id).journal.pendingOf(id);
    return pending === undefined ? { value: said } : this.shown(pending, said);
  }

  closes(id: string): boolean {
    return this.shardOf(id).gate.closes(id);
  }

  holds(id: string, what: 'anything' | 'a value'): boolean {
    const pending = this.shardOf(id).journal.pendingOf(id);
    return what === 'anything' ? pending !== undefined : isValue(pending);
  }

  private shown(pending: Pending, said: unknown): { value: unknown } | undefined {
    const value = shown(pending, said);
    if (value === undefined) return undefined;
    return { value: pending.op === 'set' ? valueOf(value, this.revive) : value };
  }
}

/** Whether it says what there is, whatever was there before. */
function isValue(pending: Pending | undefined): pending is Exclude<Pending, { op: 'add' }> {
  return pending !== undefined && pending.op !== 'add';
}
