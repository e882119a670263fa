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
import type { AnyEntity } from '../../../lib/contract/entity.js';
import { resolvePolicy, type Policy } from '../../../lib/contract/policy.js';
import { worstStaleness } from '../../../lib/contract/worst-case.js';
import type { Fault } from '../../../lib/errors/configuration.error.js';

/** Contracts as somebody who ignores the compiler writes them. */
const loose = (contract: object): AnyEntity => entity('thing', contract as never);

const resolved = (contract: object, stores: readonly string[] = ['default', 'durable']) =>
  resolvePolicy(
    loose(contract),
    'here',
    undefined,
    new Map(stores.map((name) => [name, { tells: false, leases: 'store' }])),
  );

function policyOf(contract: object, stores?: readonly string[]): Policy {
  const policy = resolved(contract, stores);
  if (Array.isArray(policy)) throw new Error((policy as Fault[])[0]!.problem);
  return policy as Policy;
}

const faultsOf = (contract: object, stores?: readonly string[]): readonly Fault[] => {
  const policy = resolved(contract, stores);
  if (Array.isArray(policy)) return policy as Fault[];
  return bootFaults(policy as Policy, 'here', { worker: false });
};

const times = { jitter: 0, loadTimeout: '3s' } as const;
const base = {
  maxStaleness: '1m',
  read: readThrough({ ...times, ttl: '1m' }),
  write: invalidate(),
};

describe('where an entity is kept', () => {
  it.each([
    { its: 'a ttl within its bound', contract: base, keptIn: 'store and process' },
    {
      its: 'a ttl beyond its bound by a millisecond',
      contract: { ...base, maxStaleness: { normal: 59_999, incident: '1m' } },
      keptIn: 'store',
    },
    {
      its: 'ttl and staleFor within its bound',
      contract: { ...base, read: staleWhileRevalidate({ ...times, ttl: '20s', staleFor: '40s' }) },
      keptIn: 'store and process',
    },
    {
      its: 'ttl and staleFor beyond its bound by a millisecond',
      contract: {
        ...base,
        maxStaleness: { normal: '1m', incident: '2m' },
        read: staleWhileRevalidate({ ...times, ttl: '20s', staleFor: 40_001 }),
      },
      keptIn: 'store',
    },
    {
      its: 'a preference for errors, whatever its ttl',
      contract: { ...base, prefer: 'error' },
      keptIn: 'store',
    },
    { its: 'nothing cached', contract: { ...base, read: bypass() }, keptIn: 'process' },
    { its: "store: 'process'", contract: { ...base, store: 'process' }, keptIn: 'process' },
    { its: 'mutations that are written behind', contract: counter(), keptIn: 'process' },
  ])('follows from what it promises: with $its it is the $keptIn', ({ contract, keptIn }) => {
    expect(policyOf(contract).keptIn).toBe(keptIn);
  });

  it('is the store it names, or the one of the module, or the process where there is none', () => {
    expect(policyOf({ ...base, store: 'durable' })).toMatchObject({ store: 'durable' });
    expect(policyOf(base)).toMatchObject({ store: 'default' });
    expect(policyOf(base, ['durable'])).toMatchObject({ keptIn: 'process' });
    expect(policyOf(base, [])).toMatchObject({ keptIn: 'process' });
  });
});

describe('what a call gets that the store has not acknowledged', () => {
  it("is 'pending', unless the contract says otherwise, wherever the entity is kept", () => {
    expect(policyOf(base).onUnacknowledged).toBe('pending');
    for (const stores of [['default'], []]) {
      const strict = { ...base, onUnacknowledged: 'fail' };
      expect(policyOf(strict, stores).onUnacknowledged).toBe('fail');
      expect(faultsOf(strict, stores)).toEqual([]);
    }
  });
});

describe('a contract that does not go with a store', () => {
  it.each([
    {
      what: 'names one that does not exist',
      contract: { ...base, store: 'durabel' },
      fault: {
        code: 'CACHE_STORE_UNKNOWN',
        problem: "entity 'thing' names the store 'durabel', and there is none of that name.",
        at: 'here',
        fix: "write CacheModule.forRoot({ stores: { durabel: redisStore({ url }) } }), or name one of 'process', 'default', 'durable'.",
      },
    },
    {
      what: 'has tags, by which nobody can find entries there',
      contract: { ...base, tags: () => ['a'] },
      fault: {
        code: 'CACHE_STORE_UNFIT',
        problem:
          "entity 'thing' has tags, and its entries in the store 'default' can only be invalidated one by one.",
        at: 'here',
        why: 'this process would have to hear what others invalidate together, and have some time to.',
        fix: "keep it in a redisStore() without `prefer: 'error'`, and with `maxStaleness.normal` at 2s or more, or at its `ttl`; or write `store: 'process'` in its contract, with `maxStaleness` at its `ttl` or more.",
      },
    },
    {
      what: 'is written behind, and names one all the same',
      contract: { ...counter(), store: 'durable' },
      fault: {
        code: 'CACHE_STORE_UNFIT',
        problem:
          "entity 'thing' is written behind, which entities in the store 'durable' cannot be.",
        at: 'here',
        fix: "write `store: 'process'` in its contract: its entries are then kept in each process.",
      },
    },
  ])('is refused if it $what', ({ contract, fault }) => {
    expect(faultsOf(contract)).toEqual([fault]);
  });

  it.each([
    { option: 'schema', value: -1 },
    { option: 'schema', value: 65_536 },
    { option: 'schema', value: 1.5 },
    { option: 'schema', value: '1' },
    { option: 'onUnacknowledged', value: 'error' },
    { option: 'onUnacknowledged', value: true },
    { option: 'onUnacknowledged', value: null },
    { option: 'store', value: 7 },
    { option: 'store', value: '' },
    { option: 'store', value: 'no such name!' },
  ])('is refused if its $option is $value', ({ option, value }) => {
    const faults = faultsOf({ ...base, [option]: value });
    expect(faults.map(({ code }) => code)).toEqual(['CACHE_OPTION_INVALID']);
    expect(faults[0]!.problem).toContain(`\`${option}\``);
  });

  it('may have tags where each process keeps its own', () => {
    expect(faultsOf({ ...base, tags: () => ['a'], store: 'process' })).toEqual([]);
    expect(faultsOf({ ...base, tags: () => ['a'] }, [])).toEqual([]);
  });
});

describe('a copy in the process, where processes tell each other of changes', () => {
  const told = (contract: object) =>
    resolvePolicy(
      loose({ ...base, ...contract }),
      'here',
      undefined,
      new Map([['default', { tells: true, leases: 'store' }]]),
    ) as Policy;
  const long = readThrough({ ttl: '1h', jitter: 0, loadTimeout: '3s' });
  it.each([
    { maxStaleness: { normal: '5s', incident: '1h' }, kept: 'store and process', leaseMs: 5_000 },
    { maxStaleness: { normal: '2s', incident: '1h' }, kept: 'store and process', leaseMs: 5_000 },
    { maxStaleness: { normal: '1999ms', incident: '1h' }, kept: 'store', leaseMs: 0 },
    { maxStaleness: '1h', kept: 'store and process', leaseMs: Infinity },
  ])('may be used for $leaseMs ms where $maxStaleness is promised', (one) => {
    const { keptIn, copyLeaseMs } = told({ maxStaleness: one.maxStaleness, read: long });
    expect([keptIn, copyLeaseMs]).toEqual([one.kept, one.leaseMs]);
  });

  it('is used for no longer than is promised for incidents', () => {
    const read = readThrough({ ttl: '4s', jitter: 0, loadTimeout: '1s' });
    const policy = told({ maxStaleness: { normal: '3s', incident: '4s' }, read });
    expect(policy.copyLeaseMs).toBe(4_000);
  });

  it('is not kept for who prefers an error', () => {
    const maxStaleness = { normal: '5s', incident: '1h' };
    expect(told({ maxStaleness, read: long, prefer: 'error' }).keptIn).toBe('store');
  });

  it.each([
    { loadTimeout: '3s', ms: 5_000 },
    { loadTimeout: '8s', ms: 8_000 },
  ] as const)('is as old as its lease or a load of $loadTimeout that is joined', (one) => {
    const read = readThrough({ ttl: '1h', jitter: 0, loadTimeout: one.loadTimeout });
    const rows = worstStaleness(told({ maxStaleness: { normal: '5s', incident: '1h' }, read }));
    expect(Object.fromEntries(rows.map(({ mode, ms }) => [mode, ms]))).toEqual({
      'changed here': 0,
      'changed elsewhere': 2_000,
      'nothing is heard': one.ms,
      'writer dies': 3_600_000,
      'store fails over': 3_600_000,
      'store out of reach': 3_600_000,
    });
  });
});

describe('the worst case where processes share entries', () => {
  const modes = (contract: object) =>
    Object.fromEntries(worstStaleness(policyOf(contract)).map(({ mode, ms }) => [mode, ms]));

  it('is a load that is joined, when another process changed the source and could say so', () => {
    const contract = { ...base, maxStaleness: { normal: '3s', incident: '1m' } };
    expect(modes(contract)).toEqual({
      'changed here': 0,
      'changed elsewhere': 3_000,
      'writer dies': 60_000,
      'store fails over': 60_000,
      'store out of reach': 60_000,
    });
    expect(faultsOf(contract)).toEqual([]);
  });

  it('is the ttl when it could not, and that has to be within the bound for incidents', () => {
    const contract = { ...base, maxStaleness: '10s' };
    expect(faultsOf(contract)).toEqual([
      {
        code: 'CACHE_STALENESS_EXCEEDED',
        problem:
          "entity 'thing' promises maxStaleness.incident 10s, its policy allows 1m when the store is out of reach of who changes the source.",
        at: 'here',
        why: 'a value is served until its ttl of 1m.',
        fix: expect.stringMatching(/10s/),
      },
    ]);
  });

  it('is the ttl where each process has a copy: nobody tells it of changes elsewhere', () => {
    expect(modes(base)).toEqual({
      'changed here': 0,
      'changed elsewhere': 60_000,
      'writer dies': 60_000,
      'store fails over': 60_000,
      'store out of reach': 60_000,
    });
  });

  it('is the ttl everywhere where nobody tells anybody', () => {
    const contract = { ...base, write: external(), prefer: 'error' };
    expect(modes(contract)).toEqual({ 'changed here': 60_000, 'changed elsewhere': 60_000 });
  });
});

describe('the table of contracts in force', () => {
  const policies = (stores: readonly string[]) =>
    [
      policyOf(base, stores),
      policyOf(
        { ...base, prefer: 'error', maxStaleness: { normal: '3s', incident: '1m' } },
        stores,
      ),
      policyOf({ ...base, store: 'process' }, stores),
      policyOf({ ...base, read: bypass() }, stores),
    ].map((policy, i) => ({ ...policy, entity: `thing-${i}` }));

  it('says where each is kept', () => {
    expect(bootTable(policies(['default']))).toBe(
      [
        'entity   read    write       prefers  promised           worst              kept in                      overridden by',
        "thing-0  ttl 1m  invalidate  origin   1m                 1m                 store 'default' and process",
        "thing-1  ttl 1m  invalidate  error    3s, 1m in trouble  3s, 1m in trouble  store 'default'",
        'thing-2  ttl 1m  invalidate  origin   1m                 1m                 process',
        'thing-3  bypass  invalidate  origin   1m                 0ms                nothing',
      ].join('\n'),
    );
  });

  it('says where a write may fail because of its store, and not where there is none', () => {
    const strict = { ...base, onUnacknowledged: 'fail' };
    const write = (contract: object, stores?: readonly string[]) => {
      const [headings, row] = bootTable([policyOf(contract, stores)]).split('\n');
      const at = headings!.indexOf('write');
      return row!.slice(at, headings!.indexOf('prefers')).trim();
    };
    expect(write(base)).toBe('invalidate');
    expect(write(strict)).toBe('invalidate or fail');
    expect(write({ ...strict, write: writeThrough() })).toBe('write-through or fail');
    expect(write({ ...strict, store: 'process' })).toBe('invalidate');
    expect(write({ ...strict, read: bypass() })).toBe('invalidate');
    expect(write(strict, [])).toBe('invalidate');
    expect(write({ ...counter(), onUnacknowledged: 'fail' })).toMatch(/^write-behind, /);
  });

  it('says nothing of it where there is no store, because there is nothing to say', () => {
    expect(bootTable(policies([]).slice(2))).not.toContain('kept in');
  });
});
