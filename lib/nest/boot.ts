import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { diverges } from '../contract/boot-rules.js';
import { bootTable } from '../contract/boot-table.js';
import { checkOptions } from '../contract/check-options.js';
import { MODULE_OPTIONS } from '../contract/options.js';
import { CacheConfigurationError, type Fault } from '../errors/configuration.error.js';
import { Binder } from './binder.js';
import { placeOf, type Binding } from './binding.js';
import { CacheStrategyInterceptor } from './cache-strategy.interceptor.js';
import { decorationsOf } from './decorate.js';
import { Engine } from './engine.js';
import { CACHE_MODULE_OPTIONS } from './module-definition.js';

/**
 * Looks at the whole application before anything else of it starts, and refuses to start with faults: all of all
 * classes and contracts at once.
 */
@Injectable()
export class CacheBoot implements OnModuleInit, BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    @Inject(Binder) private readonly binder: Binder,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(Engine) private readonly engine: Engine,
    @Inject(CacheStrategyInterceptor) private readonly interceptor: CacheStrategyInterceptor,
    @Inject(CACHE_MODULE_OPTIONS) private readonly options: unknown,
  ) {
    // Nest calls the hooks of distant modules first, and puts global modules at equal, greatest distance.
    for (const module of this.holders()) module.distance = Infinity;
  }

  async onModuleInit(): Promise<void> {
    const place = { owner: 'CacheModule', path: '', at: 'CacheModule.forRoot()' };
    const { types, faults: unbound } = this.binder.bindAll();
    const classes = this.binder.classes();
    this.interceptor.acceptances.register(classes);
    const faults = [
      ...checkOptions(MODULE_OPTIONS, this.options, place).faults,
      ...this.moduleTwice(),
      ...unbound,
      ...this.examine(types),
      ...this.engine.entities.check(),
      ...this.interceptor.acceptances.faults(classes),
    ];
    if (faults.length > 0) {
      // What was bound on the way may serve an application that does start.
      await this.engine.close();
      throw new CacheConfigurationError(faults);
    }
    this.warnOfWorkers();
    const policies = this.engine.entities.policies();
    if (policies.length > 0)
      new Logger('CacheModule').log(`Contracts in force\n${bootTable(policies)}`);
  }

  /** Loads that belong to no request get their answer while the databases of the next phase are still open. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.engine.background.drain();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.engine.close();
  }

  /** The modules that CacheModule.forRoot() made. */
  private holders() {
    return [...this.modules.values()].filter((module) => module.providers.has(CacheBoot));
  }

  private moduleTwice(): Fault[] {
    const times = this.holders().length;
    if (times < 2) return [];
    return [
      {
        code: 'CACHE_MODULE_TWICE',
        problem: `CacheModule.forRoot() is called ${times} times, and each call makes a cache.`,
        at: 'CacheModule.forRoot()',
        why: 'it is global: which of the caches a class gets would be chance.',
        fix: 'import it once, in the root module; elsewhere nothing, or CacheModule.forFeature().',
      },
    ];
  }

  private examine(types: Iterable<object>): Fault[] {
    const faults: Fault[] = [];
    const hosts = new Map<object, Map<string, Binding[]>>();
    // A class and its subclass show the same decoration: it counts once.
    for (const decoration of new Set([...types].flatMap(decorationsOf))) {
      faults.push(...decoration.faults);
      if (decoration.faults.length > 0) continue;
      const { host, binding } = decoration;
      this.engine.entities.register(binding.entity, placeOf(binding));
      faults.push(...contradictsContract(binding));
      const methods = hosts.get(host) ?? new Map<string, Binding[]>();
      hosts.set(
        host,
        methods.set(binding.method, [...(methods.get(binding.method) ?? []), binding]),
      );
    }
    for (const methods of hosts.values()) faults.push(...[...methods.values()].flatMap(conflict));
    return faults;
  }

  private warnOfWorkers(): void {
    if (!this.engine.surroundings.worker) return;
    const apart = this.engine.entities.policies().filter(diverges);
    if (apart.length === 0) return;
    new Logger('CacheModule').warn(
      `This process is one of several workers, each with a cache of its own: an invalidation in one does not reach ` +
        `the others, which serve the old value until its ttl. Entities: ${apart.map(({ entity }) => entity).join(', ')}.`,
    );
  }
}

function contradictsContract({ entity, method, decorator, writes, stores }: Binding): Fault[] {
  const { name, contract } = entity;
  const write = (contract.write as { kind?: unknown } | undefined)?.kind;
  const at = placeOf({ method, decorator });
  if ((writes ?? stores) !== undefined && write === 'external') {
    return [
      {
        code: 'CACHE_WRITE_EXTERNAL',
        problem: `${method} changes '${name}', whose contract says that nobody tells of changes.`,
        at,
        fix: `write \`write: ${stores ? 'writeThrough' : 'invalidate'}()\` in the contract, or remove the decorator.`,
      },
    ];
  }
  if (stores === undefined || write === 'write-through') return [];
  return [
    {
      code: 'CACHE_WRITE_CONTRADICTED',
      problem: `${method} brings the new value of '${name}' along, whose contract says that writes only invalidate.`,
      at,
      fix: 'write `write: writeThrough()` in the contract, or @Invalidates here.',
    },
  ];
}

function conflict(bindings: readonly Binding[]): Fault[] {
  if (bindings.length < 2 || bindings.every(({ keyOf }) => keyOf === undefined)) return [];
  const [{ method }] = bindings as [Binding];
  return [
    {
      code: 'CACHE_DECORATOR_CONFLICT',
      problem: `${method} carries ${bindings.map(({ decorator }) => decorator).join(' and ')}.`,
      at: method,
      why: 'a @Cached method does not run on a hit, so it can neither write nor load a second entity.',
      fix: 'leave one @Cached on a method that only reads, and move the rest to a method of its own.',
    },
  ];
}
