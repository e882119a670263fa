import {
  Inject,
  Injectable,
  Module,
  type BeforeApplicationShutdown,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { CacheStrategyInterceptor } from './cache-strategy.interceptor.js';
import { INTERCEPTOR } from './decorate.js';

/** Shorter than the 30 seconds that orchestrators give a process to end. */
const FIRST_DRAIN_MS = 10_000;
/** What the last requests have left. */
const SECOND_DRAIN_MS = 5_000;

/**
 * Writes what is accepted while the databases are still open: before every other hook of its phase, whereas the
 * cache itself is the last one to close.
 */
@Injectable()
class CacheDrain implements BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(
    @Inject(INTERCEPTOR) private readonly interceptor: CacheStrategyInterceptor,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    // Nest ends the nearest modules first.
    for (const module of modules.values()) {
      if (module.providers.has(CacheDrain)) module.distance = -Infinity;
    }
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.interceptor.engine.drainJournals(FIRST_DRAIN_MS);
  }

  /** The server has ended its last requests by now. */
  async onApplicationShutdown(): Promise<void> {
    await this.interceptor.engine.drainJournals(SECOND_DRAIN_MS);
  }
}

@Module({ providers: [CacheDrain] })
export class CacheDrainModule {}
