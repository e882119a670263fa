import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { DATABASE } from '../database/origin.js';

export interface Profile {
  readonly id: string;
  readonly name: string;
}

/**
 * Read all the time, changed now and then, and only by this application: a change is seen at once.
 * The 90 seconds are for a change made past it, by hand in the database. `null` means that there is nobody.
 */
export const Profiles = entity<Profile | null>('profile', {
  maxStaleness: '90s',
  read: readThrough({ ttl: '1m', negativeTtl: '5s' }),
  write: invalidate(),
  origin: DATABASE,
});
