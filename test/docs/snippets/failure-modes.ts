import 'reflect-metadata';
import { Injectable, NotFoundException } from '@nestjs/common';
import {
  Cached,
  currentLoad,
  entity,
  EntityCache,
  external,
  InjectCache,
  invalidate,
  Invalidates,
  readThrough,
  type CacheOf,
} from 'nestjs-cache-contract';

export interface Product {
  id: number;
  title: string;
}
declare const fetchFromShop: (path: string, options: { signal: AbortSignal }) => Promise<Product>;
const loadCart = async (user: string, signal: AbortSignal): Promise<readonly string[]> =>
  signal.aborted ? [] : [`tea for ${user}`];

// #region absence
export const Products = entity<Product, number>('product', {
  maxStaleness: '5m',
  read: readThrough({ ttl: '5m', negativeTtl: '2s' }),
  write: external(),
  absentWhen: (error) => error instanceof NotFoundException,
});
// #endregion

export class Catalog {
  // #region signal
  @Cached(Products)
  find(id: number): Promise<Product> {
    return fetchFromShop(`/products/${id}`, { signal: currentLoad().signal });
  }
  // #endregion
}

// #region revive
export class Account {
  constructor(
    readonly id: string,
    readonly cents: number,
  ) {}
  isEmpty(): boolean {
    return this.cents === 0;
  }
}

export const Accounts = entity<Account>('account', {
  maxStaleness: '10s',
  read: readThrough({ ttl: '10s' }),
  write: invalidate(),
  revive: ({ id, cents }: Account) => new Account(id, cents),
});
// #endregion

export const Carts = entity<readonly string[]>('cart', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m' }),
  write: invalidate(),
});

// #region calls
@Injectable()
export class CartService {
  constructor(
    private readonly cache: EntityCache,
    @InjectCache(Carts) private readonly carts: CacheOf<typeof Carts>,
  ) {}

  async sizes(users: string[]): Promise<number[]> {
    const carts = users.map((user) => this.carts.get(user, ({ signal }) => loadCart(user, signal)));
    return (await Promise.all(carts)).map((cart) => cart.length);
  }

  async checkout(user: string): Promise<void> {
    // Inside, calls for these entities ask the source.
    await this.cache.context({ bypass: [Carts] }, () => this.sizes([user]));
    await this.cache.invalidate(Carts, user);
  }
}
// #endregion

// #region tuple
export const Permissions = entity<readonly string[], [tenant: string, user: string]>('permission', {
  maxStaleness: '5s',
  prefer: 'error',
  read: readThrough({ ttl: '3s' }),
  write: invalidate(),
});

export class PermissionService {
  @Cached(Permissions, (tenant: string, user: string) => [tenant, user])
  async of(tenant: string, user: string): Promise<readonly string[]> {
    return user === 'admin' ? [`edit ${tenant}`] : [];
  }

  @Invalidates(Permissions, {
    keysOf: (members: string[], tenant: string) =>
      members.map((user): [string, string] => [tenant, user]),
  })
  async changeRole(_tenant: string, _role: string): Promise<string[]> {
    return ['ada', 'grace'];
  }
}
// #endregion
