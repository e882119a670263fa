import {
  bypass,
  counter,
  entity,
  external,
  invalidate,
  readThrough,
  staleWhileRevalidate,
  writeThrough,
} from 'nestjs-cache-contract';
import { bootFaults } from '../../../lib/contract/boot-rules.js';
import { bootTable } from '../../../lib/contract/boot-table.js';
import { resolvePolicy, type Policy } from '../../../lib/contract/policy.js';
import { worstStaleness } from '../../../lib/contract/worst-case.js';
import type { Fault } from '../../../lib/errors/configuration.error.js';

const times = { jitter: 0, loadTimeout: '3s' } as const;
const base = {
  maxStaleness: '1m',
  read: readThrough({ ...times, ttl: '1m' }),
  write: invalidate(),
};

/** Of an application whose default store grants leases by lock, and which has another one that grants them itself. */
function policyOf(contract: object): Policy {
  const stores = new Map([
    ['default', { tells: false, leases: 'lock' as const }],
    ['redis', { tells: false, leases: 'store' as const }],
  ]);
  const made = entity('thing', contract as never);
  const policy = resolvePolicy(made, 'here', undefined, stores);
  if (Array.isArray(policy)) throw new Error((policy as Fault[])[0]!.problem);
  return policy as Policy;
}

const faultsOf = (contract: object) => bootFaults(policyOf(contract), 'here', { worker: false });
const modes = (contract: object) =>
  Object.fromEntries(worstStaleness(policyOf(contract)).map(({ mode, ms }) => [mode, ms]));

describe('a store whose leases are granted by a lock', () => {
  it.each([
    { its: 'the default one, if it is', contract: base, leases: 'lock' },
    { its: 'another one', contract: { ...base, store: 'redis' }, leases: 'store' },
    { its: 'the process', contract: { ...base, store: 'process' }, leases: undefined },
    { its: 'nothing', contract: { ...base, read: bypass() }, leases: undefined },
    { its: 'a journal', contract: counter(), leases: undefined },
  ])('is that of an entity which is kept in $its: $leases', ({ contract, leases }) => {
    expect(policyOf(contract).leases).toBe(leases);
  });

  it.each([
    { write: invalidate(), what: 'invalidates' },
    { write: writeThrough(), what: 'writes through' },
  ])(
    'may hold what is older than a write here or elsewhere for its ttl, which $what',
    ({ write }) => {
      expect(modes({ ...base, write })).toEqual({
        'changed here': 60_000,
        'changed elsewhere': 60_000,
        'writer dies': 60_000,
        'store fails over': 60_000,
        'store out of reach': 60_000,
      });
      const [here, elsewhere] = worstStaleness(policyOf({ ...base, write }));
      for (const { because } of [here!, elsewhere!]) {
        expect(because).toBe(
          'another process may store what it has loaded before, after it was invalidated; a value is served until its ttl of 1m',
        );
      }
    },
  );

  it('may hold it for its ttl and staleFor, where stale values are served', () => {
    const read = staleWhileRevalidate({ ...times, ttl: '20s', staleFor: '30s' });
    expect(modes({ ...base, read })).toMatchObject({
      'changed here': 50_000,
      'changed elsewhere': 50_000,
    });
  });

  it('is no worse than the process where nobody tells of changes', () => {
    const contract = { ...base, write: external() };
    expect(modes(contract)).toEqual({ 'changed here': 60_000, 'changed elsewhere': 60_000 });
    expect(worstStaleness(policyOf(contract))[0]!.because).toBe(
      'a value is served until its ttl of 1m',
    );
    expect(faultsOf({ ...contract, prefer: 'error' })).toEqual([]);
  });

  it('cannot keep a contract that bears less than a ttl, as the store in Redis can', () => {
    const strict = { ...base, maxStaleness: { normal: '5s', incident: '1m' } };
    expect(faultsOf({ ...strict, store: 'redis' })).toEqual([]);
    expect(faultsOf(strict)).toEqual([
      {
        code: 'CACHE_STALENESS_EXCEEDED',
        problem:
          "entity 'thing' promises maxStaleness 5s, its policy allows 1m when the source is changed elsewhere.",
        at: 'here',
        why: 'another process may store what it has loaded before, after it was invalidated; a value is served until its ttl of 1m.',
        fix: "lower `ttl` (1m) to '5s' or less, or raise `maxStaleness` to '1m'.",
      },
    ]);
  });

  it('cannot keep one that prefers an error, however short its ttl', () => {
    expect(faultsOf({ ...base, prefer: 'error', store: 'redis' })).toEqual([]);
    expect(faultsOf({ ...base, prefer: 'error' })).toEqual([
      {
        code: 'CACHE_STORE_UNFIT',
        problem:
          "entity 'thing' prefers an error to a stale answer, which the store 'default' cannot keep out.",
        at: 'here',
        why: 'what another process has loaded before an invalidation may be stored there after it.',
        fix: "keep it in a redisStore(), or write `read: bypass()`, or admit it with `prefer: 'origin'`.",
      },
    ]);
  });

  it('is marked in the table of contracts, which says what is lost', () => {
    const policies = [base, { ...base, store: 'redis' }].map((contract, i) => ({
      ...policyOf(contract),
      entity: `thing-${i}`,
    }));
    expect(bootTable(policies)).toBe(
      [
        'entity   read    write       prefers  promised  worst  kept in                       overridden by',
        "thing-0  ttl 1m  invalidate  origin   1m        1m     store 'default'* and process",
        "thing-1  ttl 1m  invalidate  origin   1m        1m     store 'redis' and process",
        '* refuses nothing: what a process has loaded before another one invalidates it may be stored after that. Versions are compared within a process, and so is the rest after a failed load.',
      ].join('\n'),
    );
    expect(bootTable([policies[1]!])).not.toContain('*');
  });
});
