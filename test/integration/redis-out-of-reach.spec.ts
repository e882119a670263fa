import { once } from 'node:events';
import { inspect } from 'node:util';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import type { RedisSource } from '../../lib/connection/redis-source.js';
import { RedisStore } from '../../lib/store/redis/redis-store.js';

/** What an application is told that starts without. */
async function told(source: RedisSource): Promise<unknown> {
  const store = new RedisStore({ ...source, namespace: 'shop' });
  const outcome = await store.check();
  // Nothing else is told of the second attempt.
  expect(await store.check()).toEqual(outcome);
  await store.close();
  return typeof outcome === 'object' && 'outOfReach' in outcome ? outcome.outOfReach : outcome;
}

describe('a check of a Redis that is out of reach', () => {
  const servers: Server[] = [];
  const listen = async (server: Server) => {
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  afterAll(() => void servers.map((server) => server.close()));

  it('says so of what is no Redis', async () => {
    const at = await listen(createHttpServer((_, response) => response.end('hello')));
    const said = `what answers at ${at} is no Redis. Fix: see whether this is the port of Redis; if Redis talks TLS there, write rediss:// instead of redis://.`;
    expect(await told({ url: `redis://shop:s3cret@${at}` })).toBe(said);
    expect(await told({ nodes: [`redis://shop:s3cret@${at}`] })).toBe(said);
    const strict = new RedisStore({ url: `redis://shop:s3cret@${at}`, startWithout: false });
    const refusal = await strict.check().catch((error: unknown) => error);
    await strict.close();
    expect(String(refusal)).toMatch(`Redis is out of reach: what answers at ${at} is no Redis. `);
    expect(inspect(refusal, { depth: 9 })).not.toContain('s3cret');
    expect(await told({ url: `rediss://shop:s3cret@${at}` })).toMatch(
      `no TLS could be agreed upon with ${at} (`,
    );
  });

  it('says so of what talks TLS', async () => {
    const alert = Buffer.of(21, 3, 3, 0, 2, 2, 10);
    const at = await listen(createServer((socket) => socket.on('error', () => {}).end(alert)));
    expect(await told({ url: `redis://${at}` })).toBe(
      `what answers at ${at} talks TLS. Fix: write rediss:// instead of redis://.`,
    );
  });

  it('names the port that nobody listens at, of each kind', async () => {
    const said = 'nothing listens at 127.0.0.1:1 (ECONNREFUSED). Fix: see whether Redis runs there';
    expect(await told({ url: 'redis://127.0.0.1:1' })).toMatch(said);
    expect(await told({ nodes: ['redis://127.0.0.1:1'] })).toMatch(said);
  });
});
