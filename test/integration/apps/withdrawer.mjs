import { createInterface } from 'node:readline';
import pg from 'pg';

// Takes the lock of an account and writes to its row when told so, whatever has happened to the lock meanwhile.
const { entry, url, database, ttl } = JSON.parse(process.argv[2]);
const { RedisLock } = await import(entry);
const locks = new RedisLock({ url, namespace: 'cache' });
const client = new pg.Client(database);
await client.connect();
const lock = await locks.acquire('account a1', { ttl });
console.log(`holds ${lock.fence}`);
for await (const line of createInterface({ input: process.stdin })) {
  const { rowCount } = await client.query(
    'UPDATE account SET balance = $1, fence = $2 WHERE id = $3 AND fence < $2',
    [Number(line), lock.fence, 'a1'],
  );
  console.log(`wrote ${rowCount}, told ${lock.signal.aborted}`);
}
await client.end();
await locks.close();
