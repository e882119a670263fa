import type { Fault } from '../errors/configuration.error.js';
import { formatDuration } from '../time/duration.js';
import type { KnownStore } from './kept-in.js';
import type { Policy } from './policy.js';
import { whatToLower } from './what-to-lower.js';
import { isOvertaken, worstStaleness, type Exposure } from './worst-case.js';

/** What the rules have to know about the process. */
export interface Surroundings {
  /** This process is one of several workers of one application (node:cluster, PM2 in cluster mode). */
  readonly worker: boolean;
  /** The stores that there are, by name. */
  readonly stores?: ReadonlyMap<string, KnownStore>;
}

/** What keeps a policy from keeping its contract. */
export function bootFaults(policy: Policy, at: string, { worker }: Surroundings): Fault[] {
  return [
    ...stalenessFaults(policy, at),
    ...preferenceFaults(policy, at),
    ...overtakenFaults(policy, at),
    ...(worker ? workerFaults(policy, at) : []),
  ];
}

/** Invalidations that other workers would have to hear of. */
export function diverges(policy: Policy): boolean {
  const { read, write, keptIn } = policy;
  return read.kind !== 'bypass' && write !== 'external' && keptIn === 'process';
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
  'writer dies': 'who has changed the source dies before it says so',
  'store fails over':
    'a primary of the store acknowledges an invalidation after another one took over',
  'nothing is heard': 'the source is changed elsewhere and nothing is heard of it',
  'store out of reach': 'the store is out of reach of who changes the source',
  'loading fails': 'loading fails',
};

function exceeded(policy: Policy, worst: Exposure, allowed: number, at: string): Fault {
  const { entity } = policy;
  const [limit, most] = [formatDuration(allowed), formatDuration(worst.ms)];
  const name = worst.bound === 'normal' ? 'maxStaleness' : 'maxStaleness.incident';
  const when = WHEN[worst.mode];
  const lower = whatToLower(policy, worst.bound, allowed);
  return {
    code: 'CACHE_STALENESS_EXCEEDED',
    problem: `entity '${entity}' promises ${name} ${limit}, its policy allows ${most} when ${when}.`,
    at,
    why: `${worst.because}.`,
    fix:
      lower === undefined
        ? `write ${without(policy)}, or admit staleness: raise \`${name}\` to '${most}'.`
        : `lower ${lower} or less, or raise \`${name}\` to '${most}'.`,
  };
}

/** The strategies with which nothing is ever stale. */
function without({ read, writeBehind }: Policy): string {
  return [
    ...(read.kind === 'bypass' ? [] : ['`read: bypass()`']),
    ...(writeBehind === undefined ? [] : ['`write: writeThrough()` or `invalidate()`']),
  ].join(' and ');
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

/** Who may be overtaken cannot show that what it has is fresh. */
function overtakenFaults(policy: Policy, at: string): Fault[] {
  if (!isOvertaken(policy) || policy.prefer !== 'error') return [];
  return [
    {
      code: 'CACHE_STORE_UNFIT',
      problem: `entity '${policy.entity}' prefers an error to a stale answer, which the store '${policy.store}' cannot keep out.`,
      at,
      why: 'what another process has loaded before an invalidation may be stored there after it.',
      fix: "keep it in a redisStore(), or write `read: bypass()`, or admit it with `prefer: 'origin'`.",
    },
  ];
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
