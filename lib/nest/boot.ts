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
import { TO_BE_TOLD } from '../contract/kept-in.js';
import type { Policy } from '../contract/policy.js';
import { MODULE_OPTIONS } from '../contract/options.js';
import { DistributedLock } from '../coordination/distributed-lock.js';
import { MemoryLock } from '../coordination/memory-lock.js';
import { CacheConfigurationError, type Fault } from '../errors/configuration.error.js';
import { formatDuration } from '../time/duration.js';
import { Binder } from './binder.js';
import { placeOf, type Binding } from './binding.js';
import { CacheStrategyInterceptor } from './cache-strategy.interceptor.js';
import { decorationsOf } from './decorate.js';
import { Engine } from './engine.js';
import { FlushTargets } from './flush-targets.js';
import { CACHE_MODULE_OPTIONS } from './module-definition.js';
import { lossFaults } from './stores.js';

/** One attempt for what came after everything else had ended: most databases are closed by now. */
const LAST_FLUSH_MS = 1_000;

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
    @Inject(FlushTargets) private readonly flushTargets: FlushTargets,
    @Inject(CACHE_MODULE_OPTIONS) private readonly options: unknown,
    @Inject(DistributedLock) private readonly lock: DistributedLock,
  ) {
    // Nest calls the hooks of distant modules first, and puts global modules at equal, greatest distance.
    for (const module of this.holders()) module.distance = Infinity;
  }

  async onModuleInit(): Promise<void> {
    const place = { owner: 'CacheModule', path: '', at: 'CacheModule.forRoot()' };
    const { types, faults: unbound } = this.binder.bindAll();
    const classes = this.binder.classes();
    this.interceptor.acceptances.register(classes);
    const stores = await this.engine.checkStores();
    const { entities } = this.engine;
    const faults = [
      ...checkOptions(MODULE_OPTIONS, this.options, place).faults,
      ...this.moduleTwice(),
      ...unbound,
      ...this.examine(types),
      ...entities.check(),
      ...this.engine.checkParts(),
      ...this.contradictsStores(types),
      ...lossFaults(entities.policies(), stores.losing, (name) => entities.placeOf(name)),
      ...this.interceptor.acceptances.faults(classes),
      ...this.flushTargets.bindAll(types),
      ...stores.faults,
    ];
    if (faults.length > 0) {
      // What was bound on the way may serve an application that does start.
      await this.engine.close();
      throw new CacheConfigurationError(faults);
    }
    this.warnOfStores(stores.outOfReach);
    this.warnOfWorkers();
    this.warnOfCrashes();
    this.warnOfOwnLock();
    const policies = this.engine.entities.policies();
    const effect = ({ entity }: Policy) => this.flushTargets.effectOf(entity);
    if (policies.length > 0)
      new Logger('CacheModule').log(`Contracts in force\n${bootTable(policies, effect)}`);
  }

  /** Loads that belong to no request get their answer while the databases of the next phase are still open. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.engine.background.drain();
  }

  /** The last hook of the application: until now it could be asked to write something. */
  async onApplicationShutdown(): Promise<void> {
    await this.engine.drainJournals(LAST_FLUSH_MS);
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

  /** What is not possible where processes share the entries, and do not hear from each other. */
  private contradictsStores(types: Iterable<object>): Fault[] {
    const untold = this.engine.entities
      .policies()
      .filter(({ keptIn, isTold }) => keptIn !== 'process' && !isTold);
    const names = new Set(untold.map(({ entity }) => entity));
    return [...new Set([...types].flatMap(decorationsOf))]
      .filter(({ binding, faults }) => faults.length === 0 && meansAll(binding))
      .filter(({ binding }) => names.has(binding.entity.name))
      .map(({ binding }) => ({
        code: 'CACHE_STORE_UNFIT',
        problem: `${binding.method} invalidates all entries of '${binding.entity.name}', which processes share in a store where they can only be invalidated one by one.`,
        at: placeOf(binding),
        fix: `name the keys with \`{ keys }\` or \`{ keysOf }\`, or ${TO_BE_TOLD}.`,
      }));
  }

  private warnOfStores(outOfReach: ReadonlyMap<string, string | undefined>): void {
    if (outOfReach.size === 0) return;
    const names = [...outOfReach.keys()].map((name) => `'${name}'`).join(', ');
    const reasons = [...outOfReach].map(
      ([name, reason = 'it does not say whether it is there']) => `\n'${name}': ${reason}`,
    );
    new Logger('CacheModule').warn(
      `Out of reach: ${names}. The application starts without, each process asks its source for what is kept there, and uses it as soon as it is back.${reasons.join('')}`,
    );
  }

  private warnOfCrashes(): void {
    const losses = crashLosses(this.engine.entities.policies());
    if (losses.length === 0) return;
    new Logger('CacheModule').warn(
      `Accepted mutations wait in the memory of this process until they are written. A crash would lose what ${losses.join('; and what ')}.`,
    );
  }

  /** As is right for one process, and for a Keyv in its memory: nobody here knows how many there are. */
  private warnOfOwnLock(): void {
    const apart = this.engine.entities.policies().filter(({ leases }) => leases === 'lock');
    if (apart.length === 0 || !(this.lock instanceof MemoryLock)) return;
    const names = apart.map(({ entity }) => entity).join(', ');
    new Logger('CacheModule').warn(
      `Where several processes share a store that grants no leases, each loads for itself: DistributedLock is the one of this process. Entities: ${names}. ` +
        `Fix: provide a lock for all of them, as RedisLock from 'nestjs-cache-contract/redis' is; for one process this is right as it is.`,
    );
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

/** `@Invalidates` of the whole entity. */
function meansAll({ writes }: Binding): boolean {
  return writes !== undefined && (writes.before ?? writes.after ?? writes.tags) === undefined;
}

/** The write-behind entities, each with the most that a crash could take. */
function crashLosses(policies: readonly Policy[]): string[] {
  return policies.flatMap(({ entity, writeBehind }) =>
    writeBehind === undefined
      ? []
      : `'${entity}' has accepted in the last ${formatDuration(writeBehind.flushEveryMs)}, and up to ${writeBehind.maxPending} keys of it while its database is out of reach`,
  );
}

function contradictsContract({
  entity,
  method,
  decorator,
  writes,
  stores,
  mutates,
}: Binding): Fault[] {
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
  if (mutates !== undefined && write !== 'write-behind') {
    return [
      {
        code: 'CACHE_WRITE_CONTRADICTED',
        problem: `${method} says what is to be written to '${name}', whose contract does not say that it is written behind.`,
        at,
        fix: 'write `write: writeBehind({ … })` in the contract, or let the method write, and carry @Invalidates.',
      },
    ];
  }
  if (stores !== undefined && write === 'write-behind') {
    return [
      {
        code: 'CACHE_WRITE_CONTRADICTED',
        problem: `${method} writes '${name}' itself, whose contract says that it is written behind.`,
        at,
        why: 'it would overtake what waits to be written, and be overwritten by it.',
        fix: 'use @WriteBehind; where a caller must wait for the commit, put @OverrideStrategy(entity, { write: writeThrough() }) on the controller.',
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
  const describing = bindings.filter(({ mutates }) => mutates !== undefined);
  if (describing.length > 1) {
    return [
      {
        code: 'CACHE_DECORATOR_CONFLICT',
        problem: `${describing[0]!.method} carries ${describing.map(({ decorator }) => decorator).join(' and ')}.`,
        at: describing[0]!.method,
        why: 'its one result cannot say what changes in two entries.',
        fix: 'make a method of its own for each, or call CacheOf.mutate() for the others.',
      },
    ];
  }
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
