import {
  Inject,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { Observable } from 'rxjs';
import type { AnyEntity, EntityKey } from '../contract/entity.js';
import { idOf } from '../entry/key.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { calls } from '../read/call-context.js';
import type { EntityState } from '../store/entity-state.js';
import { placeOf, type AnyFunction, type Binding, type WriteTarget } from './binding.js';
import { Engine } from './engine.js';

/**
 * Every call of a decorated method comes through here, and the entity's strategies answer it.
 *
 * The same class is the global interceptor of all handlers: it adds the handler to the context of the request, which
 * the middleware has opened, or opens one where there is no middleware (messages, queues, gateways).
 */
@Injectable()
export class CacheStrategyInterceptor implements NestInterceptor {
  private requests = 0;

  constructor(@Inject(Engine) readonly engine: Engine) {}

  /** A call of a decorated method. */
  call(binding: Binding, method: AnyFunction, self: object, args: unknown[]): Promise<unknown> {
    try {
      const state = this.engine.entities.stateOf(binding.entity);
      return binding.keyOf === undefined
        ? this.write(binding, state, this.idsBefore(binding, args), method, self, args)
        : this.engine.reader.read(state, binding.keyOf(...args), () => method.apply(self, args));
    } catch (error) {
      // A method that promises to return a promise does not throw.
      return Promise.reject(located(error, binding));
    }
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const outer = calls.getStore();
    const handler = `${context.getClass().name}.${context.getHandler().name}`;
    const own = { ...outer, request: outer?.request ?? this.nextRequest(), handler };
    // Not `calls.run(own, () => next.handle())`: a handler that returns an Observable runs when it is subscribed to.
    return new Observable((subscriber) =>
      calls.run(own, () => next.handle().subscribe(subscriber)),
    );
  }

  /** Opens the context of a request, before guards run. */
  open(next: () => void): void {
    calls.run({ request: this.nextRequest() }, next);
  }

  private nextRequest(): number {
    return ++this.requests;
  }

  /** Ids, not keys, because the method may change its arguments; a key that cannot be meant is refused here. */
  private idsBefore({ entity, writes }: Binding, args: unknown[]): string[] | undefined {
    return writes?.before && idsOf(entity, writes.before(...args));
  }

  private async write(
    { entity, method: name, writes = {} }: Binding,
    state: EntityState,
    known: readonly string[] | undefined,
    method: AnyFunction,
    self: object,
    args: unknown[],
  ): Promise<unknown> {
    let result: unknown;
    try {
      result = await method.apply(self, args);
    } catch (error) {
      if (writes.after === undefined) this.invalidate(state, known);
      else
        this.keysUnknown(
          state,
          `${name} threw before it said which keys of '${entity.name}' it changed`,
        );
      throw error;
    }
    if (!this.says(state, writes, result, args, name)) return result;
    if (writes.after === undefined) {
      this.invalidate(state, known);
      return result;
    }
    try {
      this.invalidate(state, idsOf(entity, writes.after(result, ...args)));
    } catch {
      this.keysUnknown(
        state,
        `keysOf of ${name} did not tell which keys of '${entity.name}' changed`,
      );
    }
    return result;
  }

  /** Nothing known means the whole entity. */
  private invalidate(state: EntityState, ids: readonly string[] | undefined): void {
    const { invalidator } = this.engine;
    const trace = calls.getStore();
    if (ids === undefined) invalidator.invalidateFamily(state, trace);
    else for (const id of ids) invalidator.invalidate(state, id, trace);
  }

  private keysUnknown(state: EntityState, what: string): void {
    const { entity, prefer } = state.policy;
    const trace = calls.getStore();
    const done =
      prefer === 'error' ? 'All its entries were dropped.' : 'Its entries stay until their ttl.';
    this.engine.events.fault('CACHE_KEYS_UNKNOWN', entity, `${what}. ${done}`, trace);
    if (prefer === 'error') this.engine.invalidator.invalidateFamily(state, trace);
  }

  /** What `when` says; a `when` that throws does not keep an old value in use. */
  private says(
    state: EntityState,
    { when }: WriteTarget,
    result: unknown,
    args: unknown[],
    name: string,
  ): boolean {
    if (when === undefined) return true;
    try {
      return when(result, ...args);
    } catch {
      const { entity } = state.policy;
      this.engine.events.fault(
        'CACHE_CALLBACK_FAILED',
        entity,
        `\`when\` of ${name} threw; its keys were invalidated.`,
        calls.getStore(),
      );
      return true;
    }
  }
}

function idsOf({ name }: AnyEntity, keys: readonly EntityKey[]): string[] {
  return keys.map((key) => idOf(key, name));
}

/** A key that cannot be meant was made by a decorated method: say which. */
function located(error: unknown, binding: Binding): unknown {
  return error instanceof CacheUsageError ? error.at(placeOf(binding)) : error;
}
