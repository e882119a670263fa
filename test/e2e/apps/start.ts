import type { INestApplication, INestApplicationContext, ModuleMetadata } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheModule } from 'nestjs-cache-contract';

const running: INestApplicationContext[] = [];

/** Whatever a test started is closed after it. */
afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

export function closedLater<App extends INestApplicationContext>(app: App): App {
  running.push(app);
  return app;
}

/** An application with a cache and these providers, without a server. */
export async function start(metadata: ModuleMetadata): Promise<TestingModule> {
  const imports = [CacheModule.forRoot(), ...(metadata.imports ?? [])];
  const module = await Test.createTestingModule({ ...metadata, imports }).compile();
  await closedLater(module).init();
  return module;
}

export const PLATFORMS = ['Express', 'Fastify'] as const;
export type Platform = (typeof PLATFORMS)[number];

/** The same behind a server on a free port; `prepare` runs before it is initialised. */
export async function serve(
  platform: Platform,
  metadata: ModuleMetadata,
  prepare: (app: INestApplication) => void = () => undefined,
): Promise<{ app: INestApplication; url: string }> {
  const imports = [CacheModule.forRoot(), ...(metadata.imports ?? [])];
  const module = await Test.createTestingModule({ ...metadata, imports }).compile();
  const adapter = platform === 'Express' ? new ExpressAdapter() : new FastifyAdapter();
  const app = closedLater(module.createNestApplication(adapter));
  prepare(app);
  await app.listen(0, '127.0.0.1');
  return { app, url: await app.getUrl() };
}
