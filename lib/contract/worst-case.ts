import { formatDuration } from '../time/duration.js';
import { TOLD_WITHIN_MS } from './kept-in.js';
import type { Policy, ReadThroughPolicy, WriteBehindPolicy } from './policy.js';

/** How stale an answer can be in one situation, measured at the call. */
export interface Exposure {
  readonly mode:
    /** A method of this process with a write decorator has changed the source, and has settled. */
    | 'changed here'
    /**
     * Somebody else has changed the source. Where entries are kept in each process that is anybody: another process, a
     * migration, a person. Where processes share them, it is a method of this application in another process, which says
     * so; unless nobody does.
     */
    | 'changed elsewhere'
    /** Another process has accepted a mutation, and has not written it yet. */
    | 'accepted elsewhere'
    /** Another process has changed the source and has said so, and nothing of what it says arrives here. */
    | 'nothing is heard'
    /** Another process has changed the source, and has died before it could say so. */
    | 'writer dies'
    /** Another process has changed the source and has said so to a primary that another one had replaced before. */
    | 'store fails over'
    /** Another process has changed the source, and cannot say so to the store that both share. */
    | 'store out of reach'
    /** Somebody else has changed the source, and loading fails. */
    | 'loading fails';
  /** Which of the two bounds of `maxStaleness` it is held against. */
  readonly bound: 'normal' | 'incident';
  readonly ms: number;
  readonly because: string;
}

/** How stale answers under a policy can be, one row for each situation that exists. Pure. */
export function worstStaleness(policy: Policy): readonly Exposure[] {
  const { read, write, writeBehind, keptIn, copyLeaseMs } = policy;
  if (read.kind === 'bypass') {
    const none = { bound: 'normal', ms: 0, because: 'every call asks the source' } as const;
    return [
      { mode: 'changed here', ...(writeBehind ? waiting(writeBehind, 0) : none) },
      { mode: 'changed elsewhere', ...none },
      ...acceptedElsewhere(writeBehind, 0),
    ];
  }
  const byTime = { bound: 'normal', ...servedFor(read) } as const;
  const told = {
    bound: 'normal',
    ms: 0,
    because: 'the old value is gone when the write has settled',
  } as const;
  const overtaken = isOvertaken(policy) && {
    ...byTime,
    because: `${OVERTAKES}; ${byTime.because}`,
  };
  const isTold = keptIn === 'store and process' && copyLeaseMs < Infinity;
  const elsewhere =
    write === 'external' ? byTime : isTold ? HEARD : keptIn === 'store' ? joined(read) : byTime;
  const rows: Exposure[] = [
    { mode: 'changed here', ...(overtaken || (write === 'external' ? byTime : told)) },
    { mode: 'changed elsewhere', ...(overtaken || elsewhere) },
    ...acceptedElsewhere(writeBehind, read.loadTimeoutMs, byTime),
  ];
  if (isTold && write !== 'external') {
    const late = { ms: copyLeaseMs, because: leaseOfCopy(copyLeaseMs) };
    const waited = joined(read);
    rows.push({
      mode: 'nothing is heard',
      ...(waited.ms > late.ms ? waited : late),
      bound: 'incident',
    });
  }
  if (keptIn !== 'process' && write !== 'external') {
    const lost = `${LOST}; ${byTime.because}`;
    rows.push(
      { ...byTime, mode: 'writer dies', bound: 'incident' },
      { ...byTime, mode: 'store fails over', bound: 'incident', because: lost },
      { ...byTime, mode: 'store out of reach', bound: 'incident' },
    );
  }
  if (read.staleIfErrorMs > 0) {
    rows.push({
      mode: 'loading fails',
      bound: 'incident',
      ms: Math.max(byTime.ms, read.ttlMs + read.staleForMs + read.staleIfErrorMs),
      because: `${byTime.because}, and for its staleIfError of ${formatDuration(read.staleIfErrorMs)} more`,
    });
  }
  return rows;
}

const HEARD = {
  bound: 'normal',
  ms: TOLD_WITHIN_MS,
  because: `a change elsewhere is heard of within ${formatDuration(TOLD_WITHIN_MS)}, though its message be lost`,
} as const;

function leaseOfCopy(ms: number): string {
  return `a copy in the process is used for up to ${formatDuration(ms)} after it was last known that no change was missed`;
}

/** Whether what is told to its store may be followed by something older, from another process. */
export function isOvertaken({ leases, write }: Policy): boolean {
  return leases === 'lock' && write !== 'external';
}

/** What was loaded before another one took over is loaded again in any case. */
const LOST =
  'a primary that was cut off acknowledges an invalidation which the one that has taken over never hears of';

const OVERTAKES = 'another process may store what it has loaded before, after it was invalidated';

interface Served {
  readonly ms: number;
  readonly because: string;
}

/** Two delays that add up: until it is written, and until the old value expires. */
function acceptedElsewhere(
  behind: WriteBehindPolicy | undefined,
  loadTimeoutMs: number,
  served?: Served,
): Exposure[] {
  return behind === undefined
    ? []
    : [{ mode: 'accepted elsewhere', ...waiting(behind, loadTimeoutMs, served) }];
}

/**
 * It waits for others to come, or for the batch before its own, and is written then. A batch lets the loads of its keys
 * end before it begins.
 *
 * While flushing fails nobody but the process that accepted it sees the change: no number bounds that. Nor does it
 * where more is accepted than is written.
 */
function waiting(
  { flushEveryMs, flushTimeoutMs }: WriteBehindPolicy,
  loadTimeoutMs: number,
  served: Served = { ms: 0, because: '' },
) {
  const batchMs = loadTimeoutMs + flushTimeoutMs;
  const loads =
    loadTimeoutMs === 0 ? '' : `, after loads of up to ${formatDuration(loadTimeoutMs)}`;
  const then = served.ms === 0 ? '' : `; and then ${served.because}`;
  return {
    bound: 'normal',
    ms: Math.max(flushEveryMs, batchMs) + batchMs + served.ms,
    because: `a mutation waits for its flushEvery of ${formatDuration(flushEveryMs)} or for the batch before its own, and is written with its own: each takes up to its flushTimeout of ${formatDuration(flushTimeoutMs)}${loads}${then}`,
  } as const;
}

/** What a caller gets that joins a load of this process can be as old as that load. */
function joined({ loadTimeoutMs }: Pick<ReadThroughPolicy, 'loadTimeoutMs'>) {
  return {
    bound: 'normal',
    ms: loadTimeoutMs,
    because: `a caller may join a load that began up to its loadTimeout of ${formatDuration(loadTimeoutMs)} ago`,
  } as const;
}

function servedFor({ ttlMs, staleForMs, loadTimeoutMs }: ReadThroughPolicy) {
  const ms = ttlMs + staleForMs;
  if (loadTimeoutMs > ms) return joined({ loadTimeoutMs });
  const ttl = `a value is served until its ttl of ${formatDuration(ttlMs)}`;
  return {
    ms,
    because:
      staleForMs > 0 ? `${ttl} and for its staleFor of ${formatDuration(staleForMs)} more` : ttl,
  };
}
