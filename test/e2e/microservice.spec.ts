import 'reflect-metadata';
import { createServer, type AddressInfo } from 'node:net';
import { Controller, Injectable } from '@nestjs/common';
import {
  ClientProxyFactory,
  EventPattern,
  MessagePattern,
  Payload,
  Transport,
  type ClientProxy,
} from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import {
  Cached,
  CacheModule,
  entity,
  Invalidates,
  invalidate,
  onCacheEvent,
  readThrough,
} from 'nestjs-cache-contract';
import { firstValueFrom } from 'rxjs';
import { closedLater } from './apps/start.js';

const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
} as const;
const Quotes = entity<string>('quote', contract);

@Injectable()
class Source {
  loads = 0;
}
@Controller()
class Quoter {
  constructor(readonly source: Source) {}
  @Cached(Quotes, (request: { id: string }) => request.id)
  @MessagePattern('above')
  async above(@Payload() { id }: { id: string }): Promise<string> {
    return `${id} ${++this.source.loads}`;
  }
  @MessagePattern('below')
  @Cached(Quotes, (request: { id: string }) => request.id)
  async below(@Payload() { id }: { id: string }): Promise<string> {
    return `${id} ${++this.source.loads}`;
  }
  @MessagePattern('by payload')
  @Cached(Quotes)
  async byPayload(@Payload() id: string): Promise<string> {
    return `${id} ${++this.source.loads}`;
  }
  @Invalidates(Quotes)
  @EventPattern('changed')
  async changed(@Payload() _id: string): Promise<void> {}
}

/** The TCP transport takes 0 for its default port, so ask the system for one first. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startMicroservice() {
  const options = { host: '127.0.0.1', port: await freePort() };
  const module = await Test.createTestingModule({
    imports: [CacheModule.forRoot()],
    controllers: [Quoter],
    providers: [Source],
  }).compile();
  const app = closedLater(module.createNestMicroservice({ transport: Transport.TCP, options }));
  await app.listen();
  client = ClientProxyFactory.create({ transport: Transport.TCP, options });
  return (pattern: string, payload: unknown) =>
    firstValueFrom(client!.send<string>(pattern, payload));
}
let client: ClientProxy | undefined;
// Before the application: it waits for its connections to end.
beforeEach(() => (client = undefined));
afterEach(() => client?.close());

it.each(['above', 'below'])(
  'caches a message handler whose @Cached stands %s @MessagePattern, with its payload bound',
  async (pattern) => {
    const ask = await startMicroservice();
    expect([
      await ask(pattern, { id: 'a' }),
      await ask(pattern, { id: 'a' }),
      await ask(pattern, { id: 'b' }),
    ]).toEqual(['a 1', 'a 1', 'b 2']);
  },
);

it('takes the payload as the key, though Nest hands more arguments to a message handler', async () => {
  const ask = await startMicroservice();
  expect([await ask('by payload', 'a'), await ask('by payload', 'a')]).toEqual(['a 1', 'a 1']);
});

it('invalidates from an event handler, so that the next message sees the change', async () => {
  const ask = await startMicroservice();
  expect(await ask('by payload', 'a')).toBe('a 1');
  const done = new Promise<void>((resolve) => {
    const stop = onCacheEvent('invalidate', () => {
      stop();
      resolve();
    });
  });
  client!.emit('changed', 'a');
  await done;
  expect(await ask('by payload', 'a')).toBe('a 2');
});

it('gives each message a context of its own, because no middleware opens one', async () => {
  const ask = await startMicroservice();
  const heard: unknown[] = [];
  const requests = new Set<number | undefined>();
  const stop = onCacheEvent('load', ({ handler, request }) => {
    heard.push(handler);
    requests.add(request);
  });
  await Promise.all([ask('above', { id: 'a' }), ask('below', { id: 'b' })]);
  stop();
  expect(heard.sort()).toEqual(['Quoter.above', 'Quoter.below']);
  expect(requests.size).toBe(2);
  expect(requests).not.toContain(undefined);
});
