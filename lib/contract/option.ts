/** The options known so far: those of the levels above, then those of the rows above. Durations in milliseconds. */
export interface Known {
  readonly [option: string]: unknown;
}

interface Row {
  readonly meaning: string;
  readonly required?: true;
  /** What stands in for an option that is not given. */
  readonly standard?: (known: Known) => unknown;
  /** The same, in words. */
  readonly standardText?: string;
}

/** One row of the table of options: what an option takes, and what it means. */
export type Option = Row &
  (
    | {
        readonly kind: 'duration' | 'bounds' | 'count' | 'fraction';
        readonly min: number;
        readonly max: number;
      }
    | { readonly kind: 'choice'; readonly choices: readonly string[] }
    | { readonly kind: 'strategy'; readonly strategies: { readonly [kind: string]: string } }
    | { readonly kind: 'function' | 'name' | 'options' | 'origin' | 'store' }
  );
export type Options = { readonly [option: string]: Option };

/** Names that can stand in events and in the keys of any store. */
export const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const DAY = 24 * 60 * MINUTE;
