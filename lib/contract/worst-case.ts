import { formatDuration } from '../time/duration.js';
import type { Policy } from './policy.js';

/** How stale an answer can be in one situation, measured at the call. */
export interface Exposure {
  readonly mode:
    /** A method of this process with `@Invalidates` has changed the source, and has settled. */
    | 'changed here'
    /** Anybody else has changed the source: another process, a migration, a person. */
    | 'changed elsewhere';
  readonly ms: number;
  readonly because: string;
}

/** How stale answers under a policy can be, one row for each situation that exists. Pure. */
export function worstStaleness({ read, write }: Policy): readonly Exposure[] {
  if (read.kind === 'bypass') {
    const because = 'every call asks the source';
    return [
      { mode: 'changed here', ms: 0, because },
      { mode: 'changed elsewhere', ms: 0, because },
    ];
  }
  // A caller may join a load that began up to loadTimeout before: what it gets can be that old.
  const byTime =
    read.ttlMs >= read.loadTimeoutMs
      ? {
          ms: read.ttlMs,
          because: `a value is served until its ttl of ${formatDuration(read.ttlMs)}`,
        }
      : {
          ms: read.loadTimeoutMs,
          because: `a caller may join a load that began up to its loadTimeout of ${formatDuration(read.loadTimeoutMs)} ago`,
        };
  return [
    write === 'invalidate'
      ? { mode: 'changed here', ms: 0, because: 'the entry is gone when the write has settled' }
      : { mode: 'changed here', ...byTime },
    { mode: 'changed elsewhere', ...byTime },
  ];
}
