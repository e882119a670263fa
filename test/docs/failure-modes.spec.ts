import 'reflect-metadata';
import { Test } from '@nestjs/testing';
import { CacheModule, EntityCache, onCacheEvent } from 'nestjs-cache-contract';
import {
  Account,
  Accounts,
  Carts,
  CartService,
  PermissionService,
} from './snippets/failure-modes.js';

it('does what the pages say of it', async () => {
  const module = await Test.createTestingModule({
    imports: [CacheModule.forRoot(), CacheModule.forFeature([Carts])],
    providers: [CartService, PermissionService],
  }).compile();
  const app = await module.init();
  const loads: string[] = [];
  const stop = onCacheEvent('load', ({ entity }) => loads.push(entity));

  const permissions = app.get(PermissionService);
  await permissions.of('t1', 'admin');
  expect(await permissions.of('t1', 'admin')).toEqual(['edit t1']);
  await permissions.of('t1', 'ada');
  await permissions.changeRole('t1', 'staff');
  await permissions.of('t1', 'ada');
  expect(loads).toEqual(['permission', 'permission', 'permission']);

  loads.length = 0;
  const carts = app.get(CartService);
  expect(await carts.sizes(['ada', 'ada'])).toEqual([1, 1]);
  await carts.checkout('ada');
  await carts.sizes(['ada']);
  expect(loads).toEqual(['cart', 'cart']);

  const load = async () => new Account('a', 0);
  await app.get(EntityCache).get(Accounts, 'a', load);
  const account = await app.get(EntityCache).get(Accounts, 'a', load);
  expect(account.isEmpty()).toBe(true);
  stop();
  await app.close();
});
