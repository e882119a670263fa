import type { Fault } from '../errors/configuration.error.js';
import { formatDuration } from '../time/duration.js';
import type { Policy, ReadThroughPolicy } from './policy.js';
import { worstStaleness, type Exposure } from './worst-case.js';

/** What the rules have to know about the process. */
export interface Surroundings {
  /** This process is one of several workers of one application (node:cluster, PM2 in cluster mode). */
  readonly worker: boolean;
}

/** What keeps a policy from keeping its contract. */
export function bootFaults(policy: Policy, at: string, { worker }: Surroundings): Fault[] {
  return [
    ...stalenessFaults(policy, at),
    ...preferenceFaults(policy, at),
    ...(worker ? workerFaults(policy, at) : []),
  ];
}

/** Invalidations that other workers would have to hear of. */
export function diverges(policy: Policy): boolean {
  return policy.read.kind !== 'bypass' && policy.write !== 'external';
}

/** For each bound, the worst that breaks it. */
function stalenessFaults(policy: Policy, at: string): Fault[] {
  return (['normal', 'incident'] as const).flatMap((bound) => {
    const allowed = policy.maxStalenessMs[bound];
    const worst = worstStaleness(policy)
      .filter((exposure) => exposure.bound === bound && exposure.ms > allowed)
      .reduce<Exposure | undefined>((a, b) => (a !== undefined && a.ms > b.ms ? a : b), undefined);
    return worst === undefined ? [] : [exceeded(policy, worst, allowed, at)];
  });
}

function exceeded({ entity, read }: Policy, worst: Exposure, allowed: number, at: string): Fault {
  const [limit, most] = [formatDuration(allowed), formatDuration(worst.ms)];
  const name = worst.bound === 'normal' ? 'maxStaleness' : 'maxStaleness.incident';
  const when = worst.mode === 'loading fails' ? worst.mode : `the source is ${worst.mode}`;
  return {
    code: 'CACHE_STALENESS_EXCEEDED',
    problem: `entity '${entity}' promises ${name} ${limit}, its policy allows ${most} when ${when}.`,
    at,
    why: `${worst.because}.`,
    fix:
      allowed === 0
        ? 'write `read: bypass()`, or admit staleness with a longer `maxStaleness`.'
        : `lower ${whatToLower(read as ReadThroughPolicy, worst, allowed)}, or raise \`${name}\` to '${most}'.`,
  };
}

/** The last option alone, where that suffices; else all that add up. */
function whatToLower(read: ReadThroughPolicy, { bound }: Exposure, allowed: number): string {
  const shown = ({ name, ms }: { name: string; ms: number }) =>
    `\`${name}\` (${formatDuration(ms)})`;
  const parts = [
    { name: 'ttl', ms: read.ttlMs },
    { name: 'staleFor', ms: read.staleForMs },
    { name: 'staleIfError', ms: bound === 'incident' ? read.staleIfErrorMs : 0 },
  ].filter(({ ms }) => ms > 0);
  const over = parts.reduce((sum, { ms }) => sum + ms, 0) - allowed;
  const last = parts.at(-1)!;
  const lower: string[] = [];
  if (over > 0 && last.ms > over) {
    lower.push(`${shown(last)} to '${formatDuration(last.ms - over)}' or less`);
  } else if (over > 0) {
    const all = parts.length > 1 ? ' in all' : '';
    lower.push(`${parts.map(shown).join(' and ')} to '${formatDuration(allowed)}' or less${all}`);
  }
  if (read.loadTimeoutMs > allowed) {
    const timeout = { name: 'loadTimeout', ms: read.loadTimeoutMs };
    lower.push(`${shown(timeout)} to '${formatDuration(allowed)}' or less`);
  }
  return lower.join(', and ');
}

function preferenceFaults({ entity, prefer, read }: Policy, at: string): Fault[] {
  const staleMs = read.kind === 'bypass' ? 0 : read.staleForMs + read.staleIfErrorMs;
  const contradicted = (problem: string, fix: string): Fault[] => [
    { code: 'CACHE_PREFERENCE_CONTRADICTED', problem, at, fix },
  ];
  if (prefer === 'error' && staleMs > 0) {
    return contradicted(
      `entity '${entity}' prefers an error to a stale answer, and serves stale answers for ${formatDuration(staleMs)}.`,
      "remove `staleFor` and `staleIfError`, or write `prefer: 'stale'`.",
    );
  }
  if (prefer === 'stale' && staleMs === 0) {
    return contradicted(
      `entity '${entity}' prefers a stale answer, and has none to serve.`,
      'add `staleIfError` to its read strategy, use staleWhileRevalidate(), or leave `prefer` out.',
    );
  }
  return [];
}

function workerFaults(policy: Policy, at: string): Fault[] {
  if (!diverges(policy) || policy.prefer !== 'error') return [];
  return [
    {
      code: 'CACHE_WORKERS_DIVERGE',
      problem: `entity '${policy.entity}' prefers an error to a stale answer, but this process is one of several workers, each with a cache of its own.`,
      at,
      why: 'an invalidation in one worker does not reach the others, which serve the old value until its ttl.',
      fix: "run one process, or write `read: bypass()`, or admit it with `prefer: 'origin'`.",
    },
  ];
}
