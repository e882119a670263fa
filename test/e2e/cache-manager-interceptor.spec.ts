import 'reflect-metadata';
import { CacheInterceptor, CacheKey, CacheModule as TheirModule } from '@nestjs/cache-manager';
import { Controller, Get, UseInterceptors, type DynamicModule, type Type } from '@nestjs/common';
import { entity, readThrough, writeThrough, type Defined } from 'nestjs-cache-contract';
import { CacheManagerModule } from 'nestjs-cache-contract/cache-manager';
import {
  OrdersByUrl,
  OrdersByUser,
  OrderService,
} from '../docs/snippets/cache-manager-requests.js';
import { PLATFORMS, serve } from './apps/start.js';

const Legacy = entity<Defined>('legacy', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m' }),
  write: writeThrough(),
});
const theirs = TheirModule.register();
const ours = CacheManagerModule.register({ entity: Legacy });

/** What two users get who ask for the same, one after the other. */
async function ordersOf(
  platform: (typeof PLATFORMS)[number],
  controller: Type,
  module: DynamicModule,
) {
  const { url } = await serve(platform, {
    imports: [module],
    controllers: [controller],
    providers: [OrderService],
  });
  const ask = async (user: string) =>
    (await fetch(`${url}/orders`, { headers: { 'x-user': user } })).json();
  return [await ask('ada'), await ask('grace')];
}

describe.each(PLATFORMS)('two users who ask for the same URL, on %s', (platform) => {
  it('get one answer from CacheInterceptor: that of the first', async () => {
    expect(await ordersOf(platform, OrdersByUrl, theirs)).toEqual([
      ['order of ada'],
      ['order of ada'],
    ]);
  });

  it('get the same from it over any cache, for it is the key that is wrong', async () => {
    expect(await ordersOf(platform, OrdersByUrl, ours)).toEqual([
      ['order of ada'],
      ['order of ada'],
    ]);
  });

  it('get each their own where the key is what the answer depends on', async () => {
    expect(await ordersOf(platform, OrdersByUser, ours)).toEqual([
      ['order of ada'],
      ['order of grace'],
    ]);
  });
});

it('goes on with CacheInterceptor where an answer is the same for all', async () => {
  @Controller('layout')
  @UseInterceptors(CacheInterceptor)
  class LayoutController {
    made = 0;
    @Get()
    @CacheKey('layout')
    layout() {
      return { made: ++this.made };
    }
  }
  const { url } = await serve('Express', { imports: [ours], controllers: [LayoutController] });
  const ask = async () => {
    const response = await fetch(`${url}/layout`);
    return [response.headers.get('x-cache'), await response.json()];
  };
  expect([await ask(), await ask()]).toEqual([
    ['MISS', { made: 1 }],
    ['HIT', { made: 1 }],
  ]);
});
