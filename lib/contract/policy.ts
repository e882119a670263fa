import type { Fault } from '../errors/configuration.error.js';
import { show } from '../errors/wording.js';
import { formatDuration } from '../time/duration.js';
import { checkOptions, type Place } from './check-options.js';
import type { AnyEntity, Bounds, Version } from './entity.js';
import { resolveStore, type KeptIn, type KnownStore } from './kept-in.js';
import { NAME, type Known } from './option.js';
import {
  CONTRACT_OPTIONS,
  LOCAL_TIER_OPTIONS,
  ORIGIN_OPTIONS,
  READ_THROUGH_OPTIONS,
  STALE_WHILE_REVALIDATE_OPTIONS,
} from './options.js';
import type { Origin } from './origin.js';
import { Overlay } from './overlay.js';
import type {
  ReadStrategy,
  ReadThrough,
  StaleWhileRevalidate,
  WriteBehind,
  WriteStrategy,
} from './strategies.js';
import { RETRY_OPTIONS, WRITE_BEHIND_OPTIONS } from './write-behind-options.js';

export interface ReadThroughPolicy {
  readonly kind: 'read-through' | 'stale-while-revalidate';
  readonly ttlMs: number;
  readonly jitter: number;
  readonly negativeTtlMs: number;
  readonly loadTimeoutMs: number;
  /** How long past its ttl a value is served while it is loaded again; 0 for read-through. */
  readonly staleForMs: number;
  /** How much longer it may be served because loading failed. */
  readonly staleIfErrorMs: number;
  /** Beta of XFetch; 0 is off. */
  readonly earlyRefresh: number;
  readonly maxEntries: number;
  /** `Infinity` where `maxEntries` is the only bound. */
  readonly maxBytes: number;
}
export interface WriteBehindPolicy {
  readonly merge: 'lastWrite' | 'sum';
  readonly flushEveryMs: number;
  readonly maxBatch: number;
  readonly maxPending: number;
  readonly shards: number;
  readonly flushTimeoutMs: number;
  /** Failed attempts in a row after which entries are tried one by one. */
  readonly attempts: number;
  readonly delayMs: number;
  readonly maxDelayMs: number;
}
export interface BypassPolicy {
  readonly kind: 'bypass';
}

/** A contract as it is in force: checked, defaults filled in, durations in milliseconds. */
export interface Policy extends KeptIn {
  readonly entity: string;
  readonly maxStalenessMs: Bounds<number>;
  readonly prefer: 'origin' | 'stale' | 'error';
  readonly read: ReadThroughPolicy | BypassPolicy;
  readonly write: WriteStrategy['kind'];
  /** What a call gets whose invalidation the store has not acknowledged. */
  readonly onUnacknowledged: 'pending' | 'fail';
  /** Of what shape its values are. */
  readonly schema: number;
  /** Where `write` is `'write-behind'`. */
  readonly writeBehind?: WriteBehindPolicy;
  readonly origin?: OriginPolicy;
  readonly version?: (value: unknown) => Version;
  readonly tags?: (value: unknown) => readonly string[];
  readonly absentWhen?: (error: unknown) => boolean;
  readonly revive?: (plain: unknown) => unknown;
  /** Where options came from that the contract does not give, or gives otherwise. */
  readonly overridden: readonly string[];
}

/** How much an origin can take. */
export interface OriginPolicy {
  readonly name: string;
  readonly maxConcurrent: number;
  readonly maxQueued: number;
}

/** The policy of an entity, or what is wrong with its contract. */
export function resolvePolicy(
  entity: AnyEntity,
  at: string,
  outside: Overlay = new Overlay({}, {}),
  /** The stores that there are, by name. */
  stores: ReadonlyMap<string, KnownStore> = new Map(),
): Policy | readonly Fault[] {
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
  const { known: contract, faults: found } = checkOptions(
    CONTRACT_OPTIONS,
    outside.over(entity.contract, CONTRACT_OPTIONS),
    place,
  );
  faults.push(...found);
  const strategy = contract.read as ReadStrategy | undefined;
  const read =
    strategy === undefined || strategy.kind === 'bypass'
      ? ({ kind: 'bypass' } as const)
      : resolveLoaded(strategy, place, contract, faults, outside);
  const write = contract.write as WriteStrategy | undefined;
  const behind =
    write?.kind === 'write-behind' ? resolveWriteBehind(write, place, faults, outside) : undefined;
  const limit = resolveOrigin(contract.origin as Origin | undefined, place, faults);
  const kept = resolveStore(contract, read, stores, place, faults);
  faults.push(...outside.unused(place));
  if (faults.length > 0) return faults;
  return Object.freeze({
    entity: entity.name,
    maxStalenessMs: contract.maxStaleness as Bounds<number>,
    prefer: contract.prefer as Policy['prefer'],
    read,
    write: write!.kind,
    ...kept,
    onUnacknowledged: contract.onUnacknowledged as Policy['onUnacknowledged'],
    schema: contract.schema as number,
    writeBehind: behind,
    origin: limit,
    version: contract.version as Policy['version'],
    tags: contract.tags as Policy['tags'],
    absentWhen: contract.absentWhen as Policy['absentWhen'],
    revive: contract.revive as Policy['revive'],
    overridden: outside.sources,
  });
}

function resolveLoaded(
  { kind, options }: ReadThrough | StaleWhileRevalidate,
  { owner, at }: Place,
  contract: Known,
  faults: Fault[],
  outside: Overlay,
): ReadThroughPolicy {
  const table = kind === 'read-through' ? READ_THROUGH_OPTIONS : STALE_WHILE_REVALIDATE_OPTIONS;
  const read = checkOptions(
    table,
    outside.over(options, table),
    { owner, path: 'read.', at },
    contract,
  );
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
  const l1 = checkOptions(
    LOCAL_TIER_OPTIONS,
    outside.over(read.known.l1 ?? {}, LOCAL_TIER_OPTIONS),
    { owner, path: 'read.l1.', at },
  );
  faults.push(...l1.faults);
  return Object.freeze({
    kind,
    ttlMs: ttl!,
    jitter: read.known.jitter as number,
    negativeTtlMs: negativeTtl!,
    loadTimeoutMs: read.known.loadTimeout as number,
    staleForMs: (read.known.staleFor as number | undefined) ?? 0,
    staleIfErrorMs: read.known.staleIfError as number,
    earlyRefresh: (read.known.earlyRefresh as number | undefined) ?? 0,
    maxEntries: l1.known.maxEntries as number,
    maxBytes: l1.known.maxBytes as number,
  });
}

function resolveWriteBehind(
  { options }: WriteBehind,
  { owner, at }: Place,
  faults: Fault[],
  outside: Overlay,
): WriteBehindPolicy {
  const { known, faults: found } = checkOptions(
    WRITE_BEHIND_OPTIONS,
    outside.over(options, WRITE_BEHIND_OPTIONS),
    { owner, path: 'write.', at },
  );
  faults.push(...found);
  const retry = checkOptions(RETRY_OPTIONS, known.retry ?? {}, {
    owner,
    path: 'write.retry.',
    at,
  });
  faults.push(...retry.faults);
  const { attempts, delay, maxDelay } = retry.known as { [option: string]: number };
  if (delay !== undefined && maxDelay !== undefined && delay > maxDelay) {
    faults.push({
      code: 'CACHE_OPTION_INVALID',
      problem: `\`write.retry.maxDelay\` of ${owner} must not be shorter than its \`delay\` (${formatDuration(delay)}), got ${formatDuration(maxDelay)}.`,
      at,
      fix: `raise \`maxDelay\` to '${formatDuration(delay)}' or more.`,
    });
  }
  return Object.freeze({
    merge: known.merge as WriteBehindPolicy['merge'],
    flushEveryMs: known.flushEvery as number,
    maxBatch: known.maxBatch as number,
    maxPending: known.maxPending as number,
    shards: known.shards as number,
    flushTimeoutMs: known.flushTimeout as number,
    attempts: attempts!,
    delayMs: delay!,
    maxDelayMs: maxDelay!,
  });
}

function resolveOrigin(
  origin: Origin | undefined,
  { owner, at }: Place,
  faults: Fault[],
): OriginPolicy | undefined {
  if (origin === undefined) return undefined;
  const { known, faults: found } = checkOptions(ORIGIN_OPTIONS, origin.options, {
    owner: `origin '${origin.name}' of ${owner}`,
    path: 'origin.',
    at,
  });
  faults.push(...found);
  return Object.freeze({ name: origin.name, ...(known as Omit<OriginPolicy, 'name'>) });
}
