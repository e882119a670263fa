import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { acceptanceFaults, patienceFaults, patienceOf } from '../contract/acceptance.js';
import { isEntity, type AnyEntity } from '../contract/entity.js';
import type { Policy } from '../contract/policy.js';
import type { Fault } from '../errors/configuration.error.js';
import { show } from '../errors/wording.js';
import { calls, type Accepted } from '../read/call-context.js';
import type { EntityState } from '../store/entity-state.js';
import type { Engine } from './engine.js';
import { overridesOf, type Override } from './override-strategy.decorator.js';

type Handler = ReturnType<ExecutionContext['getHandler']>;

/** What the handlers of an application accept. */
export class Acceptances {
  private readonly known = new WeakMap<Handler, WeakMap<Type, Accepted>>();

  constructor(private readonly engine: Engine) {}

  /** What calls of this handler accept; looked up once per handler. */
  of(context: ExecutionContext): Accepted {
    const [handler, type] = [context.getHandler(), context.getClass()];
    let byType = this.known.get(handler);
    if (byType === undefined) this.known.set(handler, (byType = new WeakMap<Type, Accepted>()));
    let accepted = byType.get(type);
    if (accepted === undefined) byType.set(type, (accepted = this.accepted(type, handler)));
    return accepted;
  }

  /** The nearest wins: base classes, the controller, the handler; in each of them one entity over all. */
  private accepted(type: object, handler: object): Accepted {
    const layers = [...lineOf(type).reverse(), handler].map(overridesOf);
    if (layers.every((overrides) => overrides.length === 0)) return {};
    let accepts = new Map<EntityState, number>();
    let acceptsAll: number | undefined;
    const writesThrough = new Set<EntityState>();
    for (const overrides of layers) {
      for (const { read, write } of overrides.filter(({ all }) => all)) {
        if (read !== undefined)
          [accepts, acceptsAll] = [new Map<EntityState, number>(), patienceOf(read)];
        if (write !== undefined)
          this.engine.writtenBehind.forEach((state) => writesThrough.add(state));
      }
      for (const { entity, all, read, write } of overrides) {
        if (all || !isEntity(entity)) continue;
        const state = this.engine.entities.stateOf(entity);
        const patience = read && patienceOf(read);
        if (patience !== undefined) accepts.set(state, patience);
        if (write !== undefined) writesThrough.add(state);
      }
    }
    return { accepts, writesThrough, ...(acceptsAll !== undefined && { acceptsAll }) };
  }

  /** What is wrong with the overrides of a class and of the classes it extends. */
  faults(types: readonly Type[]): Fault[] {
    return [...new Set(types.flatMap(lineOf))].flatMap((type) => [
      ...overridesOf(type).flatMap((override) => this.check(override, type.name)),
      ...methodsOf(type).flatMap(({ name, body }) =>
        overridesOf(body).flatMap((override) => this.check(override, `${type.name}.${name}`)),
      ),
    ]);
  }

  private check({ entity, all, read, write, decorator }: Override, place: string): Fault[] {
    const at = `${place} → ${decorator}`;
    const states = this.engine.entities
      .all()
      .filter(({ policy }) => all || policy.entity === entity?.name);
    const policies = states.map(({ policy }) => policy);
    const faults = write === undefined ? [] : writeFaults(write, policies, at);
    if (read === undefined && write !== undefined) return faults;
    faults.push(...acceptanceFaults(read, at));
    if (faults.length > 0) return faults;
    const patience = patienceOf(read!)!;
    // A store forgets what nobody asks for; where the process is the store, a table does when it is full.
    for (const { remote } of states) remote?.keepFor(patience);
    return policies.flatMap((policy) => patienceFaults(policy, patience, at));
  }

  /** Makes the entities known that overrides name, so that the boot check covers them. */
  register(types: readonly Type[]): void {
    for (const type of new Set(types.flatMap(lineOf))) {
      const carriers = [{ name: '', body: type as object }, ...methodsOf(type)];
      for (const { name, body } of carriers) {
        for (const { entity, all, decorator } of overridesOf(body)) {
          const place = `${[type.name, name].filter(Boolean).join('.')} → ${decorator}`;
          if (!all) this.engine.entities.register(entity as AnyEntity, place);
        }
      }
    }
  }
}

/**
 * Adds to the context of an HTTP request what its handler accepts, before the guards of controllers and handlers run:
 * a permission that a guard reads is read as the request wishes. Always lets pass.
 */
export class AcceptanceGuard implements CanActivate {
  constructor(private readonly acceptances: Acceptances) {}

  canActivate(context: ExecutionContext): boolean {
    const request = calls.getStore();
    // One HTTP request has one handler, so its context is its own; the resolvers of a GraphQL request share theirs.
    if (request !== undefined && context.getType() === 'http') {
      Object.assign(request, this.acceptances.of(context));
    }
    return true;
  }
}

function writeFaults(write: unknown, policies: readonly Policy[], at: string): Fault[] {
  if ((write as { kind?: unknown } | null)?.kind !== 'write-through') {
    return [
      {
        code: 'CACHE_OPTION_INVALID',
        problem: `\`write\` of @OverrideStrategy must be writeThrough(), got ${show(write)}.`,
        at,
        fix: 'write `write: writeThrough()`: requests through this handler then wait until what they change is written.',
      },
    ];
  }
  if (policies.some(({ writeBehind }) => writeBehind !== undefined)) return [];
  return [
    {
      code: 'CACHE_WRITE_CONTRADICTED',
      problem:
        '`write: writeThrough()` of @OverrideStrategy is for entities that are written behind, and this is none.',
      at,
      fix: 'remove it: the methods of other entities write at once.',
    },
  ];
}

/** A class and the classes it extends. */
function lineOf(type: object | null): Type[] {
  if (typeof type !== 'function' || type === Function.prototype) return [];
  return [type as Type, ...lineOf(Object.getPrototypeOf(type) as object | null)];
}

function methodsOf(type: Type): { name: string; body: object }[] {
  const prototype = (type.prototype ?? {}) as object;
  return Object.entries(Object.getOwnPropertyDescriptors(prototype)).flatMap(([name, { value }]) =>
    typeof value === 'function' ? [{ name, body: value as object }] : [],
  );
}
