import { Inject, type Provider } from '@nestjs/common';
import type { AnyEntity } from '../contract/entity.js';
import { EntityCache } from './entity-cache.js';

function cacheToken(entity: AnyEntity): string {
  return `CacheOf(${entity.name}) (is it in CacheModule.forFeature([…])?)`;
}

/** Injects the calls of one entity, registered by `CacheModule.forFeature([entity])`: `CacheOf<typeof Views>`. */
export function InjectCache(entity: AnyEntity): ParameterDecorator & PropertyDecorator {
  return Inject(cacheToken(entity));
}

export function cacheProvider(entity: AnyEntity): Provider & { provide: string } {
  return {
    provide: cacheToken(entity),
    useFactory: (cache: EntityCache) => cache.of(entity),
    inject: [EntityCache],
  };
}
