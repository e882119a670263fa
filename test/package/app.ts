/* A user's application: `consumers.spec.ts` compiles and starts it outside this repository. */
import 'reflect-metadata';
import { setImmediate } from 'node:timers/promises';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  Cached,
  CacheModule,
  entity,
  Invalidates,
  invalidate,
  readThrough,
  writeThrough,
} from 'nestjs-cache-contract';
import { CACHE_MANAGER, CacheManagerModule, type Cache } from 'nestjs-cache-contract/cache-manager';

interface Profile {
  id: string;
  name: string;
}

const Profiles = entity<Profile | null>('profile', {
  maxStaleness: '90s',
  read: readThrough({ ttl: '1m', negativeTtl: '5s' }),
  write: invalidate(),
});

@Injectable()
class ProfileService {
  loads = 0;
  private name = 'Ada';

  @Cached(Profiles)
  async find(id: string): Promise<Profile | null> {
    this.loads++;
    await setImmediate();
    return { id, name: this.name };
  }

  @Invalidates(Profiles, (id: string) => id)
  async rename(id: string, name: string): Promise<void> {
    await setImmediate();
    this.name = name;
  }
}

const Legacy = entity<string>('legacy', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m' }),
  write: writeThrough(),
});

@Module({
  imports: [CacheModule.forRoot(), CacheManagerModule.register({ entity: Legacy, ttl: 5_000 })],
  providers: [ProfileService],
})
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error', 'warn'] });
  const profiles = app.get(ProfileService);
  const answers = await Promise.all(Array.from({ length: 100 }, () => profiles.find('u1')));
  const loads = profiles.loads;
  await profiles.rename('u1', 'Grace');
  console.log(
    JSON.stringify({
      format: typeof module === 'undefined' ? 'esm' : 'cjs',
      answers: answers.length,
      names: [...new Set(answers.map((profile) => profile?.name))],
      loads,
      wrapped: await app.get<Cache>(CACHE_MANAGER).wrap('a', () => 'x'),
      afterWrite: (await profiles.find('u1'))?.name,
    }),
  );
  await app.close();
}

void main();
