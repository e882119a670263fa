import { CACHE_MANAGER } from '@nestjs/cache-manager';
import { Inject, Injectable } from '@nestjs/common';
import type { Cache } from 'cache-manager';

// #region service
@Injectable()
export class ProfileService {
  constructor(@Inject(CACHE_MANAGER) private readonly cache: Cache) {}

  find(id: string): Promise<string> {
    return this.cache.wrap(`profile:${id}`, () => this.query(id), 30_000);
  }

  async rename(id: string, name: string): Promise<void> {
    this.table.set(id, name);
    await this.cache.del(`profile:${id}`);
  }
  // #endregion

  private readonly table = new Map([['u1', 'Ada']]);
  queries = 0;

  private async query(id: string): Promise<string> {
    this.queries++;
    return this.table.get(id) ?? 'nobody';
  }
}
