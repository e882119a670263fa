import { DEFAULT_STORE, PROCESS, type KnownStore } from '../contract/kept-in.js';
import { NAME } from '../contract/option.js';
import type { Policy } from '../contract/policy.js';
import type { Fault } from '../errors/configuration.error.js';
import { show, showNoText } from '../errors/wording.js';
import type { Background } from '../time/background.js';
import type { StoreDefinition, StoreParts } from '../store/store-definition.js';
import { opens, type OpenStore } from './open-store.js';

interface Given {
  readonly namespace?: string;
  readonly store?: unknown;
  readonly stores?: unknown;
}

/** What all stores are made of; `onRefused` is told which one it was. */
type Parts = Omit<StoreParts, 'namespace' | 'onRefused'> & {
  readonly onRefused: (store: string, error: Error) => void;
};

export interface OpenedStores {
  readonly stores: ReadonlyMap<string, OpenStore>;
  readonly faults: readonly Fault[];
  /** Names of those that could not be opened. Entities that name them are not at fault for that. */
  readonly unopened: readonly string[];
}

/** The stores of the module's options, open; and what is wrong with those that are not. */
export function openStores({ namespace, store, stores }: Given, parts: Parts): OpenedStores {
  const named = Object.entries((stores ?? {}) as { readonly [name: string]: unknown });
  const wanted = store === undefined ? named : [[DEFAULT_STORE, store] as const, ...named];
  const open = new Map<string, OpenStore>();
  const known = new Map<StoreDefinition, OpenStore>();
  const faults: Fault[] = [];
  const at = 'CacheModule.forRoot()';
  for (const [index, [name, definition]] of wanted.entries()) {
    const isDefault = index === 0 && store !== undefined;
    const option = isDefault ? 'store' : `stores.${name}`;
    if (!NAME.test(name) || name === PROCESS || (!isDefault && name === DEFAULT_STORE)) {
      faults.push({
        code: 'CACHE_OPTION_INVALID',
        problem: `\`stores\` of CacheModule names a store ${show(name)}.`,
        at,
        fix: `use letters, digits, \`-\`, \`_\` and \`.\`, 1 to 64 of them; '${PROCESS}' are the tables of the process, and '${DEFAULT_STORE}' is what \`store\` says.`,
      });
    } else if (!isDefinition(definition)) {
      faults.push({
        code: 'CACHE_OPTION_INVALID',
        problem: `\`${option}\` of CacheModule must be a store, got ${showNoText(definition)}.`,
        at,
        fix: "write redisStore({ url }), imported from 'nestjs-cache-contract/redis'; or keyvStore(keyv), from 'nestjs-cache-contract/cache-manager'.",
      });
    } else {
      try {
        // One that has several names is one store, and is closed once.
        const opened =
          known.get(definition) ??
          opens(definition, {
            ...parts,
            namespace: namespace ?? 'cache',
            onRefused: (error) => parts.onRefused(name, error),
          });
        known.set(definition, opened);
        open.set(name, opened);
      } catch (error) {
        faults.push(faultOf(error, `\`${option}\` of CacheModule`, at));
      }
    }
  }
  if (wanted.length > 0 && namespace === undefined) {
    faults.push({
      code: 'CACHE_OPTION_MISSING',
      problem: 'CacheModule has a store that processes share, and says nothing about `namespace`.',
      at,
      why: 'two applications on one Redis would read each other’s entries.',
      fix: "add `namespace: 'shop'`, the same for all processes of the application.",
    });
  }
  const unopened = wanted.map(([name]) => name).filter((name) => !open.has(name));
  return { stores: open, faults, unopened };
}

/** What policies have to know of them. */
export function knownOf({
  stores,
  unopened,
}: Omit<OpenedStores, 'faults'>): ReadonlyMap<string, KnownStore> {
  const known = new Map<string, KnownStore>();
  // Of what they would do, the best is taken: what is wrong with them has been told.
  for (const name of unopened) known.set(name, { tells: true, leases: 'store' });
  for (const [name, { store, leases = 'store' }] of stores) {
    known.set(name, { tells: store.log !== undefined, leases });
  }
  return known;
}

/** So long the start of an application waits for a store that says nothing. */
const CHECK_WITHIN_MS = 15_000;

export interface CheckedStores {
  readonly faults: readonly Fault[];
  /** Those that are not there yet, by name, with the reason where it is known. */
  readonly outOfReach: ReadonlyMap<string, string | undefined>;
  /** Those that may lose what they acknowledge, by each of their names, with how, and what to do about it. */
  readonly losing: ReadonlyMap<string, string>;
}

/** Asks the stores whether they can do what is needed. */
export async function checkStores(
  stores: ReadonlyMap<string, OpenStore>,
  background: Background,
  onRefused: (store: string, error: Error) => void,
): Promise<CheckedStores> {
  const faults: Fault[] = [];
  const outOfReach = new Map<string, string | undefined>();
  const losing = new Map<string, string>();
  // One that has several names is asked once.
  const names = new Map([...stores].reverse().map(([name, open]) => [open, name]));
  const checks = [...names].reverse().map(async ([{ store }, name]) => {
    try {
      const check = store.check();
      const outcome = await within(background, check);
      if (outcome === 'ready') return;
      if (typeof outcome === 'object' && 'mayLose' in outcome) {
        for (const [each, { store: of }] of stores)
          if (of === store) losing.set(each, outcome.mayLose);
        return;
      }
      outOfReach.set(name, typeof outcome === 'object' ? outcome.outOfReach : undefined);
      // Of one that has said nothing until now.
      check.catch((error: Error) => onRefused(name, error));
    } catch (error) {
      faults.push(faultOf(error, `the store '${name}'`, 'CacheModule.forRoot()'));
    }
  });
  await Promise.all(checks);
  return { faults, outOfReach, losing };
}

/** Who prefers an error to a stale answer cannot rely on what was acknowledged there. `placeOf`: where an entity is used. */
export function lossFaults(
  policies: readonly Policy[],
  losing: CheckedStores['losing'],
  placeOf: (entity: string) => string,
): Fault[] {
  return policies.flatMap(({ entity, prefer, write, keptIn, store = '' }) => {
    const loss = losing.get(store);
    const relies = prefer === 'error' && write !== 'external' && keptIn !== 'process';
    if (loss === undefined || !relies) return [];
    const [how, fix] = loss.split('. Fix: ') as [string, string?];
    return [
      {
        code: 'CACHE_STORE_UNFIT',
        problem: `entity '${entity}' prefers an error to a stale answer, and the store '${store}' may lose an invalidation that it has acknowledged.`,
        at: placeOf(entity),
        why: `${how.replace(/\.$/, '')}.`,
        fix: `${fix === undefined ? '' : `${fix.replace(/\.$/, '')}; or `}write \`read: bypass()\`, or admit it with \`prefer: 'origin'\`.`,
      },
    ];
  });
}

function within<T>(background: Background, check: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = background.after(CHECK_WITHIN_MS, () => resolve(undefined));
    check.then(resolve, reject).finally(stop);
  });
}

/** What a store says that cannot be used, in a report. */
function faultOf(error: unknown, owner: string, at: string): Fault {
  const message = error instanceof Error ? error.message : String(error);
  const [problem, fix] = message.split('. Fix: ') as [string, string?];
  return {
    code: 'CACHE_STORE_UNFIT',
    problem: `${owner} cannot be used: ${problem.replace(/\.$/, '')}.`,
    at,
    fix: fix ?? 'look at its options.',
  };
}

function isDefinition(value: unknown): value is StoreDefinition {
  const { open, deadlineMs, leases } = (value ?? {}) as Partial<StoreDefinition>;
  if (![undefined, 'store', 'lock'].includes(leases)) return false;
  return typeof open === 'function' && Number.isFinite(deadlineMs) && deadlineMs! >= 0;
}
