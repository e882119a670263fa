import 'reflect-metadata';
import { Test } from '@nestjs/testing';
import { CacheModule, Clock, EntityCache } from 'nestjs-cache-contract';
import { ManualClock } from '../support/manual-clock.js';
import {
  AdminController,
  Availability,
  CatalogService,
  Menu,
  Permissions,
  Profiles,
  Settings,
  ShopController,
  StockService,
} from './snippets/production.js';

it('does what the pages say of it: contracts that hold, a catalog that is overwritten, controllers that differ', async () => {
  const clock = new ManualClock();
  const module = await Test.createTestingModule({
    imports: [
      CacheModule.forRoot(),
      CacheModule.forFeature([Availability, Menu, Permissions, Profiles, Settings]),
    ],
    controllers: [AdminController, ShopController],
    providers: [CatalogService, StockService],
  })
    .overrideProvider(Clock)
    .useValue(clock)
    .compile();
  const app = module.createNestApplication({ logger: false });
  await app.listen(0);
  const get = async (path: string) => (await fetch(`${await app.getUrl()}${path}`)).text();

  const catalog = app.get(CatalogService);
  await catalog.find(1);
  await catalog.retitle(1, 'Darjeeling');
  expect(await catalog.find(1)).toMatchObject({ title: 'Darjeeling' });
  expect(catalog.queries).toBe(1);
  await catalog.renameCategory('tea', 'drinks');
  expect(await catalog.findMany([1, 2, 1])).toMatchObject([
    { category: 'drinks' },
    null,
    { id: 1 },
  ]);
  expect(catalog.queries).toBe(2);

  expect(await get('/shop/stock/7')).toBe('1');
  clock.advance(60_000);
  expect(await get('/shop/stock/7')).toBe('1');
  expect(await get('/admin/stock/7')).not.toBe('1');

  const { worstStaleness } = app.get(EntityCache).contract(Menu);
  expect(worstStaleness.map(({ mode, ms }) => [mode, ms])).toEqual([
    ['changed here', 0],
    ['changed elsewhere', 6 * 3_600_000],
    ['loading fails', 24 * 3_600_000],
  ]);
  await app.close();
});
