import type { Fault } from '../errors/configuration.error.js';
import { show } from '../errors/wording.js';
import { formatDuration } from '../time/duration.js';
import { checkOptions, type Place } from './check-options.js';
import type { AnyEntity } from './entity.js';
import {
  CONTRACT_OPTIONS,
  LOCAL_TIER_OPTIONS,
  NAME,
  READ_THROUGH_OPTIONS,
  type Known,
} from './options.js';
import type { ReadStrategy, WriteStrategy } from './strategies.js';

export interface ReadThroughPolicy {
  readonly kind: 'read-through';
  readonly ttlMs: number;
  readonly jitter: number;
  readonly negativeTtlMs: number;
  readonly loadTimeoutMs: number;
  readonly maxEntries: number;
  /** `Infinity` where `maxEntries` is the only bound. */
  readonly maxBytes: number;
}
export interface BypassPolicy {
  readonly kind: 'bypass';
}

/** A contract as it is in force: checked, defaults filled in, durations in milliseconds. */
export interface Policy {
  readonly entity: string;
  readonly maxStalenessMs: number;
  readonly prefer: 'origin' | 'error';
  readonly read: ReadThroughPolicy | BypassPolicy;
  readonly write: WriteStrategy['kind'];
  readonly absentWhen?: (error: unknown) => boolean;
  readonly revive?: (plain: unknown) => unknown;
}

/** The policy of an entity, or what is wrong with its contract. */
export function resolvePolicy(entity: AnyEntity, at: string): Policy | readonly Fault[] {
  const place: Place = { owner: `entity '${String(entity.name)}'`, path: '', at };
  const faults: Fault[] = [];
  if (typeof entity.name !== 'string' || !NAME.test(entity.name)) {
    faults.push({
      code: 'CACHE_OPTION_INVALID',
      problem: `the name of an entity must be letters, digits, \`-\`, \`_\` and \`.\`, 1 to 64 of them, got ${show(entity.name)}.`,
      at,
      fix: "write entity('profile', { … }).",
    });
  }
  const { known: contract, faults: found } = checkOptions(CONTRACT_OPTIONS, entity.contract, place);
  faults.push(...found);
  const strategy = contract.read as ReadStrategy | undefined;
  const read =
    strategy?.kind === 'read-through'
      ? resolveReadThrough(strategy.options, place, contract, faults)
      : ({ kind: 'bypass' } as const);
  if (faults.length > 0) return faults;
  return Object.freeze({
    entity: entity.name,
    maxStalenessMs: contract.maxStaleness as number,
    prefer: contract.prefer as Policy['prefer'],
    read,
    write: (contract.write as WriteStrategy).kind,
    absentWhen: contract.absentWhen as Policy['absentWhen'],
    revive: contract.revive as Policy['revive'],
  });
}

function resolveReadThrough(
  options: unknown,
  { owner, at }: Place,
  contract: Known,
  faults: Fault[],
): ReadThroughPolicy {
  const read = checkOptions(READ_THROUGH_OPTIONS, options, { owner, path: 'read.', at }, contract);
  faults.push(...read.faults);
  const { ttl, negativeTtl } = read.known as { ttl?: number; negativeTtl?: number };
  if (ttl !== undefined && negativeTtl !== undefined && negativeTtl > ttl) {
    faults.push({
      code: 'CACHE_OPTION_INVALID',
      problem: `\`read.negativeTtl\` of ${owner} must not be longer than its ttl (${formatDuration(ttl)}), got ${formatDuration(negativeTtl)}.`,
      at,
      why: 'what was absent may have been created since; that should be seen no later than a change.',
      fix: `lower \`negativeTtl\` to '${formatDuration(ttl)}' or less.`,
    });
  }
  const l1 = checkOptions(LOCAL_TIER_OPTIONS, read.known.l1 ?? {}, { owner, path: 'read.l1.', at });
  faults.push(...l1.faults);
  return Object.freeze({
    kind: 'read-through',
    ttlMs: ttl!,
    jitter: read.known.jitter as number,
    negativeTtlMs: negativeTtl!,
    loadTimeoutMs: read.known.loadTimeout as number,
    maxEntries: l1.known.maxEntries as number,
    maxBytes: l1.known.maxBytes as number,
  });
}
