import { origin } from 'nestjs-cache-contract';

/**
 * All that is loaded from the database comes through here: eight loads at a time, so that of the ten connections two
 * are left for those who write. Whoever finds two hundred loads waiting is told when to try again.
 */
export const DATABASE = origin('database', { maxConcurrent: 8, maxQueued: 200 });
