import { parseArgs } from 'node:util';
import { withCache, withoutCache } from './storm/both-ways.js';
import { someRedis } from './storm/own-redis.js';
import { picture, severalPicture, soFar, writesPicture } from './storm/picture.js';
import { withInstances } from './storm/several.js';
import { withWrites } from './storm/with-writes.js';

const values = asked();
const count = Number(values?.instances);

if (values === undefined) {
  process.exitCode = 1;
} else if (!Number.isInteger(count) || count < 1 || count > 16) {
  console.error(`--instances takes a number from 1 to 16, got ${values.instances || 'nothing'}`);
  process.exitCode = 1;
} else if (values.writes && count === 1) {
  console.error('--writes is about what several instances see of each other: add --instances 4');
  process.exitCode = 1;
} else if (count === 1) {
  // One after the other, so that neither takes time from the other.
  const cached = await withCache();
  const uncached = await withoutCache();
  console.log(picture(cached, uncached, new Date()));
} else {
  const redis = await someRedis();
  if (redis === undefined) {
    console.error(
      'Several instances need a Redis to share: set REDIS_URL, or install redis-server (Debian: apt-get install redis-server).',
    );
    process.exitCode = 1;
  } else {
    try {
      if (values.writes) {
        const look = (...so: Parameters<typeof soFar>) => console.log(soFar(...so));
        const copies = await withWrites(count, redis.url, true, look);
        const none = await withWrites(count, redis.url, false, look);
        console.log(writesPicture(count, copies, none, new Date()));
      } else {
        const shared = await withInstances(count, redis.url);
        const apart = await withInstances(count, undefined);
        console.log(severalPicture(count, shared, apart, new Date()));
      }
    } finally {
      await redis.end();
    }
  }
}

function asked() {
  try {
    return parseArgs({
      options: {
        instances: { type: 'string', default: '1' },
        writes: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    console.error(
      `${(error as Error).message}\nWrite npm run storm -- --instances 4 --writes, or leave out one or both of them.`,
    );
    return undefined;
  }
}
