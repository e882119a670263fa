import { createInterface } from 'node:readline';

// Asks for locks whatever Redis does. Ends by itself when told to close, if nothing is left that keeps it running.
const { entry, url } = JSON.parse(process.argv[2]);
const { RedisLock } = await import(entry);
const locks = new RedisLock({ url, namespace: 'cache' });
const held = locks.acquire('held', { ttl: '1s' });
const waits = locks.acquire('waited for');
waits.then(
  (lock) => console.log(`got it ${lock.fence}`),
  (error) => console.log(`rejected ${error.code}`),
);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'ask') {
    const lock = await locks.acquire('anything', { patience: 0 });
    console.log(lock === undefined ? 'not to be had' : 'to be had');
    await lock?.release();
  }
  if (line === 'hold') console.log(`holds ${(await held).name}`);
  if (line === 'lost') {
    const { signal } = await held;
    if (!signal.aborted) await new Promise((resolve) => (signal.onabort = resolve));
    console.log(`lost ${signal.reason.code}`);
  }
  if (line === 'close') break;
}
process.stdin.destroy();
await locks.close();
console.log('closed');
