import type { Seen } from './messages.js';

export interface Stale {
  /** Older than a write that had been acknowledged for longer than the contract allows when the read began. */
  beyondBound: number;
  /** Older than a write that had been acknowledged when the read began. */
  atAll: number;
}

interface Known {
  readonly at: number;
  readonly version: number;
}

/**
 * Counts the answers that are older than what had been acknowledged. All processes of a machine have one monotonic
 * clock, and each notes when a call began and when a write had settled.
 */
export class Staleness {
  readonly stale: Stale = { beyondBound: 0, atAll: 0 };
  /** By row: the newest version that was acknowledged until some time, in the order of these times. */
  private readonly acknowledged = new Map<number, Known[]>();
  /** A write that was acknowledged before them may be told of with the next ones. */
  private unjudged: Seen['reads'][] = [];

  constructor(private readonly boundMicros: number) {}

  /** What all processes have seen since they were asked before. */
  learn(seen: readonly Seen[]): void {
    for (const { writes } of seen) for (const write of writes) this.acknowledge(write);
    const judged = this.unjudged;
    this.unjudged = seen.map(({ reads }) => reads);
    for (const reads of judged) this.judge(reads);
  }

  private acknowledge([row, version, at]: Seen['writes'][number]): void {
    const known = [...(this.acknowledged.get(row) ?? []), { at, version }];
    known.sort((one, other) => one.at - other.at);
    let newest = 0;
    const sorted = known.map((write) => {
      newest = Math.max(newest, write.version);
      return { at: write.at, version: newest };
    });
    this.acknowledged.set(row, sorted);
  }

  private judge(reads: Seen['reads']): void {
    for (const [row, version, at] of reads) {
      if (version < this.newestAt(row, at)) this.stale.atAll++;
      if (version < this.newestAt(row, at - this.boundMicros)) this.stale.beyondBound++;
    }
  }

  private newestAt(row: number, time: number): number {
    return this.acknowledged.get(row)?.findLast(({ at }) => at < time)?.version ?? 0;
  }
}
