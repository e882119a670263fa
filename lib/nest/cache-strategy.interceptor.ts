import {
  Inject,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { catchError, Observable } from 'rxjs';
import type { EntityKey } from '../contract/entity.js';
import { CacheOriginBusyError } from '../errors/cache.error.js';
import { CacheJournalFullError } from '../errors/write-behind.error.js';
import { idOf, idsOf } from '../entry/key.js';
import { calls, type LoadContext } from '../read/call-context.js';
import { capped } from '../read/capped.js';
import { readMany } from '../read/many.js';
import type { EntityState } from '../store/entity-state.js';
import { Acceptances } from './acceptances.js';
import { located, type AnyFunction, type Binding } from './binding.js';
import { Engine } from './engine.js';
import { WritingCalls } from './writing-calls.js';

/**
 * Every call of a decorated method comes through here, and the entity's strategies answer it.
 *
 * The same class is the global interceptor of all handlers: it adds the handler to the context of the request, which
 * the middleware has opened, or opens one where there is no middleware (messages, queues, gateways).
 */
@Injectable()
export class CacheStrategyInterceptor implements NestInterceptor {
  private requests = 0;

  private readonly writes: WritingCalls;
  readonly acceptances: Acceptances;

  constructor(@Inject(Engine) readonly engine: Engine) {
    this.writes = new WritingCalls(engine);
    this.acceptances = new Acceptances(engine);
  }

  /** Where a store is asked first, the method runs later than the call: its value must not be stored under a key that it is not of. */
  private checkArguments(
    { entity, keyOf, method }: Binding,
    id: string,
    args: unknown[],
    { skip }: LoadContext,
  ): void {
    if (idOf(keyOf!(...args), entity.name) === id) return;
    skip();
    const message = `The arguments of ${method} were changed between its call and its load; what it returned was not stored. Fix: give each call objects of its own.`;
    this.engine.events.fault('CACHE_VALUE_UNSTORABLE', entity.name, message, calls.getStore());
  }

  /** A call of a decorated method; `bindings` are its decorators, the lowest first. */
  call(
    bindings: readonly Binding[],
    method: AnyFunction,
    self: object,
    args: unknown[],
  ): Promise<unknown> {
    const [binding] = bindings as [Binding];
    try {
      if (binding.keyOf === undefined) return this.writes.call(bindings, method, self, args);
      const state = this.engine.entities.stateOf(binding.entity);
      const key = binding.keyOf(...args);
      if (binding.many) return this.readMany(state, key, method, self);
      const id = state.remote && idOf(key, binding.entity.name);
      const load = (context: LoadContext) => {
        if (id !== undefined) this.checkArguments(binding, id, args, context);
        return capped(state, context, () => method.apply(self, args));
      };
      return this.engine.reader.read(state, key, load);
    } catch (error) {
      // A method that promises to return a promise does not throw.
      return Promise.reject(located(error, binding));
    }
  }

  private readMany(
    state: EntityState,
    keys: unknown,
    method: AnyFunction,
    self: object,
  ): Promise<unknown> {
    // Refused here if it is no array; each key is checked when it is read.
    idsOf(keys as readonly EntityKey[], state.policy.entity);
    return readMany(this.engine.reader, state, keys as readonly EntityKey[], (missing) =>
      method.call(self, missing),
    );
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const outer = calls.getStore();
    const handler = `${context.getClass().name}.${context.getHandler().name}`;
    const own = {
      ...outer,
      request: outer?.request ?? this.nextRequest(),
      handler,
      ...this.acceptances.of(context),
    };
    // Not `calls.run(own, () => next.handle())`: a handler that returns an Observable runs when it is subscribed to.
    return new Observable<unknown>((subscriber) =>
      calls.run(own, () => next.handle().subscribe(subscriber)),
    ).pipe(
      catchError((error: unknown) => {
        if (error instanceof CacheOriginBusyError || error instanceof CacheJournalFullError)
          tellWhenToRetry(error, context);
        throw error;
      }),
    );
  }

  /** Opens the context of a request, before guards run. */
  open(next: () => void): void {
    calls.run({ request: this.nextRequest() }, next);
  }

  private nextRequest(): number {
    return ++this.requests;
  }
}

/** Over HTTP a shed call is a 503, and its client is told when to come back. */
function tellWhenToRetry(
  { retryAfterMs }: { readonly retryAfterMs: number },
  context: ExecutionContext,
): void {
  if (context.getType() !== 'http') return;
  const response = context.switchToHttp().getResponse<{
    header?(name: string, value: string): unknown;
  }>();
  response.header?.('Retry-After', String(Math.ceil(retryAfterMs / 1_000)));
}
