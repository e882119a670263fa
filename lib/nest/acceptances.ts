import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { acceptanceFaults, patienceFaults, patienceOf } from '../contract/acceptance.js';
import { isEntity, type AnyEntity } from '../contract/entity.js';
import type { Fault } from '../errors/configuration.error.js';
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
    for (const overrides of layers) {
      for (const { read } of overrides.filter(({ all }) => all)) {
        [accepts, acceptsAll] = [new Map<EntityState, number>(), patienceOf(read)];
      }
      for (const { entity, all, read } of overrides) {
        const patience = patienceOf(read);
        if (all || !isEntity(entity) || patience === undefined) continue;
        accepts.set(this.engine.entities.stateOf(entity), patience);
      }
    }
    return { accepts, ...(acceptsAll !== undefined && { acceptsAll }) };
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

  private check({ entity, all, read, decorator }: Override, place: string): Fault[] {
    const at = `${place} → ${decorator}`;
    const faults = acceptanceFaults(read, at);
    if (faults.length > 0) return faults;
    const policies = this.engine.entities.policies();
    return policies
      .filter((policy) => all || policy.entity === entity?.name)
      .flatMap((policy) => patienceFaults(policy, patienceOf(read)!, at));
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
