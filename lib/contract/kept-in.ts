import type { Fault } from '../errors/configuration.error.js';
import { formatDuration } from '../time/duration.js';
import type { Place } from './check-options.js';
import type { Bounds } from './entity.js';
import type { Known } from './option.js';
import type { WriteStrategy } from './strategies.js';

/** The store of entities that name none. */
export const DEFAULT_STORE = 'default';
/** Names the tables of the process. */
export const PROCESS = 'process';

/**
 * As soon as this process hears of a change elsewhere, though the message was lost: it asks every second, and the answer
 * takes its time.
 */
export const TOLD_WITHIN_MS = 2_000;
const LONGEST_LEASE_MS = 5_000;

/** A store, as far as a policy has to know it. */
export interface KnownStore {
  /** Whether processes tell each other what has changed in it. */
  readonly tells: boolean;
  /** Who grants leases there: a lock refuses nothing by itself. */
  readonly leases: 'store' | 'lock';
}

export interface KeptIn {
  /** Where its entries are kept: in this process, in a store that several share, or in both. */
  readonly keptIn: 'process' | 'store' | 'store and process';
  /** Name of that store. */
  readonly store?: string;
  /** Who grants leases there. */
  readonly leases?: 'store' | 'lock';
  /**
   * How long a copy in the process may be used after it was last known that no change of it was missed; `Infinity` where
   * its ttl is bound enough.
   */
  readonly copyLeaseMs: number;
  /**
   * Whether processes that share its entries tell each other what they change, and this one listens: only then can entries
   * be invalidated together, by a tag or all of them.
   */
  readonly isTold: boolean;
}

const IN_PROCESS: KeptIn = { keptIn: 'process', copyLeaseMs: Infinity, isTold: false };

/** The store an entity names; the default one, if there is one, where it names none. */
export function resolveStore(
  { store, maxStaleness, prefer, write, tags }: Known,
  read: { readonly kind: 'bypass' } | Lifetime,
  stores: ReadonlyMap<string, KnownStore>,
  { owner, at }: Place,
  faults: Fault[],
): KeptIn {
  const behind = (write as WriteStrategy | undefined)?.kind === 'write-behind';
  const named = store as string | undefined;
  if (named !== undefined && named !== PROCESS && !stores.has(named)) {
    faults.push({
      code: 'CACHE_STORE_UNKNOWN',
      problem: `${owner} names the store '${named}', and there is none of that name.`,
      at,
      fix: `write CacheModule.forRoot({ stores: { ${named}: redisStore({ url }) } }), or name one of ${[PROCESS, ...stores.keys()].map((name) => `'${name}'`).join(', ')}.`,
    });
    return IN_PROCESS;
  }
  const name = named ?? DEFAULT_STORE;
  const known = name === PROCESS ? undefined : stores.get(name);
  if (known === undefined || read.kind === 'bypass') return IN_PROCESS;
  if (behind) {
    // Its journal is in this process, and so is what readers see of it.
    if (named !== undefined) faults.push(cannot('is written behind', owner, named, at));
    return IN_PROCESS;
  }
  const bounds = (maxStaleness as Bounds<number> | undefined) ?? { normal: 0, incident: 0 };
  const copyLeaseMs = leaseOfCopies(read, bounds, known.tells);
  const hasCopies = prefer !== 'error' && copyLeaseMs > 0;
  const isTold = known.tells && hasCopies;
  if (tags !== undefined && !isTold) faults.push(untold('has tags', owner, name, at));
  return {
    keptIn: hasCopies ? 'store and process' : 'store',
    store: name,
    leases: known.leases,
    copyLeaseMs,
    isTold,
  };
}

interface Lifetime {
  readonly kind: 'read-through' | 'stale-while-revalidate';
  readonly ttlMs: number;
  readonly staleForMs: number;
}

/** As long as the contract bears that a change elsewhere is not heard of. 0: no copy may be used. */
function leaseOfCopies(
  { ttlMs, staleForMs }: Lifetime,
  { normal, incident }: Bounds<number>,
  isTold: boolean,
): number {
  if (ttlMs + staleForMs <= normal) return Infinity;
  return isTold && normal >= TOLD_WITHIN_MS ? Math.min(incident, LONGEST_LEASE_MS) : 0;
}

/** What to do for entries that are to be invalidated together. */
export const TO_BE_TOLD = `keep it in a redisStore() without \`prefer: 'error'\`, and with \`maxStaleness.normal\` at ${formatDuration(TOLD_WITHIN_MS)} or more, or at its \`ttl\`; or write \`store: '${PROCESS}'\` in its contract, with \`maxStaleness\` at its \`ttl\` or more`;

function untold(what: string, owner: string, store: string, at: string): Fault {
  return {
    code: 'CACHE_STORE_UNFIT',
    problem: `${owner} ${what}, and its entries in the store '${store}' can only be invalidated one by one.`,
    at,
    why: 'this process would have to hear what others invalidate together, and have some time to.',
    fix: `${TO_BE_TOLD}.`,
  };
}

function cannot(what: string, owner: string, store: string, at: string): Fault {
  return {
    code: 'CACHE_STORE_UNFIT',
    problem: `${owner} ${what}, which entities in the store '${store}' cannot be.`,
    at,
    fix: `write \`store: '${PROCESS}'\` in its contract: its entries are then kept in each process.`,
  };
}
