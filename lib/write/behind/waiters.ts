import type { Attempt } from './batch-writer.js';
import type { Segment } from './journal.js';

/** Somebody who waits until something is written. */
interface Waiter {
  readonly waitsFor: (written: Segment) => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Who waits for one mutation, which is given up if an attempt fails. */
export interface Awaiting extends Waiter {
  readonly number: number;
  /** Of that mutation, as soon as it has one. */
  segment?: Segment;
  readonly inside: Attempt['inside'];
}

/** Those who wait for what one shard writes. */
export class Waiters {
  private readonly all = new Set<Waiter>();
  private readonly awaiting = new Map<number, Awaiting>();

  get size(): number {
    return this.all.size;
  }

  /** Resolves when everything up to this number is written, or with the first failure. */
  until(lastSeq: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.all.add({ waitsFor: (written) => written.lastSeq >= lastSeq, resolve, reject });
    });
  }

  /** `waiting` rejects when the mutation of this number is given up. */
  forOne(number: number, inside: Attempt['inside']): { waiter: Awaiting; waiting: Promise<void> } {
    let waiter!: Awaiting;
    const waiting = new Promise<void>((resolve, reject) => {
      const waitsFor = ({ awaited }: Segment) => awaited === number;
      waiter = { waitsFor, number, inside, resolve, reject };
    });
    this.all.add(waiter);
    this.awaiting.set(number, waiter);
    return { waiter, waiting };
  }

  /** Who waits for the one mutation of a segment. */
  of({ awaited }: Segment): Awaiting | undefined {
    return awaited === undefined ? undefined : this.awaiting.get(awaited);
  }

  written(segment: Segment): void {
    for (const waiter of this.all) if (waiter.waitsFor(segment)) this.settle(waiter).resolve();
  }

  /** Nothing is left to be written. */
  allWritten(): void {
    for (const waiter of this.all) if (!('number' in waiter)) this.settle(waiter).resolve();
  }

  fail(waiter: Waiter, error: unknown): void {
    this.settle(waiter).reject(error);
  }

  /** Whom the failure of an attempt concerns: not those whose mutation has no place in the journal yet. */
  concerned(): (Waiter & { segment?: Segment })[] {
    return [...this.all].filter(
      (waiter) => !('number' in waiter) || (waiter as Awaiting).segment !== undefined,
    );
  }

  failAll(error: unknown): void {
    for (const waiter of this.all) this.fail(waiter, error);
  }

  private settle(waiter: Waiter): Waiter {
    this.all.delete(waiter);
    if ('number' in waiter) this.awaiting.delete((waiter as Awaiting).number);
    return waiter;
  }
}
