import type { Fault } from '../errors/configuration.error.js';
import { closest, show } from '../errors/wording.js';
import {
  LOCAL_TIER_OPTIONS,
  READ_THROUGH_OPTIONS,
  STALE_WHILE_REVALIDATE_OPTIONS,
} from './options.js';
import { Overlay, type Overriding, type OverridingOptions } from './overlay.js';
import { WRITE_BEHIND_OPTIONS } from './write-behind-options.js';
import type { Duration } from '../time/duration.js';

/** What can be changed of a contract from outside the code. Checked as if it stood in the contract. */
export interface EntityOverrides {
  maxStaleness?: Duration;
  ttl?: Duration;
  jitter?: number;
  negativeTtl?: Duration;
  loadTimeout?: Duration;
  staleFor?: Duration;
  staleIfError?: Duration;
  earlyRefresh?: number;
  maxEntries?: number;
  maxBytes?: number;
  flushEvery?: Duration;
  maxBatch?: number;
  maxPending?: number;
  flushTimeout?: Duration;
}

const OVERRIDABLE = [
  'maxStaleness',
  ...Object.keys(READ_THROUGH_OPTIONS).filter((name) => name !== 'l1'),
  ...Object.keys(STALE_WHILE_REVALIDATE_OPTIONS).filter((name) => name === 'staleFor'),
  ...Object.keys(LOCAL_TIER_OPTIONS),
  // How mutations merge is part of what the methods mean, not of how the application is run.
  ...Object.keys(WRITE_BEHIND_OPTIONS).filter(
    (name) => !['merge', 'shards', 'retry'].includes(name),
  ),
];
const FOR_ENTITY = 'CACHE_ENTITY__';
const FOR_ALL = 'CACHE_DEFAULT__';

/** `maxEntries` is `MAX_ENTRIES`, `view-count` is `VIEW_COUNT`. */
function upper(name: string): string {
  return name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/[^A-Za-z0-9]/g, '_')
    .toUpperCase();
}

/**
 * What is changed from outside the code: by `overrides` of the module, and over it by the environment,
 * `CACHE_ENTITY__PRODUCT__TTL=30s` for one entity. `CACHE_DEFAULT__JITTER=0.2` stands in for the standard of an option
 * that a contract does not give. Only variables with these two prefixes are looked at, and these strictly.
 */
export class Overrides {
  constructor(
    private readonly module: { readonly [entity: string]: unknown } = {},
    private readonly environment: { readonly [name: string]: string | undefined } = {},
  ) {}

  /** What is laid over the contract of an entity. */
  of(entity: string): Overlay {
    return new Overlay(this.overriding(entity), this.variables(FOR_ALL));
  }

  private overriding(entity: string): OverridingOptions {
    const options: { [option: string]: Overriding } = {};
    const given = this.module[entity];
    if (typeof given === 'object' && given !== null) {
      for (const [option, value] of Object.entries(given)) {
        if (value !== undefined && OVERRIDABLE.includes(option))
          options[option] = { value, source: `overrides.${entity}.${option}` };
      }
    }
    return { ...options, ...this.variables(`${FOR_ENTITY}${upper(entity)}__`) };
  }

  /** What is written for entities or options that do not exist. */
  faults(entities: readonly string[]): Fault[] {
    const faults: Fault[] = [];
    for (const [entity, given] of Object.entries(this.module)) {
      const at = `CacheModule.forRoot({ overrides: { ${entity} } })`;
      if (!entities.includes(entity)) {
        faults.push(
          misnamed(`there is no entity '${entity}' to override.`, at, closest(entity, entities)),
        );
      } else if (typeof given !== 'object' || given === null) {
        faults.push({
          code: 'CACHE_OPTION_INVALID',
          problem: `the overrides of '${entity}' must be an object of options, got ${show(given)}.`,
          at,
          fix: "write { ttl: '30s' }.",
        });
      } else {
        const unknown = Object.keys(given).filter((option) => !OVERRIDABLE.includes(option));
        for (const option of unknown) {
          const problem = `\`${option}\` of '${entity}' cannot be overridden.`;
          faults.push(misnamed(problem, at, closest(option, OVERRIDABLE)));
        }
      }
    }
    faults.push(...this.ambiguous(entities));
    for (const name of Object.keys(this.environment))
      faults.push(...this.variableFaults(name, entities));
    return faults;
  }

  /** Entities that shells cannot tell apart, where a variable is set for them. */
  private ambiguous(entities: readonly string[]): Fault[] {
    return Object.keys(this.environment).flatMap((name) => {
      const meant = entities.filter((entity) => name.startsWith(`${FOR_ENTITY}${upper(entity)}__`));
      if (new Set(meant).size < 2) return [];
      return [
        {
          code: 'CACHE_OPTION_INVALID',
          problem: `the environment variable ${name} is meant for ${meant.map((entity) => `'${entity}'`).join(' and ')} alike.`,
          at: name,
          fix: 'rename one of the entities, or use `overrides` of the module.',
        },
      ];
    });
  }

  private variables(prefix: string): OverridingOptions {
    const options: { [option: string]: Overriding } = {};
    for (const option of OVERRIDABLE) {
      const name = prefix + upper(option);
      const text = this.environment[name];
      if (text !== undefined) options[option] = { value: parsed(text), source: name };
    }
    return options;
  }

  private variableFaults(name: string, entities: readonly string[]): Fault[] {
    const prefixes = [FOR_ALL, ...entities.map((entity) => `${FOR_ENTITY}${upper(entity)}__`)];
    const known = prefixes.flatMap((prefix) => OVERRIDABLE.map((option) => prefix + upper(option)));
    if (!name.startsWith(FOR_ENTITY) && !name.startsWith(FOR_ALL)) return [];
    if (known.includes(name)) return [];
    return [
      misnamed(
        `the environment variable ${name} names no option of an entity.`,
        name,
        closest(name, known),
      ),
    ];
  }
}

/** The environment holds text; what looks like a number is one. */
function parsed(text: string): unknown {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

function misnamed(problem: string, at: string, meant: string | undefined): Fault {
  return {
    code: 'CACHE_OPTION_UNKNOWN',
    problem,
    at,
    fix: meant === undefined ? 'remove it.' : `write ${meant}, or remove it.`,
  };
}
