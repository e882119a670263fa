import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import type { Policy } from '../contract/policy.js';
import type { Fault } from '../errors/configuration.error.js';
import { calls } from '../read/call-context.js';
import type { FlushTarget } from '../write/behind/batch-writer.js';
import type { Ledger } from '../write/behind/ledger.js';
import { Binder } from './binder.js';
import { placeOf, type AnyFunction, type Binding } from './binding.js';
import { decorationsOf } from './decorate.js';
import { Engine } from './engine.js';

interface Found {
  readonly host: object;
  readonly binding: Binding;
}

/** Finds the one method that writes the batches of each write-behind entity, and its ledger. */
@Injectable()
export class FlushTargets {
  private warned = false;
  private readonly exact = new Set<string>();

  constructor(
    @Inject(Binder) private readonly binder: Binder,
    @Inject(ModuleRef) private readonly modules: ModuleRef,
    @Inject(Engine) private readonly engine: Engine,
  ) {}

  /** `types`: the classes with decorated methods. */
  bindAll(types: Iterable<object>): Fault[] {
    const all = [...new Set([...types].flatMap(decorationsOf))].filter(
      ({ binding }) => binding.flushes !== undefined,
    );
    const found = all.filter(({ faults }) => faults.length === 0);
    const isThere = ({ entity }: Policy) =>
      all.some(({ binding, faults }) => faults.length > 0 && binding.entity?.name === entity);
    const behind = this.engine.entities.policies().filter(({ writeBehind }) => writeBehind);
    return [
      // What is wrong with the decorator itself has been told already.
      ...behind
        .filter((policy) => !isThere(policy))
        .flatMap((policy) => this.bind(policy, of(policy, found))),
      ...this.engine.entities
        .policies()
        .filter(({ writeBehind }) => writeBehind === undefined)
        .flatMap((policy) => of(policy, found).map(({ binding }) => contradicted(binding))),
    ];
  }

  /** How often a mutation of an entity takes effect. */
  effectOf(entity: string): 'exactly once' | 'at least once' {
    return this.exact.has(entity) ? 'exactly once' : 'at least once';
  }

  private bind(policy: Policy, found: readonly Found[]): Fault[] {
    const { entity } = policy;
    if (found.length === 0) return [missing(entity, this.engine.entities.placeOf(entity))];
    const places = found.map(({ binding }) => placeOf(binding));
    const [{ host, binding }] = found as [Found];
    const instances = this.binder.instancesOf(host);
    if (instances.includes(undefined)) return [scoped(places)];
    if (found.length > 1 || instances.length > 1) {
      return [ambiguous(entity, places, instances.length)];
    }
    const { ledger: token, atLeastOnce } = binding.flushes!;
    const ledger = token && this.provided(token);
    if (token !== undefined && ledger === undefined) return [unprovided(token, binding)];
    if (ledger === undefined && policy.writeBehind!.merge === 'sum' && !atLeastOnce) {
      return [countsTwice(entity, binding)];
    }
    this.bindTo(binding, instances[0]!, ledger);
    return [];
  }

  private bindTo(
    { entity, property }: Binding,
    instance: object,
    ledger: Ledger<unknown> | undefined,
  ): void {
    const flush: FlushTarget['flush'] = async (batch, tx) => {
      this.warnOfSignals();
      const flushing = { ended: false };
      try {
        const host = instance as { [property: string | symbol]: AnyFunction };
        return (await calls.run({ flushing }, () => host[property]!(batch, tx))) as undefined;
      } finally {
        flushing.ended = true;
      }
    };
    if (ledger !== undefined) this.exact.add(entity.name);
    this.engine.behindOf(entity).bind({ flush, ledger });
  }

  private provided(token: NonNullable<NonNullable<Binding['flushes']>['ledger']>) {
    try {
      return this.modules.get<Ledger<unknown>>(token, { strict: false });
    } catch {
      return undefined; // not provided, or one per request
    }
  }

  /** Asked at the first batch: by then main.ts has done what it does. */
  private warnOfSignals(): void {
    if (this.warned) return;
    this.warned = true;
    if (process.listenerCount('SIGTERM') > 0 || process.listenerCount('SIGINT') > 0) return;
    new Logger('CacheModule').warn(
      'Nothing listens to SIGTERM: a process that is asked to stop would lose the mutations it has accepted and not yet written. ' +
        'Fix: call app.enableShutdownHooks() in main.ts, or app.close() in a signal handler of your own.',
    );
  }
}

function of({ entity }: Policy, found: readonly Found[]): Found[] {
  return found.filter(({ binding }) => binding.entity.name === entity);
}

function missing(entity: string, at: string): Fault {
  return {
    code: 'CACHE_FLUSH_MISSING',
    problem: `entity '${entity}' is written behind, and no method writes its batches.`,
    at,
    fix: 'put @Flushes on the method of a provider that writes them: @Flushes(Views, { ledger: ShopLedger }), or @Flushes(Notes) where writing twice does no harm.',
  };
}

function ambiguous(entity: string, places: readonly string[], instances: number): Fault {
  const what =
    places.length > 1 ? `${places.length} methods` : `${instances} instances of one class`;
  return {
    code: 'CACHE_FLUSH_AMBIGUOUS',
    problem: `${what} would write the batches of '${entity}'.`,
    at: places.join(', '),
    why: 'which of them did would be chance.',
    fix: 'leave @Flushes on one method, of a provider that is in one module only and exported from there.',
  };
}

function scoped(places: readonly string[]): Fault {
  return {
    code: 'CACHE_FLUSH_SCOPED',
    problem:
      'a method that writes batches stands in a class of which there is not one, but one per request or per class that injects it.',
    at: places.join(', '),
    why: 'batches are written outside of requests.',
    fix: 'move it to a provider in default scope that injects nothing request-scoped.',
  };
}

function unprovided(token: { name: string }, binding: Binding): Fault {
  return {
    code: 'CACHE_LEDGER_MISSING',
    problem: `${token.name} is not provided, or not once for the application.`,
    at: placeOf(binding),
    fix: `add ${token.name} to the providers of a module; make it @Injectable() in default scope, injecting nothing request-scoped.`,
  };
}

function countsTwice(entity: string, binding: Binding): Fault {
  return {
    code: 'CACHE_LEDGER_MISSING',
    problem: `entity '${entity}' merges by summing, and no ledger remembers which batches are written.`,
    at: placeOf(binding),
    why: 'a batch that is tried again after a failure or a crash would be added a second time.',
    fix: 'write @Flushes(entity, { ledger: ShopLedger }), or accept double counting with { atLeastOnce: true }.',
  };
}

function contradicted(binding: Binding): Fault {
  return {
    code: 'CACHE_WRITE_CONTRADICTED',
    problem: `${binding.method} writes batches of '${binding.entity.name}', whose contract does not say that it is written behind.`,
    at: placeOf(binding),
    fix: 'write `write: writeBehind({ … })` in the contract, or remove the decorator.',
  };
}
