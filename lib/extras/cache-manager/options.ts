import { checkOptions } from '../../contract/check-options.js';
import type { Option } from '../../contract/option.js';
import type { Fault } from '../../errors/configuration.error.js';
import { show } from '../../errors/wording.js';
import type { Duration } from '../../time/duration.js';

export interface CacheManagerOptions {
  /**
   * How long is kept what is set or wrapped without a ttl of its own.
   *
   * @unit milliseconds, or '5s' style
   * @default the ttl of the contract
   * @range 1 ms … the ttl of the contract
   */
  ttl?: Duration;
  /**
   * What `wrap` finds that is fresh for less than this is loaded again behind the caller.
   *
   * @unit milliseconds, or '3s' style
   * @default off
   * @range 1 ms … 30 days
   */
  refreshThreshold?: Duration;
}

const DAY = 24 * 60 * 60_000;

export const CACHE_MANAGER_OPTIONS = {
  ttl: {
    kind: 'duration',
    min: 1,
    max: 30 * DAY,
    standardText: 'the `ttl` of the contract',
    meaning:
      'How long is kept what is set or wrapped without a ttl of its own. At most the `ttl` of the contract.',
  },
  refreshThreshold: {
    kind: 'duration',
    min: 1,
    max: 30 * DAY,
    standardText: 'off',
    meaning:
      'What `wrap` finds that is fresh for less than this is loaded again behind the caller.',
  },
} as const satisfies { readonly [option in keyof Required<CacheManagerOptions>]: Option };

/** Where that is stated here which is an option in cache-manager. */
const STATED_ELSEWHERE: { readonly [option: string]: string } = {
  stores:
    'name where entries are kept in CacheModule.forRoot({ store }), and in the contract of the entity with `store`.',
  namespace: 'write it in CacheModule.forRoot({ namespace }).',
  cacheId: 'remove it: the name of the entity is the id.',
  nonBlocking: 'remove it: nobody waits for a store longer than its deadline.',
  refreshAllStores: 'remove it: a refreshed value is kept wherever the entity is.',
};

/** What has to be known before a factory is asked. */
const KNOWN_BEFORE: { readonly [option: string]: string } = {
  entity: 'entity: Legacy',
  isGlobal: 'isGlobal: true',
};

/** What a factory tells that stands beside it. */
export function toldTooLate(given: unknown): Fault[] {
  return Object.keys(given ?? {})
    .filter((name) => Object.hasOwn(KNOWN_BEFORE, name))
    .map((name): Fault => {
      return {
        code: 'CACHE_OPTION_INVALID',
        problem: `\`${name}\` of CacheManagerModule is told by a factory, and has to be known before that is asked.`,
        at: 'CacheManagerModule.registerAsync()',
        fix: `write it beside the factory: registerAsync({ ${KNOWN_BEFORE[name]}, useFactory: () => ({ … }) }).`,
      };
    });
}

export function globalFaults(isGlobal: unknown, at: string): Fault[] {
  if (isGlobal === undefined || typeof isGlobal === 'boolean') return [];
  return [
    {
      code: 'CACHE_OPTION_INVALID',
      problem: `\`isGlobal\` of CacheManagerModule must be true or false, got ${show(isGlobal)}.`,
      at,
      fix: 'write `isGlobal: true`, or leave it out.',
    },
  ];
}

/** The options in milliseconds, and what is wrong with them. */
export function checkManagerOptions(given: unknown, at: string): ReturnType<typeof checkOptions> {
  const owner = 'CacheManagerModule';
  const place = { owner, path: '', at };
  if (typeof given !== 'object' || given === null) {
    return checkOptions(CACHE_MANAGER_OPTIONS, given, place);
  }
  const own = Object.entries(given).filter(
    ([name]) => !Object.hasOwn(STATED_ELSEWHERE, name) && !Object.hasOwn(KNOWN_BEFORE, name),
  );
  const { known, faults } = checkOptions(CACHE_MANAGER_OPTIONS, Object.fromEntries(own), place);
  const elsewhere = Object.keys(given)
    .filter((name) => Object.hasOwn(STATED_ELSEWHERE, name))
    .map((name): Fault => {
      const problem = `${owner} has no option \`${name}\`.`;
      return { code: 'CACHE_OPTION_UNKNOWN', problem, at, fix: STATED_ELSEWHERE[name]! };
    });
  return { known, faults: [...faults, ...elsewhere] };
}
