import {
  Inject,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { Observable } from 'rxjs';
import { calls } from '../read/call-context.js';
import { located, type AnyFunction, type Binding } from './binding.js';
import { Engine } from './engine.js';
import { InvalidatingCalls } from './invalidating-calls.js';

/**
 * Every call of a decorated method comes through here, and the entity's strategies answer it.
 *
 * The same class is the global interceptor of all handlers: it adds the handler to the context of the request, which
 * the middleware has opened, or opens one where there is no middleware (messages, queues, gateways).
 */
@Injectable()
export class CacheStrategyInterceptor implements NestInterceptor {
  private requests = 0;

  private readonly writes: InvalidatingCalls;

  constructor(@Inject(Engine) readonly engine: Engine) {
    this.writes = new InvalidatingCalls(engine);
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
      return this.engine.reader.read(state, key, () => method.apply(self, args));
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
}
