import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import {
  Cached,
  CacheInvalidationUnacknowledgedError,
  CacheModule,
  Clock,
  DistributedLock,
  entity,
  invalidate,
  Invalidates,
  onCacheEvent,
  readThrough,
} from 'nestjs-cache-contract';
import { RedisLock, redisStore } from 'nestjs-cache-contract/redis';
import { Cluster } from 'ioredis';
import type { Pool } from 'pg';

export interface Profile {
  name: string;
}
export interface Basket {
  lines: string[];
}

// #region contracts
/** A copy in each process, heard or not: 90 seconds are promised, and it is never older than one minute. */
export const Profiles = entity<Profile | null>('profile', {
  maxStaleness: '90s',
  read: readThrough({ ttl: '1m' }),
  write: invalidate(),
});

/** A copy in each process for as long as it hears what others change, which is a moment later. */
export const Articles = entity<string>('article', {
  maxStaleness: { normal: '5s', incident: '1h' },
  read: readThrough({ ttl: '1h' }),
  write: invalidate(),
});

/** No copy: what one process changes, the others see with their next call. */
export const Baskets = entity<Basket | null>('basket', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read: readThrough({ ttl: '1m', loadTimeout: '2s' }),
  write: invalidate(),
  prefer: 'error',
  schema: 2, // another number than before: the shape of a basket has changed
});

/** Each process for itself, as without Redis. */
export const Layout = entity<string>('layout', {
  maxStaleness: '10m',
  read: readThrough({ ttl: '10m' }),
  write: invalidate(),
  store: 'process',
});
// #endregion

@Injectable()
export class ShopService {
  readonly rows = new Map<string, string>([['u1', 'Ada']]);
  loads: string[] = [];

  @Cached(Profiles)
  async profile(id: string): Promise<Profile | null> {
    this.loads.push(`profile ${id}`);
    const name = this.rows.get(id);
    return name === undefined ? null : { name };
  }
  @Cached(Articles)
  async article(id: string): Promise<string> {
    this.loads.push(`article ${id}`);
    return this.rows.get(id) ?? 'nothing';
  }
  @Cached(Baskets)
  async basket(id: string): Promise<Basket | null> {
    this.loads.push(`basket ${id}`);
    return { lines: [this.rows.get(id) ?? 'nothing'] };
  }
  @Invalidates(Baskets, (id: string) => id)
  async put(id: string, line: string): Promise<void> {
    this.rows.set(id, line);
  }
  @Cached(Layout, () => 'all')
  async layout(): Promise<string> {
    this.loads.push('layout');
    return '<main>';
  }
}

process.env.REDIS_URL ??= 'redis://localhost:6379';

// #region module
@Module({
  imports: [
    CacheModule.forRootAsync({
      useFactory: () => ({
        namespace: 'shop', // the same for all processes of the application, and for no other
        store: redisStore({ url: process.env.REDIS_URL! }),
      }),
    }),
  ],
  providers: [ShopService],
})
export class AppModule {}
// #endregion

// #region cluster
/** Two of its nodes, the others are learned of. Passwords may not hold what a url gives a meaning: encodeURIComponent. */
export const cluster = redisStore({
  nodes: ['rediss://shop:secret@redis-1:6379', 'rediss://shop:secret@redis-2:6379'],
});

/** As your own client finds it, which is neither used nor closed: with a certificate authority, or addresses to translate. */
export const translated = redisStore({
  client: new Cluster(['redis://10.0.0.7:6379'], {
    lazyConnect: true,
    redisOptions: { password: 'secret', tls: { ca: process.env.REDIS_CA } },
    natMap: (address) => ({ host: 'redis.internal', port: Number(address.split(':')[1]) }),
  }),
});
// #endregion

// #region sentinels
export const watched = redisStore({
  sentinels: ['redis://:secret@sentinel-1:26379', 'redis://:secret@sentinel-2:26379'],
  name: 'mymaster', // as in `sentinel monitor mymaster …`
  username: 'shop', // at the servers they watch over
  password: 'another secret',
  tls: true,
});
// #endregion

// #region watch
export function watch(count: (name: string) => void): () => void {
  return onCacheEvent('fault', ({ code }) => {
    if (code === 'CACHE_STORE_OUT_OF_REACH' || code === 'CACHE_INVALIDATION_PENDING') count(code);
  });
}
// #endregion

// #region unacknowledged
export const Rights = entity<readonly string[]>('right', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read: readThrough({ ttl: '1m' }),
  write: invalidate(),
  prefer: 'error',
  onUnacknowledged: 'fail', // whoever takes a right away is told where others may still have it
});

@Injectable()
export class RightsService {
  private readonly rows = new Map([['ada', ['read', 'write']]]);

  @Cached(Rights)
  async of(user: string): Promise<readonly string[]> {
    return this.rows.get(user) ?? [];
  }

  @Invalidates(Rights, (user: string) => user)
  async revoke(user: string, right: string): Promise<readonly string[]> {
    const left = (this.rows.get(user) ?? []).filter((one) => one !== right);
    this.rows.set(user, left);
    return left;
  }
}

@Injectable()
export class AdminService {
  constructor(private readonly rights: RightsService) {}

  async revoke(user: string, right: string) {
    try {
      return { left: await this.rights.revoke(user, right), everywhere: true };
    } catch (error) {
      if (!(error instanceof CacheInvalidationUnacknowledgedError)) throw error;
      // It is revoked. Other processes may grant it for a minute more.
      return { left: error.result as readonly string[], everywhere: false };
    }
  }
}
// #endregion

// #region lock
export const locks = {
  provide: DistributedLock,
  useFactory: (clock: Clock) =>
    new RedisLock({ url: process.env.REDIS_URL!, namespace: 'shop' }, clock),
  inject: [Clock],
};

@Module({ imports: [CacheModule.forRoot({ providers: [locks] })] })
export class LockingModule {}
// #endregion

// #region fence
@Injectable()
export class AccountService {
  constructor(
    private readonly locks: DistributedLock,
    private readonly database: Pool,
  ) {}

  /** Resolves to whether it was written. */
  withdraw(account: string, cents: number): Promise<boolean> {
    return this.locks.run(`account ${account}`, async ({ fence }) => {
      const balance = 'SELECT balance FROM account WHERE id = $1';
      const { rows } = await this.database.query<{ balance: number }>(balance, [account]);
      const { rowCount } = await this.database.query(
        'UPDATE account SET balance = $1, fence = $2 WHERE id = $3 AND fence < $2',
        [rows[0]!.balance - cents, fence, account],
      );
      return rowCount === 1;
    });
  }
}
// #endregion
