import type { Fault } from '../errors/configuration.error.js';
import { formatDuration } from '../time/duration.js';
import type { Policy } from './policy.js';
import { worstStaleness } from './worst-case.js';

/** What the rules have to know about the process. */
export interface Surroundings {
  /** This process is one of several workers of one application (node:cluster, PM2 in cluster mode). */
  readonly worker: boolean;
}

/** What keeps a policy from keeping its contract. */
export function bootFaults(policy: Policy, at: string, { worker }: Surroundings): Fault[] {
  const faults: Fault[] = [];
  const exceeded = stalenessFault(policy, at);
  if (exceeded !== undefined) faults.push(exceeded);
  if (worker && diverges(policy) && policy.prefer === 'error') {
    faults.push({
      code: 'CACHE_WORKERS_DIVERGE',
      problem: `entity '${policy.entity}' prefers an error to a stale answer, but this process is one of several workers, each with a cache of its own.`,
      at,
      why: 'an invalidation in one worker does not reach the others, which serve the old value until its ttl.',
      fix: "run one process, or write `read: bypass()`, or admit it with `prefer: 'origin'`.",
    });
  }
  return faults;
}

/** Invalidations that other workers would have to hear of. */
export function diverges(policy: Policy): boolean {
  return policy.read.kind === 'read-through' && policy.write === 'invalidate';
}

function stalenessFault(policy: Policy, at: string): Fault | undefined {
  const bound = policy.maxStalenessMs;
  const worst = worstStaleness(policy).reduce((a, b) => (b.ms > a.ms ? b : a));
  if (worst.ms <= bound || policy.read.kind === 'bypass') return undefined;
  const { ttlMs, loadTimeoutMs } = policy.read;
  const lower = [
    ...(ttlMs > bound ? [`\`ttl\` (${formatDuration(ttlMs)})`] : []),
    ...(loadTimeoutMs > bound ? [`\`loadTimeout\` (${formatDuration(loadTimeoutMs)})`] : []),
  ].join(' and ');
  return {
    code: 'CACHE_STALENESS_EXCEEDED',
    problem: `entity '${policy.entity}' promises maxStaleness ${formatDuration(bound)}, its policy allows ${formatDuration(worst.ms)} when the source is ${worst.mode}.`,
    at,
    why: `${worst.because}.`,
    fix:
      bound === 0
        ? 'write `read: bypass()`, or admit staleness with a longer `maxStaleness`.'
        : `lower ${lower} to '${formatDuration(bound)}' or less, or raise \`maxStaleness\` to '${formatDuration(worst.ms)}'.`,
  };
}
