import {
  bypass,
  counter,
  entity,
  invalidate,
  readThrough,
  staleWhileRevalidate,
  writeBehind,
} from 'nestjs-cache-contract';
import { bootFaults } from '../../../lib/contract/boot-rules.js';
import type { AnyEntity } from '../../../lib/contract/entity.js';
import { resolvePolicy, type Policy } from '../../../lib/contract/policy.js';
import { worstStaleness } from '../../../lib/contract/worst-case.js';
import type { Fault } from '../../../lib/errors/configuration.error.js';
import { parseDuration } from '../../../lib/time/duration.js';

/** Contracts as somebody who ignores the compiler writes them. */
const loose = entity as unknown as (name: unknown, contract: unknown) => AnyEntity;
const inForce = (contract: object) => resolvePolicy(loose('view', contract), "entity 'view'");

function faultsOf(contract: object): readonly Fault[] {
  const policy = inForce(contract);
  if (Array.isArray(policy)) return policy as Fault[];
  return bootFaults(policy as Policy, "entity 'view'", { worker: false });
}
const told = (contract: object) =>
  faultsOf(contract).map(({ code, problem, fix }) => `${code} ${problem} ${fix}`);
const written = (write: unknown) => ({ ...counter(), write });
const behind = (options: object) => written(writeBehind(options));

describe('the options of writeBehind()', () => {
  it('have defaults that a contract of three lines can live with', () => {
    const policy = inForce({ ...counter(), write: writeBehind() }) as Policy;
    expect(policy.writeBehind).toEqual({
      merge: 'lastWrite',
      flushEveryMs: 1_000,
      maxBatch: 500,
      maxPending: 10_000,
      shards: 1,
      flushTimeoutMs: 5_000,
      attempts: 5,
      delayMs: 250,
      maxDelayMs: 30_000,
    });
  });

  it.each<[object, string]>([
    [{ merge: 'max' }, "`write.merge` of entity 'view' must be 'lastWrite' or 'sum', got 'max'"],
    [{ flushEvery: 0 }, "`write.flushEvery` of entity 'view' must be a duration from 1ms to 1h"],
    [{ flushEvery: '61m' }, '`write.flushEvery`'],
    [{ maxBatch: 0 }, "`write.maxBatch` of entity 'view' must be a whole number from 1 to 10000"],
    [{ maxBatch: 10_001 }, '`write.maxBatch`'],
    [{ maxPending: 1.5 }, '`write.maxPending`'],
    [{ maxPending: '10' }, "`write.maxPending` of entity 'view' must be a whole number from 1"],
    [{ shards: 65 }, "`write.shards` of entity 'view' must be a whole number from 1 to 64"],
    [{ flushTimeout: '11m' }, '`write.flushTimeout`'],
    [{ retry: 5 }, "`write.retry` of entity 'view' must be an object of options, got 5 (number)"],
    [{ retry: { attempts: 0 } }, '`write.retry.attempts`'],
    [{ retry: { delay: '11m' } }, '`write.retry.delay`'],
    [{ retry: { maxDelay: '2h' } }, '`write.retry.maxDelay`'],
    [
      { retry: { delay: '2s', maxDelay: '1s' } },
      "`write.retry.maxDelay` of entity 'view' must not be shorter than its `delay` (2s), got 1s. raise `maxDelay` to '2s' or more.",
    ],
  ])('%j is refused by name', (options, sentence) => {
    const [message, ...more] = told(behind(options));
    expect([message, more]).toEqual([expect.stringContaining(sentence), []]);
    expect(message).toMatch(/^CACHE_OPTION_INVALID/);
  });

  it.each<[object, string]>([
    [{ flushEvry: 1 }, 'write `flushEvery` instead of `flushEvry`.'],
    [{ retry: { attempt: 1 } }, 'write `attempts` instead of `attempt`.'],
    [{ interval: '1s' }, 'remove it; the options are merge, flushEvery,'],
  ])('%j is unknown, and the one that was meant is named', (options, sentence) => {
    expect(told(behind(options))).toEqual([
      expect.stringMatching(/^CACHE_OPTION_UNKNOWN entity 'view' has no option `write\./),
    ]);
    expect(told(behind(options))[0]).toContain(sentence);
  });

  it('are checked as given: a fault of the retry options comes with those of the others', () => {
    const options = { maxBatch: 0, shards: 0, retry: { attempts: 0, dely: '1s' } };
    expect(faultsOf(behind(options)).map(({ code }) => code)).toEqual([
      'CACHE_OPTION_INVALID',
      'CACHE_OPTION_INVALID',
      'CACHE_OPTION_UNKNOWN',
      'CACHE_OPTION_INVALID',
    ]);
  });

  it.each([null, 'sum', 7])(
    'are refused where %j stands in their place, with an example that may be copied',
    (options) => {
      const [fault] = faultsOf(written({ kind: 'write-behind', options }));
      expect(fault?.problem).toMatch(/^`write` of entity 'view' must be an object of options, got/);
      expect(fault?.fix).not.toContain('merge: …');
    },
  );
});

it('is refused for those who prefer an error, because a crash would take back what they were answered', () => {
  expect(told({ ...counter(), prefer: 'error' })).toEqual([
    expect.stringMatching(
      /^CACHE_PREFERENCE_CONTRADICTED .* mutations that a crash would lose\. write `write:/,
    ),
  ]);
  expect(told({ ...counter(), prefer: 'error', write: invalidate() })).toEqual([]);
});

describe('how stale a write-behind entity can be', () => {
  const worst = (contract: object) =>
    Object.fromEntries(
      worstStaleness(inForce(contract) as Policy).map(({ mode, ms }) => [mode, ms]),
    );

  it('is nothing where it was accepted, and elsewhere until it is written and the old value expires', () => {
    expect(worst(counter())).toEqual({
      'changed here': 0,
      'changed elsewhere': 10_000,
      'accepted elsewhere': 26_000,
    });
  });

  it('is the way to the database wherever every call asks that', () => {
    expect(worst({ ...counter(), read: bypass() })).toEqual({
      'changed here': 10_000,
      'changed elsewhere': 0,
      'accepted elsewhere': 10_000,
    });
  });

  it('is told with its arithmetic where it breaks the promise', () => {
    const [fault] = faultsOf({ ...counter(), maxStaleness: '25s' });
    expect(fault).toEqual({
      code: 'CACHE_STALENESS_EXCEEDED',
      problem:
        "entity 'view' promises maxStaleness 25s, its policy allows 26s when a mutation is accepted by another process.",
      at: "entity 'view'",
      why: 'a mutation waits for its flushEvery of 1s or for the batch before its own, and is written with its own: each takes up to its flushTimeout of 5s, after loads of up to 3s; and then a value is served until its ttl of 10s.',
      fix: "lower `ttl` (10s) to '9s' or less, or raise `maxStaleness` to '26s'.",
    });
  });
});

describe('what is told to be lowered or raised mends the contract, followed to the letter,', () => {
  const read = readThrough({ ttl: '20s' });
  const cases: { [name: string]: { [option: string]: any } } = {
    'where the ttl alone is too long': { ...counter(), maxStaleness: '25s' },
    'where the ttl would become shorter than a load may take': {
      maxStaleness: '8s',
      read,
      write: writeBehind(),
    },
    'where the ttl is short already': {
      maxStaleness: '8s',
      read: readThrough({ ttl: '2s' }),
      write: writeBehind(),
    },
    'where writing alone takes too long': {
      maxStaleness: '4s',
      read,
      write: writeBehind({ flushEvery: '1s', flushTimeout: '5s' }),
    },
    'where every call asks the source': {
      maxStaleness: '3s',
      read: bypass(),
      write: writeBehind(),
    },
    'where every call asks the source, and flushing alone takes too long': {
      maxStaleness: '1s',
      read: bypass(),
      write: writeBehind({ flushEvery: '5s' }),
    },
    'where nothing stale is promised': { maxStaleness: 0, read: bypass(), write: writeBehind() },
    'where something stale is served': {
      maxStaleness: '10s',
      read: staleWhileRevalidate({ ttl: '3s', staleFor: '10s' }),
      write: writeBehind({ flushTimeout: '1s' }),
    },
  };
  const names = Object.keys(cases);

  it.each(names)('by raising, %s', (name) => {
    const contract = cases[name]!;
    const [fault, ...more] = faultsOf(contract);
    expect([fault?.code, more]).toEqual(['CACHE_STALENESS_EXCEEDED', []]);
    const [, raised] = /raise `maxStaleness` to '([^']+)'/.exec(fault!.fix)!;
    expect(told({ ...contract, maxStaleness: raised })).toEqual([]);
  });

  it('by another strategy, where no length would do', () => {
    const [fault] = faultsOf(cases['where nothing stale is promised']!);
    expect(fault?.fix).toMatch(
      /^write `write: writeThrough\(\)` or `invalidate\(\)`, or admit staleness: raise/,
    );
  });

  const lowerable = names.filter((name) => name !== 'where nothing stale is promised');
  it.each(lowerable)('by lowering, %s', (name) => {
    const contract = cases[name]!;
    const [fault] = faultsOf(contract);
    const sentence = fault!.fix.slice(0, fault!.fix.indexOf(', or raise'));
    expect(sentence).toMatch(/^lower `\w+` \(/);
    expect(told(lowered(contract, sentence))).toEqual([]);
  });

  /** The contract with every option the sentence names lowered as far as it says. */
  function lowered(contract: { [option: string]: any }, sentence: string): object {
    const read: { kind: string; options?: object } = { ...contract.read };
    const write = { ...contract.write };
    for (const [, option, to] of sentence.matchAll(/`(\w+)` \([^)]+\) to '([^']+)'/g)) {
      const of = option!.startsWith('flush') ? write : read;
      of.options = { ...of.options, [option!]: parseDuration(to!) };
    }
    return { ...contract, read, write };
  }
});
