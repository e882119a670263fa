/** What a process has read and written of rows that others read and write too. Times are of one clock for all. */
export interface History {
  readonly reads: readonly Read[];
  readonly writes: readonly Write[];
}

export interface Read {
  readonly key: string;
  /** When it was called. */
  readonly at: number;
  readonly version: number;
  /** It was answered by a load of its process that was under way when it was called. */
  readonly joined: boolean;
}

export interface Write {
  readonly key: string;
  /** When its invalidation was acknowledged; or when that was given up for the moment. */
  readonly at: number;
  /** The others need not know of it yet. */
  readonly pending?: boolean;
  readonly version: number;
}

/** Microseconds, the same in all processes of this machine. */
export const micros = () => Number(process.hrtime.bigint() / 1_000n);

/**
 * The reads that are older than an invalidation that was complete when they were called. Who joins a load may be
 * answered as of its beginning, though not from before an invalidation of his own process. `isLost`: nobody else need
 * know of it. `within`: so many microseconds others may take to learn of it.
 */
export function staleReads(
  histories: readonly History[],
  isLost: (write: Write) => boolean = () => false,
  within = 0,
): Read[] {
  const all = histories
    .flatMap(({ writes }) => writes)
    .map((write) => ({ ...write, at: write.at + within }));
  const everybody = newest(all.filter((write) => write.pending !== true && !isLost(write)));
  return histories.flatMap(({ reads, writes }) => {
    const own = newest(writes);
    return reads.filter((read) => read.version < (read.joined ? own : everybody)(read));
  });
}

/** The newest version that every reader had to know of at a time. */
function newest(writes: readonly Write[]): (read: Pick<Read, 'key' | 'at'>) => number {
  const ofKeys = new Map<string, Write[]>();
  for (const write of [...writes].sort((one, other) => one.at - other.at)) {
    const earlier = ofKeys.get(write.key) ?? [];
    const version = Math.max(write.version, earlier.at(-1)?.version ?? 0);
    ofKeys.set(write.key, [...earlier, { ...write, version }]);
  }
  return ({ key, at }) => (ofKeys.get(key) ?? []).findLast((write) => write.at < at)?.version ?? 0;
}
