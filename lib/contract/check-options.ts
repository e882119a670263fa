import type { Fault } from '../errors/configuration.error.js';
import { closest, show, showNoText } from '../errors/wording.js';
import { formatDuration, parseDuration } from '../time/duration.js';
import type { Bounds } from './entity.js';
import { NAME, type Known, type Option, type Options } from './option.js';

/** Where options were written, as reports name it. */
export interface Place {
  /** The owner of the options, as a subject: "entity 'profile'". */
  readonly owner: string;
  /** Prefix of their names: `read.` for the options of a read strategy. */
  readonly path: string;
  readonly at: string;
}

/** Given options with every default filled in, durations in milliseconds; and what is wrong with them. */
export function checkOptions(
  options: Options,
  given: unknown,
  place: Place,
  above: Known = {},
): { known: Known; faults: Fault[] } {
  const faults: Fault[] = [];
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    const name = place.path === '' ? 'what is declared' : `\`${place.path.slice(0, -1)}\``;
    faults.push({
      code: 'CACHE_OPTION_INVALID',
      problem: `${name} ${place.path === '' ? 'for' : 'of'} ${place.owner} must be an object of options, got ${show(given)}.`,
      at: place.at,
      fix: `write { ${firstOf(options)} }.`,
    });
    return { known: above, faults };
  }
  const written = given as Known;
  for (const name of Object.keys(written)) {
    if (!Object.hasOwn(options, name)) faults.push(unknown(name, options, place));
  }
  const known: { [option: string]: unknown } = { ...above };
  for (const [name, option] of Object.entries(options)) {
    if (written[name] !== undefined) {
      const parsed = parse(option, written[name]);
      if (parsed === undefined) faults.push(invalid(name, option, written[name], place));
      known[name] = parsed;
    } else if (option.required) {
      // A misspelt name has been told already, with this one as its mend.
      if (!isMeant(name, written, options)) faults.push(missing(name, option, place));
    } else if (faults.length === 0) {
      known[name] = option.standard?.(known);
    }
  }
  return { known, faults };
}

function isMeant(name: string, written: Known, options: Options): boolean {
  const names = Object.keys(options);
  return Object.keys(written).some(
    (word) => !names.includes(word) && closest(word, names) === name,
  );
}

function parse(option: Option, value: unknown): unknown {
  switch (option.kind) {
    case 'duration': {
      const ms = parseDuration(value);
      return ms !== undefined && ms >= option.min && ms <= option.max ? ms : undefined;
    }
    case 'bounds':
      return parseBounds(option, value);
    case 'count':
      return Number.isInteger(value) && within(option, value as number) ? value : undefined;
    case 'fraction':
      return typeof value === 'number' && within(option, value) ? value : undefined;
    case 'choice':
      return option.choices.includes(value as string) ? value : undefined;
    case 'strategy': {
      const kind = (value as { kind?: unknown } | null)?.kind;
      return typeof kind === 'string' && Object.hasOwn(option.strategies, kind) ? value : undefined;
    }
    case 'name':
      return typeof value === 'string' && NAME.test(value) ? value : undefined;
    case 'function':
      return typeof value === 'function' ? value : undefined;
    case 'origin':
      return typeof (value as { name?: unknown } | null)?.name === 'string' ? value : undefined;
    case 'options':
      return typeof value === 'object' && !Array.isArray(value) ? value : undefined;
    case 'store':
      return value;
  }
}

/** One duration for both, or one for each; trouble may allow more, never less. */
function parseBounds(option: Limits, value: unknown): Bounds<number> | undefined {
  const both = typeof value === 'object' && value !== null;
  const given = (both ? value : { normal: value, incident: value }) as Bounds<unknown>;
  if (Object.keys(given).some((name) => name !== 'normal' && name !== 'incident')) return undefined;
  const [normal, incident] = [parseDuration(given.normal), parseDuration(given.incident)];
  if (normal === undefined || incident === undefined || normal > incident) return undefined;
  return within(option, normal) && within(option, incident) ? { normal, incident } : undefined;
}

interface Limits {
  readonly min: number;
  readonly max: number;
}

function within({ min, max }: Limits, value: number): boolean {
  return value >= min && value <= max;
}

/** What an option takes, as messages and docs/options.md say it. */
export function expectation(option: Option): string {
  switch (option.kind) {
    case 'duration':
      return `a duration from ${formatDuration(option.min)} to ${formatDuration(option.max)}`;
    case 'bounds':
      return `a duration from ${formatDuration(option.min)} to ${formatDuration(option.max)}, or { normal, incident } with the longer one for incidents`;
    case 'count':
      return `a whole number from ${option.min} to ${option.max}`;
    case 'fraction':
      return `a number from ${option.min} to ${option.max}`;
    case 'choice':
      return option.choices.map((choice) => `'${choice}'`).join(' or ');
    case 'strategy':
      return Object.values(option.strategies).join(' or ');
    case 'name':
      return 'letters, digits, `-`, `_` and `.`, 1 to 64 of them';
    case 'function':
      return 'a function';
    case 'origin':
      return "origin('database', { maxConcurrent: 10 })";
    case 'options':
      return 'an object of options';
    case 'store':
      return 'redisStore({ url })';
  }
}

function unknown(name: string, options: Options, place: Place): Fault {
  const meant = closest(name, Object.keys(options));
  return {
    code: 'CACHE_OPTION_UNKNOWN',
    problem: `${place.owner} has no option \`${place.path}${name}\`.`,
    at: place.at,
    fix: meant
      ? `write \`${meant}\` instead of \`${name}\`.`
      : `remove it; the options are ${Object.keys(options).join(', ')}.`,
  };
}

function firstOf(options: Options): string {
  const [name, option] = Object.entries(options)[0]!;
  return `${name}: ${examples(option)[0]}, …`;
}

function missing(name: string, option: Option, place: Place): Fault {
  return {
    code: 'CACHE_OPTION_MISSING',
    problem: `${place.owner} says nothing about \`${place.path}${name}\`: expected ${expectation(option)}.`,
    at: place.at,
    fix: `add ${examples(option)
      .map((example) => `\`${name}: ${example}\``)
      .join(' or ')}.`,
  };
}

/** A text in their place may be an address with a password in it. */
const OF_OTHERS: ReadonlySet<Option['kind']> = new Set(['options', 'store']);

function invalid(name: string, option: Option, got: unknown, place: Place): Fault {
  return {
    code: 'CACHE_OPTION_INVALID',
    problem: `\`${place.path}${name}\` of ${place.owner} must be ${expectation(option)}, got ${OF_OTHERS.has(option.kind) ? showNoText(got) : show(got)}.`,
    at: place.at,
    fix: repair(option, got),
  };
}

function repair(option: Option, got: unknown): string {
  if (option.kind === 'strategy' && typeof got === 'function') {
    return `call it: write one of ${expectation(option)}.`;
  }
  if (option.kind === 'duration' && parseDuration(got) === undefined) {
    return "write milliseconds as a number, or one number with one unit: '250ms', '30s', '5m', '1h', '7d'.";
  }
  return `write ${expectation(option)}${option.standardText ? `, or leave it out for ${option.standardText}` : ''}.`;
}

function examples(option: Option): string[] {
  switch (option.kind) {
    case 'duration':
    case 'bounds':
      return ["'1m'"];
    case 'strategy':
      return Object.values(option.strategies);
    case 'count':
      return [String(Math.min(option.max, Math.max(option.min, 10)))];
    case 'choice':
      return [`'${option.choices[0]}'`];
    default:
      return ['…'];
  }
}
