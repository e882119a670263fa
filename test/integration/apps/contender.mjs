import { appendFileSync, closeSync, openSync, unlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

// Takes the lock again and again, and writes each fence to a file while it is alone with it.
const { entry, url, rounds, directory } = JSON.parse(process.argv[2]);
const { RedisLock } = await import(entry);
const locks = new RedisLock({ url, namespace: 'cache' });
const alone = `${directory}/alone`;
for (let round = 0; round < rounds; round++) {
  await locks.run('stock', async ({ fence }) => {
    closeSync(openSync(alone, 'wx'));
    await setImmediate();
    appendFileSync(`${directory}/fences`, `${fence}\n`);
    unlinkSync(alone);
  });
}
await locks.close();
