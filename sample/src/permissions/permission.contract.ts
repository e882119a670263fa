import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { DATABASE } from '../database/origin.js';

export enum Permission {
  EditCatalog = 'catalog:edit',
  GrantPermissions = 'permissions:grant',
}

/**
 * Asked before every protected request, so it must be fast; wrong is worse than slow, so it lives for seconds, and
 * where the cache cannot tell whether it is right, it does not answer.
 */
export const Permissions = entity<readonly Permission[], [tenant: string, user: string]>(
  'permission',
  {
    maxStaleness: '5s',
    prefer: 'error',
    read: readThrough({ ttl: '3s', loadTimeout: '2s' }),
    write: invalidate(),
    origin: DATABASE,
  },
);
