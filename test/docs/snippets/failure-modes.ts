import 'reflect-metadata';
import { NotFoundException } from '@nestjs/common';
import {
  Cached,
  currentLoad,
  entity,
  external,
  invalidate,
  Invalidates,
  readThrough,
} from 'nestjs-cache-contract';

export interface Product {
  id: number;
  title: string;
}
declare const fetchFromShop: (path: string, options: { signal: AbortSignal }) => Promise<Product>;

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
