import type { Fault } from '../errors/configuration.error.js';
import { show } from '../errors/wording.js';
import { formatDuration } from '../time/duration.js';
import { checkOptions, type Place } from './check-options.js';
import type { AnyEntity, Bounds, Version } from './entity.js';
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
export interface Policy {
  readonly entity: string;
  readonly maxStalenessMs: Bounds<number>;
  readonly prefer: 'origin' | 'stale' | 'error';
  readonly read: ReadThroughPolicy | BypassPolicy;
  readonly write: WriteStrategy['kind'];
  /** Where its entries are kept: in this process, in a store that several share, or in both. */
  readonly keptIn: 'process' | 'store' | 'store and process';
  /** Name of that store. */
  readonly store?: string;
  /**
   * How long a copy in the process may be used after it was last known that no change of it was missed; `Infinity` where
   * its ttl is bound enough.
   */
  readonly copyLeaseMs: number;
  /** Who grants leases there. */
  readonly leases?: 'store' | 'lock';
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

/** The store of entities that name none. */
export const DEFAULT_STORE = 'default';
/** A store, as far as a policy has to know it. */
export interface KnownStore {
  /** Whether processes tell each other what has changed in it. */
  readonly tells: boolean;
  /** Who grants leases there: a lock refuses nothing by itself. */
  readonly leases: 'store' | 'lock';
}

/** As soon as this process hears of a change elsewhere, though the message was lost: it asks every second. */
export const TOLD_WITHIN_MS = 1_500;
const LONGEST_LEASE_MS = 5_000;

/** Names the tables of the process. */
export const PROCESS = 'process';

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

/** The store an entity names; the default one, if there is one, where it names none. */
function resolveStore(
  { store, maxStaleness, prefer, write, tags }: Known,
  read: Policy['read'],
  stores: ReadonlyMap<string, KnownStore>,
  { owner, at }: Place,
  faults: Fault[],
): Pick<Policy, 'keptIn' | 'store' | 'leases' | 'copyLeaseMs'> {
  const behind = (write as WriteStrategy | undefined)?.kind === 'write-behind';
  const named = store as string | undefined;
  if (named !== undefined && named !== PROCESS && !stores.has(named)) {
    faults.push({
      code: 'CACHE_STORE_UNKNOWN',
      problem: `${owner} names the store '${named}', and there is none of that name.`,
      at,
      fix: `write CacheModule.forRoot({ stores: { ${named}: redisStore({ url }) } }), or name one of ${[PROCESS, ...stores.keys()].map((name) => `'${name}'`).join(', ')}.`,
    });
    return { keptIn: 'process', copyLeaseMs: Infinity };
  }
  const isShared = named === undefined ? stores.has(DEFAULT_STORE) : named !== PROCESS;
  if (!isShared || read.kind === 'bypass') return { keptIn: 'process', copyLeaseMs: Infinity };
  if (behind) {
    // Its journal is in this process, and so is what readers see of it.
    if (named !== undefined) faults.push(cannot('is written behind', owner, named, at));
    return { keptIn: 'process', copyLeaseMs: Infinity };
  }
  if (tags !== undefined) faults.push(cannot('has tags', owner, named ?? DEFAULT_STORE, at));
  const bounds = (maxStaleness as Bounds<number> | undefined) ?? { normal: 0, incident: 0 };
  const name = named ?? DEFAULT_STORE;
  const { tells, leases } = stores.get(name)!;
  const copyLeaseMs = leaseOfCopies(read, bounds, tells);
  return {
    keptIn: prefer !== 'error' && copyLeaseMs > 0 ? 'store and process' : 'store',
    store: name,
    leases,
    copyLeaseMs,
  };
}

/** As long as the contract bears that a change elsewhere is not heard of. 0: no copy may be used. */
function leaseOfCopies(
  { ttlMs, staleForMs }: ReadThroughPolicy,
  { normal, incident }: Bounds<number>,
  isTold: boolean,
): number {
  if (ttlMs + staleForMs <= normal) return Infinity;
  return isTold && normal >= TOLD_WITHIN_MS ? Math.min(incident, LONGEST_LEASE_MS) : 0;
}

function cannot(what: string, owner: string, store: string, at: string): Fault {
  return {
    code: 'CACHE_STORE_UNFIT',
    problem: `${owner} ${what}, which entities in the store '${store}' cannot be.`,
    at,
    fix: `write \`store: '${PROCESS}'\` in its contract: its entries are then kept in each process.`,
  };
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
