import { formatDuration } from '../time/duration.js';
import type { Policy } from './policy.js';
import { worstStaleness } from './worst-case.js';

const HEADINGS = [
  'entity',
  'read',
  'write',
  'kept in',
  'prefers',
  'promised',
  'worst',
  'overridden by',
];

/** The verdict on every contract, one line each: what it promises, and the worst its policy allows. */
export function bootTable(
  policies: readonly Policy[],
  /** How often a mutation takes effect, where writing is behind. */
  effect: (policy: Policy) => 'exactly once' | 'at least once' = () => 'at least once',
): string {
  const rows = [...policies]
    .sort((a, b) => (a.entity < b.entity ? -1 : 1))
    .map((policy) => rowOf(policy, effect));
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]!.length)),
  );
  return [HEADINGS, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function rowOf(policy: Policy, effect: (policy: Policy) => string): string[] {
  const { normal, incident } = policy.maxStalenessMs;
  const worst = (bound: 'normal' | 'incident') =>
    Math.max(
      ...worstStaleness(policy)
        .filter((row) => row.bound === bound)
        .map(({ ms }) => ms),
      0,
    );
  const both = (ordinary: number, trouble: number) =>
    trouble > ordinary
      ? `${formatDuration(ordinary)}, ${formatDuration(trouble)} in trouble`
      : formatDuration(ordinary);
  return [
    policy.entity,
    readOf(policy),
    policy.writeBehind === undefined ? policy.write : `write-behind, ${effect(policy)}`,
    keptIn(policy),
    policy.prefer,
    both(normal, incident),
    both(worst('normal'), worst('incident')),
    policy.overridden.join(', '),
  ];
}

function readOf({ read }: Policy): string {
  if (read.kind === 'bypass') return 'bypass';
  const parts = [`ttl ${formatDuration(read.ttlMs)}`];
  if (read.staleForMs > 0) parts.push(`stale ${formatDuration(read.staleForMs)}`);
  if (read.staleIfErrorMs > 0) parts.push(`on error ${formatDuration(read.staleIfErrorMs)}`);
  return parts.join(', ');
}

function keptIn({ read, keptIn, store }: Policy): string {
  if (read.kind === 'bypass') return 'nothing';
  return keptIn === 'process' ? keptIn : keptIn.replace('store', `store '${store}'`);
}
