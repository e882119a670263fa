import { Injectable } from '@nestjs/common';
import { Cached, entity, Invalidates, invalidate, readThrough } from 'nestjs-cache-contract';

// #region next
export const Profiles = entity<string>('profile', {
  maxStaleness: '30s',
  read: readThrough({ ttl: '30s' }),
  write: invalidate(),
});

@Injectable()
export class ProfileService {
  @Cached(Profiles)
  async find(id: string): Promise<string> {
    this.queries++;
    return this.table.get(id) ?? 'nobody';
  }

  @Invalidates(Profiles, (id: string) => id)
  async rename(id: string, name: string): Promise<void> {
    this.table.set(id, name);
  }
  // #endregion

  private readonly table = new Map([['u1', 'Ada']]);
  queries = 0;
}
