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
  | 'CACHE_DECORATOR_CONFLICT'
  | 'CACHE_DECORATOR_MISPLACED'
  | 'CACHE_TARGET_INVALID'
  | 'CACHE_MODULE_TWICE'
  | 'CACHE_PROVIDER_FROZEN'
  | 'CACHE_PROVIDER_SHARED'
  | 'CACHE_WORKERS_DIVERGE';

/** Every fault of every class and contract, found while the application starts, in one report. */
export class CacheConfigurationError extends CacheError {
  readonly code = 'CACHE_CONFIGURATION';
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    const sorted = [...faults].sort(byPlace);
    super(report(sorted));
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

function report(faults: readonly Fault[]): string {
  const count = faults.length === 1 ? '1 fault keeps' : `${faults.length} faults keep`;
  const entries = faults.map((fault, index) => {
    const lines = [`${index + 1}. [${fault.code}] ${fault.problem}`, `   At:  ${fault.at}`];
    if (fault.why !== undefined) lines.push(`   Why: ${fault.why}`);
    lines.push(`   Fix: ${fault.fix}`);
    return lines.join('\n');
  });
  return [`${count} the cache from starting.`, ...entries].join('\n\n');
}
