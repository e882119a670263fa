import { Inject, type Provider } from '@nestjs/common';
import type { AnyEntity } from '../contract/entity.js';
import { INTERCEPTOR } from './decorate.js';
import type { CacheStrategyInterceptor } from './cache-strategy.interceptor.js';
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
    useFactory: ({ engine }: CacheStrategyInterceptor) => new EntityCache(engine).of(entity),
    // By the token whose text asks for CacheModule.forRoot(): Nest shows it when it is missing.
    inject: [INTERCEPTOR],
  };
}
