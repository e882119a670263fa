import { formatDuration } from '../time/duration.js';
import type { Bounds } from './entity.js';
import type { Policy } from './policy.js';
import { worstStaleness } from './worst-case.js';

const READ_OPTIONS = ['ttl', 'staleFor', 'staleIfError', 'loadTimeout'] as const;
const WRITE_OPTIONS = ['flushEvery', 'flushTimeout'] as const;

/**
 * The longest options of a policy, cut to the one length with which it keeps its bound; nothing if no length would.
 *
 * The longest ones, because they are the smallest change: cutting what is short already gains little.
 */
export function whatToLower(policy: Policy, bound: keyof Bounds, allowed: number) {
  let [fits, tooLong] = [0, Math.max(...lengths(policy).map(({ ms }) => ms)) + 1];
  while (tooLong - fits > 1) {
    const middle = Math.floor((fits + tooLong) / 2);
    if (worst(cut(policy, middle), bound) <= allowed) fits = middle;
    else tooLong = middle;
  }
  if (fits === 0) return undefined;
  return lengths(policy)
    .filter(({ ms, option }) => ms > fits && matters(policy, option, bound))
    .map(({ option, ms }) => `\`${option}\` (${formatDuration(ms)}) to '${formatDuration(fits)}'`)
    .join(' and ');
}

type Named = (typeof READ_OPTIONS)[number] | (typeof WRITE_OPTIONS)[number];

function lengths({ read, writeBehind }: Policy): { option: Named; ms: number }[] {
  return [
    ...READ_OPTIONS.map((option) => ({
      option,
      ms: read.kind === 'bypass' ? 0 : read[`${option}Ms`],
    })),
    ...WRITE_OPTIONS.map((option) => ({ option, ms: writeBehind?.[`${option}Ms`] ?? 0 })),
  ];
}

/** Only in trouble is a value served for its staleIfError, and what is written then is nobody's promise. */
function matters({ read }: Policy, option: Named, bound: keyof Bounds): boolean {
  if (option === 'staleIfError') return bound === 'incident';
  return bound === 'normal' || read.kind === 'bypass' || !WRITE_OPTIONS.some((o) => o === option);
}

function cut(policy: Policy, longest: number): Policy {
  const { read, writeBehind } = policy;
  const shorter = <T extends object>(options: T, names: readonly Named[]): T => ({
    ...options,
    ...Object.fromEntries(
      names.map((name) => {
        const ms = (options as { [option: string]: number })[`${name}Ms`]!;
        return [`${name}Ms`, Math.min(ms, longest)];
      }),
    ),
  });
  return {
    ...policy,
    read: read.kind === 'bypass' ? read : shorter(read, READ_OPTIONS),
    ...(writeBehind && { writeBehind: shorter(writeBehind, WRITE_OPTIONS) }),
  };
}

function worst(policy: Policy, bound: keyof Bounds): number {
  return Math.max(
    0,
    ...worstStaleness(policy)
      .filter((exposure) => exposure.bound === bound)
      .map(({ ms }) => ms),
  );
}
