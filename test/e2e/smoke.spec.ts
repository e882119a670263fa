import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheModule,
  entity,
  Invalidates,
  invalidate,
  readThrough,
} from 'nestjs-cache-contract';

const Profiles = entity<{ id: string; name: string } | null>('profile', {
  maxStaleness: '90s',
  read: readThrough({ ttl: '1m', negativeTtl: '5s' }),
  write: invalidate(),
});

@Injectable()
class ProfileService {
  queries = 0;
  name = 'Ada';
  @Cached(Profiles)
  async find(id: string): Promise<{ id: string; name: string } | null> {
    this.queries++;
    return { id, name: this.name };
  }
  @Invalidates(Profiles, (id: string) => id)
  async rename(id: string, name: string): Promise<void> {
    this.name = name;
  }
}
@Module({ imports: [CacheModule.forRoot()], providers: [ProfileService] })
class AppModule {}

it('answers a second call without the source, and a call after a write with what was written', async () => {
  const module = await Test.createTestingModule({ imports: [AppModule] }).compile();
  const app = await module.init();
  const profiles = app.get(ProfileService);
  await profiles.find('u1');
  await profiles.find('u1');
  expect(profiles.queries).toBe(1);
  await profiles.rename('u1', 'Grace');
  expect(await profiles.find('u1')).toEqual({ id: 'u1', name: 'Grace' });
  await app.close();
});
