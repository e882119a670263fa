import type { Fault } from '../errors/configuration.error.js';
import type { Place } from './check-options.js';
import type { Options } from './option.js';

/** A value from outside the code, and where it was written. */
export interface Overriding {
  readonly value: unknown;
  readonly source: string;
}
export type OverridingOptions = { readonly [option: string]: Overriding };

/** What is laid over one contract: overrides over what it gives, standards under it. */
export class Overlay {
  private readonly used = new Map<string, string>();

  constructor(
    private readonly overrides: OverridingOptions,
    private readonly standards: OverridingOptions,
  ) {}

  /** Where faults of the contract were written, what is laid over it included. */
  placeOf(contract: string): string {
    const sources = Object.values(this.overrides).map(({ source }) => source);
    return sources.length === 0 ? contract : `${contract}, overridden by ${sources.join(', ')}`;
  }

  /** Where the values in force came from. */
  get sources(): readonly string[] {
    return [...this.used.values()];
  }

  /** The options of one level as they are in force. */
  over(given: unknown, options: Options): unknown {
    if (typeof given !== 'object' || given === null) return given;
    const laid: { [option: string]: unknown } = { ...given };
    for (const name of Object.keys(options)) {
      const standard = laid[name] === undefined ? this.standards[name] : undefined;
      const overriding = this.overrides[name] ?? standard;
      if (overriding === undefined) continue;
      laid[name] = overriding.value;
      this.used.set(name, overriding.source);
    }
    return laid;
  }

  /** Overrides of options that the contract's strategies do not have: nothing would come of them. */
  unused({ owner, at }: Place): Fault[] {
    return Object.entries(this.overrides)
      .filter(([name]) => !this.used.has(name))
      .map(([name, { source }]) => ({
        code: 'CACHE_OPTION_UNKNOWN',
        problem: `${source} overrides \`${name}\`, which the strategy of ${owner} does not have.`,
        at,
        fix: `remove it, or choose a strategy in the contract that has \`${name}\`.`,
      }));
  }
}
