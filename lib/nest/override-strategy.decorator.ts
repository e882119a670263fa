import { isEntity, type AnyEntity } from '../contract/entity.js';
import type { Acceptance } from '../contract/acceptance.js';
import type { WriteThrough } from '../contract/strategies.js';

const OVERRIDES = 'nestjs-cache-contract:overrides';

/** One `@OverrideStrategy`; without an entity it is for all. */
export interface Override {
  readonly entity: AnyEntity | undefined;
  readonly all: boolean;
  readonly read: Acceptance | undefined;
  readonly write: WriteThrough | undefined;
  /** As it was written, for reports: `@OverrideStrategy(product)`. */
  readonly decorator: string;
}

/** What a handler asks for: at least one of the two. */
export type StrategyOverride =
  | { readonly read: Acceptance; readonly write?: WriteThrough }
  | { readonly read?: undefined; readonly write: WriteThrough };

/**
 * What requests through this controller or handler accept: `{ read: bypass() }`, `fresh()` or `acceptStale('10m')`, for
 * one entity or for all. With `{ write: writeThrough() }` mutations of write-behind entities are written before their
 * calls resolve: by the same method, as a batch of one, after all that was accepted before them.
 *
 * Never what is stored: entries are filled under the contract, and each reader judges them for itself. A handler goes
 * before its controller, one entity before all. Over HTTP the guards of controllers and handlers are included; global
 * guards of the application may run before. Checked against the contracts when the application starts.
 */
export function OverrideStrategy(strategy: StrategyOverride): ClassDecorator & MethodDecorator;
export function OverrideStrategy(
  entity: AnyEntity,
  strategy: StrategyOverride,
): ClassDecorator & MethodDecorator;
export function OverrideStrategy(...given: unknown[]): ClassDecorator & MethodDecorator {
  // By number: an entity that is not there yet, as in a circle of imports, must not become "all".
  const all = given.length < 2;
  const [entity, strategy] = (all ? [undefined, given[0]] : given) as [
    AnyEntity | undefined,
    StrategyOverride | undefined,
  ];
  const name = all ? '' : isEntity(entity) ? entity.name : '?';
  const { read, write } = strategy ?? {};
  const override = { entity, all, read, write, decorator: `@OverrideStrategy(${name})` };
  return (target: object, _name?: string | symbol, descriptor?: PropertyDescriptor) => {
    const carrier = (descriptor?.value ?? target) as object;
    Reflect.defineMetadata(OVERRIDES, [override, ...overridesOf(carrier)], carrier);
  };
}

/** The overrides of a class or of a method, as written from top to bottom. */
export function overridesOf(carrier: object): Override[] {
  return (Reflect.getOwnMetadata(OVERRIDES, carrier) as Override[] | undefined) ?? [];
}
