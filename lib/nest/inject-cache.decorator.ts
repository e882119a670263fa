import { Inject, type Provider } from '@nestjs/common';
import { isEntity, type AnyEntity } from '../contract/entity.js';
import type { CacheStrategyInterceptor } from './cache-strategy.interceptor.js';
import { INTERCEPTOR } from './decorate.js';
import { EntityCache } from './entity-cache.js';

function cacheToken(entity: AnyEntity): string {
  // What is no entity is told of by the boot report.
  return `CacheOf(${isEntity(entity) ? entity.name : '?'}) (is it in CacheModule.forFeature([…])?)`;
}

/** Injects the calls of one entity, registered by `CacheModule.forFeature([entity])`: `CacheOf<typeof Views>`. */
export function InjectCache(entity: AnyEntity): ParameterDecorator & PropertyDecorator {
  return Inject(cacheToken(entity));
}

export function cacheProvider(entity: AnyEntity): Provider & { provide: string } {
  return {
    provide: cacheToken(entity),
    useFactory: ({ engine }: CacheStrategyInterceptor, cache: EntityCache) => {
      engine.entities.register(entity, 'CacheModule.forFeature()');
      return cache.of(entity);
    },
    // The first one because its text asks for CacheModule.forRoot(): Nest shows it when it is missing.
    inject: [INTERCEPTOR, EntityCache],
  };
}
