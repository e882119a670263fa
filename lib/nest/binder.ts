import { Inject, Injectable, type Type } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { CacheConfigurationError, type Fault } from '../errors/configuration.error.js';
import { bind, classOf, decorationsOf } from './decorate.js';
import { CacheStrategyInterceptor } from './cache-strategy.interceptor.js';

type Wrapper = ReturnType<DiscoveryService['getProviders']>[number];

/**
 * Finds the classes with decorated methods, and gives those objects their interceptor that Nest did not construct:
 * property injection reaches what Nest constructs, not what a factory or a value provider brings along.
 */
@Injectable()
export class Binder {
  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(CacheStrategyInterceptor) private readonly interceptor: CacheStrategyInterceptor,
  ) {}

  bindAll(): { types: Set<object>; faults: Fault[] } {
    const types = new Set<object>();
    const faults: Fault[] = [];
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      for (const type of this.typesOf(wrapper, faults)) types.add(type);
    }
    return { types, faults };
  }

  /** The classes Nest constructs: controllers, resolvers and other providers. */
  classes(): Type[] {
    const wrappers = [...this.discovery.getControllers(), ...this.discovery.getProviders()];
    return [
      ...new Set(wrappers.filter(({ inject }) => !inject).map(({ metatype }) => metatype)),
    ].filter((type): type is Type => typeof type === 'function' && type.prototype !== undefined);
  }

  /** The objects made of a class and of those that extend it; `undefined` stands for one per request or per use. */
  instancesOf(host: object): (object | undefined)[] {
    const found = new Set<object | undefined>();
    for (const wrapper of [...this.discovery.getProviders(), ...this.discovery.getControllers()]) {
      const shared = wrapper.isDependencyTreeStatic() && !wrapper.isTransient;
      const instance = wrapper.instance as object | null | undefined;
      const type = shared ? instance && classOf(instance) : (wrapper.metatype as object);
      if (lineOf(type).includes(host)) found.add(shared ? instance! : undefined);
      if (shared) continue;
      for (const made of wrapper.getStaticTransientInstances()) {
        const instance = made?.instance as object | undefined;
        if (instance && lineOf(classOf(instance)).includes(host)) found.add(undefined);
      }
    }
    return [...found];
  }

  /** The classes behind a provider that have decorated methods; what is made already is bound on the way. */
  private typesOf(wrapper: Wrapper, faults: Fault[]): object[] {
    if (wrapper.isDependencyTreeStatic() && !wrapper.isTransient) {
      return this.typeOf(wrapper.instance, faults);
    }
    if (!Array.isArray(wrapper.inject)) {
      const type = wrapper.metatype as object;
      return decorationsOf(type).length > 0 ? [type] : [];
    }
    this.bindWhatItMakes(wrapper);
    // What singletons inject is made already.
    return wrapper
      .getStaticTransientInstances()
      .flatMap((made) => this.typeOf(made?.instance, faults));
  }

  private typeOf(instance: unknown, faults: Fault[]): object[] {
    if (typeof instance !== 'object' || instance === null) return [];
    const type = classOf(instance);
    if (type === undefined || decorationsOf(type).length === 0) return [];
    faults.push(...this.bindOne(instance, (type as { name: string }).name));
    return [type];
  }

  /** A factory in request or transient scope makes objects later as well, so the factory itself is taken along. */
  private bindWhatItMakes(wrapper: Wrapper): void {
    const make = wrapper.metatype as (...dependencies: unknown[]) => unknown;
    wrapper.metatype = async (...dependencies: unknown[]) => {
      const made = await make(...dependencies);
      const faults: Fault[] = [];
      const types = this.typeOf(made, faults);
      faults.push(...types.flatMap(decorationsOf).flatMap((decoration) => decoration.faults));
      // After the start nobody reads a report: who asked for the object is told.
      if (faults.length > 0) throw new CacheConfigurationError(faults);
      return made;
    };
  }

  private bindOne(instance: object, name: string): Fault[] {
    if (!Object.isExtensible(instance)) {
      return [
        {
          code: 'CACHE_PROVIDER_FROZEN',
          problem: `the instance of ${name} is frozen, so it cannot be given its cache.`,
          at: name,
          fix: 'provide it unfrozen, or let Nest construct it.',
        },
      ];
    }
    const before = bind(instance, this.interceptor);
    if (before === undefined || before === this.interceptor || before.engine.closed) return [];
    bind(instance, before);
    return [
      {
        code: 'CACHE_PROVIDER_SHARED',
        problem: `one instance of ${name} is provided to two running applications, each with a cache of its own.`,
        at: name,
        fix: 'make an instance for each application, for instance with useFactory instead of useValue.',
      },
    ];
  }
}

/** A class and the classes it extends. */
function lineOf(type: object | null | undefined): object[] {
  if (typeof type !== 'function' || type === Function.prototype) return [];
  return [type, ...lineOf(Object.getPrototypeOf(type) as object | null)];
}
