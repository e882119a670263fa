import { bypass, entity, external, invalidate, readThrough } from 'nestjs-cache-contract';
import type { AnyEntity } from '../../../lib/contract/entity.js';
import { bootFaults } from '../../../lib/contract/boot-rules.js';
import { resolvePolicy, type Policy } from '../../../lib/contract/policy.js';
import { worstStaleness } from '../../../lib/contract/worst-case.js';
import { CacheConfigurationError, type Fault } from '../../../lib/errors/configuration.error.js';
import { expectGolden } from '../../support/golden.js';
import { testEngine } from '../../support/engine.js';

/** Contracts as somebody who ignores the compiler writes them. */
const loose = entity as unknown as (name: unknown, contract: unknown) => AnyEntity;

function faultsOf(candidate: AnyEntity, worker = false): readonly Fault[] {
  const policy = resolvePolicy(candidate, `entity '${String(candidate.name)}'`);
  if (Array.isArray(policy)) return policy as Fault[];
  return bootFaults(policy as Policy, `entity '${candidate.name}'`, { worker });
}

const good = { maxStaleness: '1m', read: readThrough({ ttl: '1m' }), write: invalidate() } as const;

describe('a contract that is at fault', () => {
  const bad = [
    loose('typo', { ...good, maxStalenes: '1m' }),
    loose('nothing', {}),
    loose('compound', { ...good, maxStaleness: '1h30m' }),
    loose('scientific', { ...good, read: readThrough({ ttl: '1e3s' }) }),
    loose('stale', { ...good, maxStaleness: '30s' }),
    loose('slow-joins', {
      ...good,
      maxStaleness: '2s',
      read: readThrough({ ttl: '1s', loadTimeout: '5s' }),
    }),
    loose('zero', { ...good, maxStaleness: 0 }),
    loose('not-called', { ...good, read: bypass, write: external }),
    loose('negative', { ...good, read: readThrough({ ttl: '5s', negativeTtl: '10s' }) }),
    loose('bounds', {
      ...good,
      read: readThrough({ ttl: '1s', jitter: 2, l1: { maxEntries: 0, maxBytes: 1.5 } }),
    }),
    loose('wrong kinds', { ...good, prefer: 'stale', revive: 'User', absentWhen: 404 }),
    loose('strings', 'ttl=5'),
  ];

  it('gets a message a newcomer can act on', () => {
    const report = new CacheConfigurationError(bad.flatMap((candidate) => faultsOf(candidate)));
    expectGolden('bad-contracts.txt', report.message);
  });

  it('is refused at the first call, where no application was started to check it', async () => {
    const { engine } = testEngine();
    expect(() => engine.entities.stateOf(bad[4]!)).toThrow(
      expect.objectContaining({ code: 'CACHE_CONFIGURATION' }),
    );
    expect(() => engine.entities.stateOf(undefined as never)).toThrow(
      expect.objectContaining({ code: 'CACHE_ENTITY_EXPECTED' }),
    );
  });

  it('is refused when another entity has its name, because their entries would mix', () => {
    const { engine } = testEngine();
    engine.entities.register(loose('same', good), 'A.find');
    engine.entities.register(loose('same', good), 'B.find');
    expect(engine.entities.check()).toEqual([
      expect.objectContaining({
        code: 'CACHE_ENTITY_NAME_TAKEN',
        at: "entity 'same', used by A.find and entity 'same', used by B.find",
      }),
    ]);
  });

  it('says nothing against the entity whose name another one takes at a call', () => {
    const { engine } = testEngine();
    const first = loose('same', good);
    engine.entities.register(first, 'A.find');
    expect(engine.entities.check()).toEqual([]);
    expect(() => engine.entities.stateOf(loose('same', good))).toThrow(
      expect.objectContaining({ code: 'CACHE_CONFIGURATION' }),
    );
    expect(engine.entities.stateOf(first)).toBeDefined();
  });

  it('fails closed in a worker, whose siblings would not hear of its invalidations', () => {
    const closed = loose('permission', { ...good, prefer: 'error' });
    expect(faultsOf(closed, false)).toEqual([]);
    expect(faultsOf(closed, true).map(({ code }) => code)).toEqual(['CACHE_WORKERS_DIVERGE']);
    expect(faultsOf(loose('profile', good), true)).toEqual([]);
  });

  it('never changes what the user wrote, and cannot be changed afterwards', () => {
    const written = { ...good, read: readThrough({ ttl: '1m' }) };
    const before = structuredClone(written);
    const made = entity<string>('kept', written);
    faultsOf(made);
    expect(written).toEqual(before);
    expect(Object.isFrozen(written)).toBe(false);
    written.maxStaleness = '5s' as never;
    expect(made.contract.maxStaleness).toBe('1m');
  });
});

describe('the worst case', () => {
  const worst = (contract: object) => {
    const policy = resolvePolicy(loose('thing', contract), '') as Policy;
    return Object.fromEntries(worstStaleness(policy).map(({ mode, ms }) => [mode, ms]));
  };

  it('is the ttl, where nobody tells of a change', () => {
    expect(worst({ ...good, write: external() })).toEqual({
      'changed here': 60_000,
      'changed elsewhere': 60_000,
    });
  });

  it('is nothing for changes of this process, where its writes invalidate', () => {
    expect(worst(good)).toEqual({ 'changed here': 0, 'changed elsewhere': 60_000 });
  });

  it('is the load timeout, where a load may take longer than the ttl, because callers join it', () => {
    const read = readThrough({ ttl: '1s', loadTimeout: '5s' });
    expect(worst({ ...good, read })).toEqual({ 'changed here': 0, 'changed elsewhere': 5_000 });
  });

  it('is nothing at all, where every call asks the source', () => {
    expect(worst({ ...good, read: bypass(), maxStaleness: 0 })).toEqual({
      'changed here': 0,
      'changed elsewhere': 0,
    });
  });
});
