import { formatDuration } from '../time/duration.js';
import type { Policy } from './policy.js';
import { worstStaleness } from './worst-case.js';

const HEADINGS = [
  'entity',
  'read',
  'write',
  'prefers',
  'promised',
  'worst',
  'kept in',
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
  // Where there is no store, everything is kept in the process.
  const isTold = (_: unknown, column: number) =>
    HEADINGS[column] !== 'kept in' || policies.some(({ keptIn }) => keptIn !== 'process');
  const table = [HEADINGS, ...rows].map((row) => row.filter(isTold));
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  if (policies.some(({ leases }) => leases === 'lock')) lines.push(LOST);
  return lines.join('\n');
}

/** Of what a store promises, where it grants no leases. */
const LOST =
  '* refuses nothing: what a process has loaded before another one invalidates it may be stored after that. Versions ' +
  'are compared within a process, and so is the rest after a failed load.';

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
    writeOf(policy, effect),
    policy.prefer,
    both(normal, incident),
    both(worst('normal'), worst('incident')),
    keptIn(policy),
    policy.overridden.join(', '),
  ];
}

/** That a write may fail is said only where it may: there must be a store for that. */
function writeOf(policy: Policy, effect: (policy: Policy) => string): string {
  const { write, writeBehind, keptIn, onUnacknowledged } = policy;
  if (writeBehind !== undefined) return `write-behind, ${effect(policy)}`;
  return keptIn !== 'process' && onUnacknowledged === 'fail' ? `${write} or fail` : write;
}

function readOf({ read }: Policy): string {
  if (read.kind === 'bypass') return 'bypass';
  const parts = [`ttl ${formatDuration(read.ttlMs)}`];
  if (read.staleForMs > 0) parts.push(`stale ${formatDuration(read.staleForMs)}`);
  if (read.staleIfErrorMs > 0) parts.push(`on error ${formatDuration(read.staleIfErrorMs)}`);
  return parts.join(', ');
}

function keptIn({ read, keptIn, store, leases }: Policy): string {
  if (read.kind === 'bypass') return 'nothing';
  if (keptIn === 'process') return keptIn;
  return keptIn.replace('store', `store '${store}'${leases === 'lock' ? '*' : ''}`);
}
