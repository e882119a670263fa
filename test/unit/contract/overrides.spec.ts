import { entity, external, readThrough, staleWhileRevalidate } from 'nestjs-cache-contract';
import { bootTable } from '../../../lib/contract/boot-table.js';
import { Overrides } from '../../../lib/contract/overrides.js';
import type { ReadThroughPolicy } from '../../../lib/contract/policy.js';
import { testEngine } from '../../support/engine.js';

const Products = entity<string>('product', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '10m' }),
  write: external(),
});
const ViewCounts = entity<number>('view-count', {
  maxStaleness: '1h',
  read: staleWhileRevalidate({ ttl: '10s', staleFor: '1m' }),
  write: external(),
});

function started(module: object, environment: { [name: string]: string } = {}) {
  const overrides = new Overrides(module as { [entity: string]: unknown }, environment);
  const { engine } = testEngine(undefined, overrides);
  engine.entities.register(Products);
  engine.entities.register(ViewCounts);
  const faults = engine.entities.check();
  const read = (of: typeof Products | typeof ViewCounts) =>
    engine.entities.stateOf(of as typeof Products).policy.read as ReadThroughPolicy;
  return { faults, read, policies: () => engine.entities.policies() };
}

describe('overrides', () => {
  it('go standard, contract, module, environment, each over the one before', () => {
    const none = started({});
    expect([none.read(Products).ttlMs, none.read(Products).jitter]).toEqual([600_000, 0.1]);
    const module = started({ product: { ttl: '5m' } });
    expect(module.read(Products).ttlMs).toBe(300_000);
    const both = started({ product: { ttl: '5m' } }, { CACHE_ENTITY__PRODUCT__TTL: '30s' });
    expect(both.read(Products).ttlMs).toBe(30_000);
  });

  it('stand in for what a contract does not give with CACHE_DEFAULT__, and only for that', () => {
    const { read } = started({}, { CACHE_DEFAULT__JITTER: '0.3', CACHE_DEFAULT__TTL: '1s' });
    expect([read(Products).jitter, read(ViewCounts).jitter]).toEqual([0.3, 0.3]);
    expect(read(Products).ttlMs).toBe(600_000);
  });

  it('reach every option by a name that shells can write', () => {
    const { faults, read } = started(
      {},
      {
        CACHE_ENTITY__VIEW_COUNT__STALE_FOR: '2m',
        CACHE_ENTITY__VIEW_COUNT__MAX_ENTRIES: '7',
      },
    );
    expect(faults).toEqual([]);
    expect(read(ViewCounts)).toMatchObject({ staleForMs: 120_000, maxEntries: 7 });
  });

  it('are checked like the contract, and told with where they were written', () => {
    const { faults } = started({}, { CACHE_ENTITY__PRODUCT__TTL: '2h' });
    expect(faults).toEqual([
      expect.objectContaining({
        code: 'CACHE_STALENESS_EXCEEDED',
        at: "entity 'product', overridden by CACHE_ENTITY__PRODUCT__TTL",
      }),
    ]);
  });

  it.each([
    [{ produkt: { ttl: '1s' } }, {}, "there is no entity 'produkt'", 'write product'],
    [{ product: { tll: '1s' } }, {}, '`tll` of', 'write ttl'],
    [{ product: { onUnacknowledged: 'fail' } }, {}, 'cannot be overridden', 'remove it'],
    [{ product: { staleFor: '1s' } }, {}, 'which the strategy of', 'remove it, or choose'],
    [{ product: 'fast' }, {}, "must be an object of options, got 'fast'", "write { ttl: '30s' }"],
    [{}, { CACHE_ENTITY__PRODUKT__TTL: '1s' }, 'names no option', 'CACHE_ENTITY__PRODUCT__TTL'],
    [{}, { CACHE_DEFAULT__TLL: '1s' }, 'names no option', 'CACHE_DEFAULT__TTL'],
    [{}, { CACHE_ENTITY__PRODUCT__TTL: 'soon' }, "got 'soon' (string)", 'one number with one unit'],
  ])(
    'that name nothing, or make no sense, are faults: %j %j',
    (module, environment, problem, fix) => {
      const { faults } = started(module, environment);
      expect(faults).toHaveLength(1);
      expect(faults[0]!.problem).toContain(problem);
      expect(faults[0]!.fix).toContain(fix);
    },
  );

  it('are refused where one variable would change two entities', () => {
    const overrides = new Overrides({}, { CACHE_ENTITY__VIEW_COUNT__TTL: '5s' });
    expect(overrides.faults(['view-count', 'viewCount'])).toEqual([
      expect.objectContaining({
        at: 'CACHE_ENTITY__VIEW_COUNT__TTL',
        code: 'CACHE_OPTION_INVALID',
      }),
    ]);
    expect(new Overrides({}, {}).faults(['view-count', 'viewCount'])).toEqual([]);
  });

  it('leave other variables of the environment alone', () => {
    expect(started({}, { CACHE_URL: 'x', CACHE_ENTITY: 'y', PATH: '/' }).faults).toEqual([]);
  });
});

it('the boot table says of each entity what it promises, the worst its policy allows, and what was overridden', () => {
  const { policies } = started({ product: { ttl: '5m' } });
  expect(bootTable(policies())).toBe(
    [
      'entity      read               write     prefers  promised  worst  overridden by',
      'product     ttl 5m             external  origin   1h        5m     overrides.product.ttl',
      'view-count  ttl 10s, stale 1m  external  origin   1h        70s',
    ].join('\n'),
  );
});
