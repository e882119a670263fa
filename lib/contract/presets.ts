import {
  invalidate,
  readThrough,
  staleWhileRevalidate,
  writeBehind,
  writeThrough,
} from './strategies.js';

/*
 * The contracts of frequent cases. Each returns plain data that can be spread and changed:
 * entity<Profile>('profile', { ...readMostly(), maxStaleness: '30s', read: readThrough({ ttl: '30s' }) }).
 */

/** Read often, written rarely, and a minute of staleness harms nobody: profiles, settings, articles. */
export function readMostly() {
  return {
    maxStaleness: '1m',
    read: readThrough({ ttl: '1m', negativeTtl: '5s' }),
    write: invalidate(),
  } as const;
}

/**
 * An answer matters more than its age: catalogs, menus, landing pages. Served for hours while it is loaded again
 * behind the reader, overwritten by writes, and for a day if the source is in trouble.
 */
export function alwaysAvailable() {
  return {
    maxStaleness: { normal: '6h', incident: '1d' },
    prefer: 'stale',
    read: staleWhileRevalidate({
      ttl: '1h',
      staleFor: '5h',
      staleIfError: '18h',
      negativeTtl: '30s',
    }),
    write: writeThrough(),
  } as const;
}

/**
 * Written far more often than read, and worth a sum in the database once a second instead of a row lock per call: views,
 * likes, quotas that may err for a moment. Readers see each `add` at once; a crash loses the last second.
 */
export function counter() {
  return {
    maxStaleness: '30s',
    read: readThrough({ ttl: '10s', negativeTtl: '1s' }),
    write: writeBehind({ merge: 'sum', flushEvery: '1s' }),
  } as const;
}

/** Wrong is worse than slow: permissions, limits, switches. Never stale, and asked of the source when in doubt. */
export function guarded() {
  return {
    maxStaleness: '5s',
    prefer: 'error',
    read: readThrough({ ttl: '3s', negativeTtl: '1s' }),
    write: invalidate(),
  } as const;
}
