import { entity, external, readThrough, writeThrough, type Defined } from 'nestjs-cache-contract';

// #region shared
/** In a `redisStore`: no process keeps a copy, because an answer may be a second old and no more. */
export const InRedis = entity<Defined>('legacy', {
  maxStaleness: { normal: '1s', incident: '5m' },
  read: readThrough({ ttl: '5m', loadTimeout: '1s' }),
  write: writeThrough(),
});

/** In a `keyvStore`, which cannot promise that: none keeps a copy, because none may serve it in trouble. */
export const InKeyv = entity<Defined>('legacy', {
  maxStaleness: '5m',
  read: readThrough({ ttl: '5m' }),
  write: external(),
  prefer: 'error',
});
// #endregion
