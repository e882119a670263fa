import { CacheError } from './cache.error.js';

/** One thing that is wrong with the configuration, told so that it can be mended. */
export interface Fault {
  readonly code: FaultCode;
  /** What was expected and what came. */
  readonly problem: string;
  /** Where it was written: the entity, and the classes and methods that use it. */
  readonly at: string;
  /** The arithmetic or the reason, where the problem alone does not show it. */
  readonly why?: string;
  /** The smallest change that mends it. */
  readonly fix: string;
}

export type FaultCode =
  | 'CACHE_OPTION_UNKNOWN'
  | 'CACHE_OPTION_MISSING'
  | 'CACHE_OPTION_INVALID'
  | 'CACHE_STALENESS_EXCEEDED'
  | 'CACHE_ENTITY_NAME_TAKEN'
  | 'CACHE_ENTITY_EXPECTED'
  | 'CACHE_WRITE_EXTERNAL'
  | 'CACHE_WRITE_CONTRADICTED'
  | 'CACHE_DECORATOR_CONFLICT'
  | 'CACHE_DECORATOR_MISPLACED'
  | 'CACHE_TARGET_INVALID'
  | 'CACHE_MODULE_TWICE'
  | 'CACHE_PROVIDER_FROZEN'
  | 'CACHE_PROVIDER_SHARED'
  | 'CACHE_PREFERENCE_CONTRADICTED'
  | 'CACHE_ORIGIN_CONTRADICTED'
  | 'CACHE_STORE_UNKNOWN'
  | 'CACHE_STORE_UNFIT'
  | 'CACHE_WORKERS_DIVERGE'
  | 'CACHE_FLUSH_MISSING'
  | 'CACHE_FLUSH_AMBIGUOUS'
  | 'CACHE_FLUSH_SCOPED'
  | 'CACHE_LEDGER_MISSING';

/** Every fault of every class and contract, in one report: found at the start, or at a first use without one. */
export class CacheConfigurationError extends CacheError {
  readonly code = 'CACHE_CONFIGURATION';
  readonly faults: readonly Fault[];

  constructor(
    faults: readonly Fault[],
    found: 'at the start' | 'at the first use' = 'at the start',
  ) {
    const sorted = [...faults].sort(byPlace);
    super(report(sorted, found));
    this.faults = sorted;
  }
}

function byPlace(a: Fault, b: Fault): number {
  return compare(a.at, b.at) || compare(a.code, b.code) || compare(a.problem, b.problem);
}

/** By code unit, so that the report is the same in every locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function report(faults: readonly Fault[], found: string): string {
  const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`;
  const heading =
    found === 'at the start'
      ? `${count} ${faults.length === 1 ? 'keeps' : 'keep'} the cache from starting.`
      : `${count} found at the first use. CacheModule.forFeature([…]) has an entity checked at the start.`;
  const entries = faults.map((fault, index) => {
    const lines = [`${index + 1}. [${fault.code}] ${fault.problem}`, `   At:  ${fault.at}`];
    if (fault.why !== undefined) lines.push(`   Why: ${fault.why}`);
    lines.push(`   Fix: ${fault.fix}`);
    return lines.join('\n');
  });
  return [heading, ...entries].join('\n\n');
}
