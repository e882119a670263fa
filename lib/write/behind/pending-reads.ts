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
    const { gate, journal } = this.shardOf(id);
    let entered = false;
    let ended = false;
    const begin = (run: () => unknown): unknown => {
      // Its time may have run out while it waited.
      if (ended) return gate.leave(id);
      entered = true;
      const pending = journal.pendingOf(id);
      return isValue(pending) ? this.shown(pending, undefined)?.value : run();
    };
    return {
      load: (run) => {
        // What was set or removed does not depend on the source, nor on what becomes of the flush.
        if (isValue(journal.pendingOf(id))) {
          gate.add(id);
          return begin(run);
        }
        const wait = gate.enter(id, inner);
        return wait === undefined ? begin(run) : wait.then(() => begin(run));
      },
      end: () => {
        if (entered) gate.leave(id);
        ended = true;
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
