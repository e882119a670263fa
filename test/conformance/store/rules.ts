import type { Comparable } from '../../../lib/entry/version.js';
import type {
  FillOutcome,
  Lease,
  LeaseAnswer,
  StoredEntry,
} from '../../../lib/store/cache-store.js';
import type { StepThat } from './steps.js';
import type { Answer } from './subject.js';

interface Stored {
  readonly entry: StoredEntry;
  /** In seconds of the test, as all times here. */
  readonly softAt: number;
  readonly until: number;
}

interface Waiter {
  readonly seen: { readonly done: boolean };
  readonly leave: () => void;
}

interface Holder {
  /** Nothing in a cool-down. */
  readonly lease?: Lease;
  readonly until: number;
  readonly waiters: Waiter[];
}

/** What one entry has to answer, by what it has answered so far. */
export class Rules {
  now = 0;
  private stored: Stored | undefined;
  private floors: { readonly atLeast: Comparable; readonly until: number }[] = [];
  private holder: Holder | undefined;
  /** Who waited for something that a command has ended. */
  private readonly freed: Waiter[] = [];

  advance(seconds: number): void {
    this.now += seconds;
    if (this.stored !== undefined && this.now >= this.stored.until) this.stored = undefined;
    // As a store may let the higher of two floors count for the time of the later one.
    if (this.now >= this.floorsUntil) this.floors = [];
    if (this.holder !== undefined && this.now >= this.holder.until) {
      for (const { leave } of this.holder.waiters) leave();
      this.holder = undefined;
    }
  }

  read(got: StoredEntry | undefined): void {
    expect(got).toEqual(this.stored?.entry);
  }

  lease(step: StepThat<'lease'>, newerThan: number, answer: LeaseAnswer, second: number): void {
    const within = (seconds: number) =>
      this.stored !== undefined &&
      this.stored.entry.loadedAt > newerThan &&
      this.now < this.stored.softAt + seconds
        ? this.stored.entry
        : undefined;
    const stale = within(step.staleFor);
    const { holder } = this;
    const lasts = (forMs: number) =>
      expect(Math.abs(forMs / second - (holder!.until - this.now))).toBeLessThan(1);

    if (within(0) !== undefined) {
      expect(answer).toEqual({ outcome: 'fresh', stored: within(0) });
    } else if (holder?.lease !== undefined) {
      expect(answer).toMatchObject({ outcome: 'held', stale });
      lasts((answer as Answer<'held'>).forMs);
    } else if (holder !== undefined && within(step.staleOnError) !== undefined) {
      expect(answer).toMatchObject({ outcome: 'cooling', stale: within(step.staleOnError) });
      lasts((answer as Answer<'cooling'>).forMs);
    } else {
      expect(answer).toMatchObject({ outcome: 'granted', stale });
      this.hold({ lease: (answer as Answer<'granted'>).lease, until: this.now + step.lease });
    }
  }

  wait(waiter: Waiter): void {
    this.holder!.waiters.push(waiter);
  }

  claim(lease: Lease, seconds: number): void {
    this.hold({ lease, until: this.now + seconds });
  }

  fill(lease: Lease, entry: StoredEntry, step: StepThat<'fill'>, outcome: FillOutcome): void {
    if (!this.isHeldBy(lease)) return expect(outcome).toBe('voided');
    const { version } = entry;
    const isBelow = (other: Comparable | undefined) =>
      version !== undefined && other !== undefined && version < other;
    const isOld = isBelow(this.stored?.entry.version);
    const floors = this.floors.filter(({ atLeast }) => isBelow(atLeast));
    if (isOld || floors.some(({ until }) => this.now < until))
      expect(outcome).toBe('older version');
    else if (floors.length === 0) expect(outcome).toBe('stored');
    else expect(outcome).not.toBe('voided');
    if (outcome === 'stored') {
      this.stored = { entry, softAt: this.now + step.freshFor, until: this.now + step.keep };
    }
    this.hold(undefined);
  }

  fail(lease: Lease, coolDown: number): void {
    if (!this.isHeldBy(lease)) return;
    this.hold(coolDown > 0 ? { until: this.now + coolDown } : undefined);
  }

  invalidate(atLeast: Comparable | undefined, keep: number): void {
    this.hold(undefined);
    const version = this.stored?.entry.version;
    if (atLeast === undefined || version === undefined || version < atLeast)
      this.stored = undefined;
    if (atLeast !== undefined) this.floors.push({ atLeast, until: this.now + keep });
  }

  /** Whoever waits is woken exactly if what he waits for has ended. */
  checkWaiters(): void {
    for (const { seen } of this.freed) expect(seen.done).toBe(true);
    for (const { seen } of this.holder?.waiters ?? []) expect(seen.done).toBe(false);
  }

  end(): void {
    for (const { leave } of this.holder?.waiters ?? []) leave();
  }

  private get floorsUntil(): number {
    return Math.max(...this.floors.map(({ until }) => until));
  }

  private isHeldBy({ token }: Lease): boolean {
    return this.holder?.lease?.token === token;
  }

  private hold(next: Omit<Holder, 'waiters'> | undefined): void {
    this.freed.push(...(this.holder?.waiters ?? []));
    this.holder = next && { ...next, waiters: [] };
  }
}
