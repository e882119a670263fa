import type { Fault } from '../errors/configuration.error.js';
import { formatDuration } from '../time/duration.js';
import type { Policy } from './policy.js';
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

const WHEN: { readonly [mode in Exposure['mode']]: string } = {
  'changed here': 'the source is changed here',
  'changed elsewhere': 'the source is changed elsewhere',
  'accepted elsewhere': 'a mutation is accepted by another process',
  'loading fails': 'loading fails',
};

function exceeded(policy: Policy, worst: Exposure, allowed: number, at: string): Fault {
  const { entity, writeBehind } = policy;
  const [limit, most] = [formatDuration(allowed), formatDuration(worst.ms)];
  const name = worst.bound === 'normal' ? 'maxStaleness' : 'maxStaleness.incident';
  const when = WHEN[worst.mode];
  return {
    code: 'CACHE_STALENESS_EXCEEDED',
    problem: `entity '${entity}' promises ${name} ${limit}, its policy allows ${most} when ${when}.`,
    at,
    why: `${worst.because}.`,
    fix:
      allowed === 0 && writeBehind === undefined
        ? 'write `read: bypass()`, or admit staleness with a longer `maxStaleness`.'
        : `lower ${whatToLower(policy, worst, allowed)}, or raise \`${name}\` to '${most}'.`,
  };
}

/** The last option alone, where that suffices; else all that add up. */
function whatToLower(
  { read, writeBehind }: Policy,
  { bound, mode }: Exposure,
  allowed: number,
): string {
  const shown = ({ name, ms }: { name: string; ms: number }) =>
    `\`${name}\` (${formatDuration(ms)})`;
  const loaded = read.kind === 'bypass' ? undefined : read;
  const waits = mode === 'accepted elsewhere' || loaded === undefined ? writeBehind : undefined;
  const parts = [
    { name: 'flushEvery', ms: waits?.flushEveryMs ?? 0 },
    { name: 'flushTimeout', ms: waits?.flushTimeoutMs ?? 0 },
    { name: 'ttl', ms: loaded?.ttlMs ?? 0 },
    { name: 'staleFor', ms: loaded?.staleForMs ?? 0 },
    { name: 'staleIfError', ms: bound === 'incident' ? (loaded?.staleIfErrorMs ?? 0) : 0 },
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
  if (loaded !== undefined && loaded.loadTimeoutMs > allowed) {
    const timeout = { name: 'loadTimeout', ms: loaded.loadTimeoutMs };
    lower.push(`${shown(timeout)} to '${formatDuration(allowed)}' or less`);
  }
  return lower.join(', and ');
}

function preferenceFaults({ entity, prefer, read, writeBehind }: Policy, at: string): Fault[] {
  const staleMs = read.kind === 'bypass' ? 0 : read.staleForMs + read.staleIfErrorMs;
  const contradicted = (problem: string, fix: string): Fault[] => [
    { code: 'CACHE_PREFERENCE_CONTRADICTED', problem, at, fix },
  ];
  if (prefer === 'error' && writeBehind !== undefined) {
    return contradicted(
      `entity '${entity}' prefers an error to a wrong answer, and answers with mutations that a crash would lose.`,
      "write `write: writeThrough()` or `invalidate()`: write-behind is not for critical data; or `prefer: 'origin'`.",
    );
  }
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
