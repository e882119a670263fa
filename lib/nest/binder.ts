import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { Fault } from '../errors/configuration.error.js';
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
      const type = this.typeOf(wrapper, faults);
      if (type !== undefined && decorationsOf(type).length > 0) types.add(type);
    }
    return { types, faults };
  }

  private typeOf(wrapper: Wrapper, faults: Fault[]): object | undefined {
    const isFactory = Array.isArray(wrapper.inject);
    if (!wrapper.isDependencyTreeStatic() || wrapper.isTransient) {
      if (!isFactory) return wrapper.metatype as object;
      this.bindWhatItMakes(wrapper);
      for (const made of wrapper.getStaticTransientInstances()) this.bindMade(made?.instance);
      return undefined;
    }
    const instance = wrapper.instance as unknown;
    const type = this.decorated(instance);
    if (type !== undefined)
      faults.push(...this.bindOne(instance as object, (type as { name: string }).name));
    return type;
  }

  /** A factory in request or transient scope makes objects later as well, so the factory itself is taken along. */
  private bindWhatItMakes(wrapper: Wrapper): void {
    const make = wrapper.metatype as (...dependencies: unknown[]) => unknown;
    wrapper.metatype = async (...dependencies: unknown[]) => {
      const made = await make(...dependencies);
      this.bindMade(made);
      return made;
    };
  }

  private bindMade(made: unknown): void {
    if (this.decorated(made) !== undefined && Object.isExtensible(made)) {
      bind(made as object, this.interceptor);
    }
  }

  /** The class of an instance, if it has decorated methods. */
  private decorated(instance: unknown): object | undefined {
    if (typeof instance !== 'object' || instance === null) return undefined;
    const type = classOf(instance);
    return decorationsOf(type).length > 0 ? type : undefined;
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
