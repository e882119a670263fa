import type { Fault } from '../errors/configuration.error.js';
import { show } from '../errors/wording.js';
import { formatDuration, parseDuration, type Duration } from '../time/duration.js';
import type { Policy } from './policy.js';
import type { Bypass } from './strategies.js';

export interface Fresh {
  readonly kind: 'fresh';
}
export interface AcceptStale {
  readonly kind: 'accept-stale';
  readonly staleFor: Duration;
}
/** What calls on behalf of a request accept. It never changes what is stored, nor for how long. */
export type Acceptance = Bypass | Fresh | AcceptStale;

/** Only values within their ttl, in trouble too; else the source is asked. */
export function fresh(): Fresh {
  return { kind: 'fresh' };
}

/** Values up to this long past their ttl, at once, while they are loaded again behind the caller. */
export function acceptStale(staleFor: Duration): AcceptStale {
  return { kind: 'accept-stale', staleFor };
}

/** Nothing that was cached. */
export const NOTHING_CACHED = -Infinity;

/** How long past its soft expiry a value may be; nothing if it is no acceptance. */
export function patienceOf(acceptance: Acceptance): number | undefined {
  switch ((acceptance as Acceptance | undefined)?.kind) {
    case 'bypass':
      return NOTHING_CACHED;
    case 'fresh':
      return 0;
    case 'accept-stale':
      return parseDuration((acceptance as AcceptStale).staleFor);
    default:
      return undefined;
  }
}

/** What is wrong with an acceptance, whatever entity it is for. */
export function acceptanceFaults(acceptance: unknown, at: string): Fault[] {
  if (patienceOf(acceptance as Acceptance) !== undefined) return [];
  return [
    {
      code: 'CACHE_OPTION_INVALID',
      problem: `\`read\` of @OverrideStrategy must be bypass(), fresh() or acceptStale('10m'), got ${show(acceptance)}.`,
      at,
      fix: 'call one of them; a controller says what it accepts, the contract says what is stored.',
    },
  ];
}

/** Whoever accepts more than the contract allows would get it. */
export function patienceFaults(
  { entity, read, prefer, maxStalenessMs }: Policy,
  patienceMs: number,
  at: string,
): Fault[] {
  if (read.kind === 'bypass' || patienceMs <= 0) return [];
  if (prefer === 'error') {
    return [
      {
        code: 'CACHE_PREFERENCE_CONTRADICTED',
        problem: `entity '${entity}' prefers an error to a stale answer, a handler accepts stale ones for ${formatDuration(patienceMs)}.`,
        at,
        fix: 'write fresh() for this entity, or leave it to its contract.',
      },
    ];
  }
  const worst = read.ttlMs + patienceMs;
  const bound = maxStalenessMs.normal;
  if (worst <= bound) return [];
  return [
    {
      code: 'CACHE_STALENESS_EXCEEDED',
      problem: `entity '${entity}' promises maxStaleness ${formatDuration(bound)}, a handler accepts ${formatDuration(worst)}.`,
      at,
      why: `it accepts a value ${formatDuration(patienceMs)} past its ttl of ${formatDuration(read.ttlMs)}.`,
      fix:
        bound > read.ttlMs
          ? `write acceptStale('${formatDuration(bound - read.ttlMs)}') or less, or raise \`maxStaleness\` to '${formatDuration(worst)}'.`
          : `write fresh(), or raise \`maxStaleness\` to '${formatDuration(worst)}'.`,
    },
  ];
}
