import 'reflect-metadata';
import { Cached, CachedMany, entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { CacheStrategyInterceptor } from '../../../lib/nest/cache-strategy.interceptor.js';
import { bind } from '../../../lib/nest/decorate.js';
import { fleet, told } from '../../support/fleet.js';

interface Filter {
  page: number;
}

const Pages = entity<string, [string, number]>('page', {
  maxStaleness: { normal: '5s', incident: '1h' },
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
});

class Service {
  @Cached(Pages, (filter: Filter) => ['page', filter.page])
  async list(filter: Filter): Promise<string> {
    return `rows of ${filter.page}`;
  }

  @CachedMany(Pages)
  async lists(keys: readonly (readonly [string, number])[]): Promise<string[]> {
    return keys.map(([, page]) => `rows of ${page}`);
  }
}

function open() {
  const { processes } = fleet(2);
  return processes.map(({ engine }) => {
    const service = new Service();
    bind(service, new CacheStrategyInterceptor(engine));
    return service;
  }) as [Service, Service];
}

it('what is loaded with arguments that were changed after the call is not stored under the key of the call', async () => {
  const [first, second] = open();
  const faults = await told('fault', async () => {
    const filter = { page: 0 };
    const calls: Promise<string>[] = [];
    for (let page = 1; page <= 3; page++) {
      filter.page = page;
      calls.push(first.list(filter));
    }
    await Promise.all(calls);
  });
  expect(faults.map(({ code }) => code)).toEqual(Array(2).fill('CACHE_VALUE_UNSTORABLE'));
  const seen = await Promise.all([1, 2, 3].map((page) => second.list({ page })));
  expect(seen).toEqual(['rows of 1', 'rows of 2', 'rows of 3']);
});

it('several keys are loaded as they were when they were asked for', async () => {
  const [first, second] = open();
  const keys: [string, number][] = [
    ['page', 1],
    ['page', 2],
  ];
  const call = first.lists(keys);
  keys.forEach((key) => (key[1] = 9));
  expect(await call).toEqual(['rows of 1', 'rows of 2']);
  expect(await second.lists([['page', 1]])).toEqual(['rows of 1']);
});
