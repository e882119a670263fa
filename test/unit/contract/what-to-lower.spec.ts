import fc from 'fast-check';
import {
  bypass,
  entity,
  external,
  invalidate,
  readThrough,
  staleWhileRevalidate,
  writeBehind,
  writeThrough,
} from 'nestjs-cache-contract';
import { bootFaults } from '../../../lib/contract/boot-rules.js';
import type { AnyEntity } from '../../../lib/contract/entity.js';
import { resolvePolicy, type Policy } from '../../../lib/contract/policy.js';
import { worstStaleness } from '../../../lib/contract/worst-case.js';
import type { Fault } from '../../../lib/errors/configuration.error.js';
import { parseDuration } from '../../../lib/time/duration.js';
import { holds } from '../../support/property.js';

/** Contracts that are put together here, past the compiler. */
interface Contract {
  readonly maxStaleness: { readonly normal: number; readonly incident: number };
  readonly read: { readonly kind: string; readonly options?: object };
  readonly write: { readonly kind: string; readonly options?: object };
}
const loose = entity as unknown as (name: string, contract: Contract) => AnyEntity;

function faultsOf(contract: Contract): readonly Fault[] {
  const policy = resolvePolicy(loose('view', contract), "entity 'view'");
  if (Array.isArray(policy)) return policy as Fault[];
  return bootFaults(policy as Policy, "entity 'view'", { worker: false });
}
const worst = (contract: Contract, bound: 'normal' | 'incident') =>
  Math.max(
    0,
    ...worstStaleness(resolvePolicy(loose('view', contract), '') as Policy)
      .filter((exposure) => exposure.bound === bound)
      .map(({ ms }) => ms),
  );

/** The contract with every option that is named lowered as far as is said, and nothing else. */
function lowered(contract: Contract, named: readonly { option: string; to: number }[]): Contract {
  const [read, write] = [{ ...contract.read }, { ...contract.write }];
  for (const { option, to } of named) {
    const of = option.startsWith('flush') ? write : read;
    of.options = { ...of.options, [option]: to };
  }
  return { ...contract, read, write };
}
const LOWER = /`(\w+)` \(([^)]+)\) to '([^']+)'/g;
const lengthsIn = (fix: string) =>
  [...fix.slice(0, fix.indexOf(', or raise')).matchAll(LOWER)].map(([, option, from, to]) => ({
    option: option!,
    from: parseDuration(from!)!,
    to: parseDuration(to!)!,
  }));

/** Lengths as people write them: mostly a few round ones, so that many coincide. */
const length = (longest: number) =>
  fc.oneof(
    fc.constantFrom(
      ...[1, 2, 500, 999, 1_000, 3_000, 5_000, 20_000, 60_000].filter((ms) => ms <= longest),
    ),
    fc.integer({ min: 1, max: longest }),
  );
const loaded = { ttl: length(90_000), loadTimeout: length(60_000), negativeTtl: fc.constant(1) };
const reads = fc.oneof(
  fc.record({ ...loaded, staleIfError: length(90_000) }).map((options) => readThrough(options)),
  fc.record(loaded).map((options) => readThrough(options)),
  fc
    .record({ ...loaded, staleFor: length(90_000), staleIfError: length(90_000) })
    .map((options) => staleWhileRevalidate(options)),
  fc.constant(bypass()),
);
const writes = fc.oneof(
  fc
    .record({ flushEvery: length(60_000), flushTimeout: length(60_000) })
    .map((options) => writeBehind(options)),
  fc.constantFrom(invalidate(), writeThrough(), external()),
);
const contracts = fc
  .record({
    read: reads,
    write: writes,
    /** How much of what the policy allows is promised, in percent. */
    normal: fc.integer({ min: 0, max: 110 }),
    incident: fc.integer({ min: 0, max: 110 }),
  })
  .map(({ read, write, normal, incident }): Contract => {
    const generous = { read, write, maxStaleness: { normal: 3_600_000, incident: 3_600_000 } };
    const promised = Math.floor((worst(generous, 'normal') * normal) / 100);
    const inTrouble = Math.floor((worst(generous, 'incident') * incident) / 100);
    return {
      ...generous,
      maxStaleness: { normal: promised, incident: Math.max(promised, inTrouble) },
    };
  })
  .filter((contract) =>
    faultsOf(contract).every(({ code }) => code === 'CACHE_STALENESS_EXCEEDED'),
  );

const boundOf = ({ problem }: Fault) =>
  problem.includes('maxStaleness.incident') ? ('incident' as const) : ('normal' as const);

/** Each fault of a random contract that breaks a promise. */
const told = (judge: (contract: Contract, fault: Fault, bound: 'normal' | 'incident') => void) =>
  fc.property(contracts, (contract) => {
    for (const fault of faultsOf(contract)) judge(contract, fault, boundOf(fault));
  });

describe('what is told of a contract that its policy breaks', () => {
  it('mends it, followed to the letter: each option it names is lowered, and by that the promise is kept', async () => {
    const seen = { lowered: 0, another: 0 };
    await holds(
      told((contract, fault, bound) => {
        const allowed = contract.maxStaleness[bound];
        if (fault.fix.startsWith('write ')) {
          seen.another++;
          return;
        }
        seen.lowered++;
        expect(fault.fix).toMatch(/^lower `\w+` \(/);
        const lengths = lengthsIn(fault.fix);
        expect(lengths.length).toBeGreaterThan(0);
        for (const { from, to } of lengths) {
          expect(to).toBeGreaterThan(0);
          expect(to).toBeLessThan(from);
        }
        const mended = lowered(contract, lengths);
        expect(worst(mended, bound)).toBeLessThanOrEqual(allowed);
        const left = faultsOf(mended).filter((fault) => boundOf(fault) === bound);
        expect(left).toEqual([]);
      }),
      600,
    );
    expect(seen.lowered).toBeGreaterThan(100);
    expect(seen.another).toBeGreaterThan(10);
  });

  it('names the options as they are, and none whose lowering is of no use', async () => {
    await holds(
      told((contract, { fix }, bound) => {
        const lengths = lengthsIn(fix);
        const known = { ...contract.read.options, ...contract.write.options } as {
          [option: string]: number;
        };
        for (const { option, from } of lengths) {
          expect([option, from]).toEqual([option, known[option]]);
        }
        expect(new Set(lengths.map(({ option }) => option)).size).toBe(lengths.length);
        const useless = (name: string) =>
          name === 'staleIfError'
            ? bound === 'normal'
            : name.startsWith('flush') && bound === 'incident';
        expect(lengths.filter(({ option }) => useless(option))).toEqual([]);
      }),
      300,
    );
  });

  it('is another strategy only where no length would do: each option at its least is still too long', async () => {
    await holds(
      told((contract, { fix }, bound) => {
        if (!fix.startsWith('write ')) return;
        const least = Object.keys({ ...contract.read.options, ...contract.write.options })
          .filter((option) => option !== 'negativeTtl')
          .map((option) => ({ option, to: 1 }));
        expect(worst(lowered(contract, least), bound)).toBeGreaterThan(
          contract.maxStaleness[bound],
        );
        expect(fix).toMatch(/^write `(read: bypass\(\)|write: writeThrough\(\))`/);
      }),
      600,
    );
  });

  it('says to what it may be raised instead, which is enough and not a millisecond too much', async () => {
    await holds(
      told((contract, { fix }, bound) => {
        const [, raised] = /raise `maxStaleness(?:\.incident)?` to '([^']+)'/.exec(fix)!;
        const ms = parseDuration(raised!)!;
        expect(worst(contract, bound)).toBe(ms);
      }),
      300,
    );
  });
});
