import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import { jest } from '@jest/globals';
import { Controller, Get, Inject, Injectable, Logger, Param, Post } from '@nestjs/common';
import {
  add,
  Cached,
  CacheModule,
  counter,
  entity,
  EntityCache,
  Flushes,
  InjectCache,
  OverrideStrategy,
  readThrough,
  WriteBehind,
  writeBehind,
  writeThrough,
  type CacheOf,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { eventually } from '../support/engine.js';
import { PLATFORMS, serve } from './apps/start.js';

const request = new AsyncLocalStorage<string>();

const Views = entity<number, number>('view', {
  ...counter(),
  write: writeBehind({ merge: 'sum', maxBatch: 3, maxPending: 4, flushEvery: '20s' }),
  maxStaleness: '1m',
});
const Totals = entity<number>('total', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s' }),
  write: writeBehind({ merge: 'sum' }),
});

@Injectable()
class ViewService {
  readonly rows = new Map<number, bigint>();
  /** What each call of the flushing method sees around it. */
  readonly around: (string | undefined)[] = [];
  readonly read: unknown[] = [];
  away = false;
  constructor(
    @Inject(EntityCache) readonly cache: EntityCache,
    @InjectCache(Views) readonly views: CacheOf<typeof Views>,
  ) {}

  @Cached(Views)
  async count(id: number): Promise<number> {
    return Number(this.rows.get(id) ?? 0n);
  }
  @WriteBehind(Views)
  async view(_id: number) {
    return add(1);
  }
  @Cached(Totals)
  async total(_id: string): Promise<number> {
    // Made of others.
    return (await this.count(1)) + (await this.count(2));
  }

  @Flushes(Views, { atLeastOnce: true })
  async persist({ entries }: FlushBatch<typeof Views>): Promise<void> {
    if (this.away) throw new Error('connection refused');
    this.around.push(request.getStore());
    for (const entry of entries) {
      if (entry.op !== 'add') continue;
      const before = this.rows.get(entry.key) ?? 0n;
      // What is cached has the batch in it; the source has not.
      this.read.push([
        await this.count(entry.key),
        await this.views.get(entry.key, async () => Number(before)),
        await this.cache.getMany(Views, [entry.key], async () => [Number(before)]),
      ]);
      this.rows.set(entry.key, before + entry.by);
    }
    await this.total('all');
  }
  @Flushes(Totals, { atLeastOnce: true })
  async persistTotals(): Promise<void> {}
}

@Controller()
class ViewController {
  constructor(@Inject(ViewService) readonly service: ViewService) {}
  @Get('views/:id')
  async count(@Param('id') id: string) {
    return { views: await this.service.count(Number(id)) };
  }
  @Post('views/:id')
  view(@Param('id') id: string) {
    return this.service.view(Number(id));
  }
  @Post('views/:id/now')
  @OverrideStrategy(Views, { write: writeThrough() })
  now(@Param('id') id: string) {
    return this.service.view(Number(id));
  }
  @Post('flush')
  async flush() {
    await this.service.cache.journal(Views).flush();
    return {};
  }
}

async function open(platform: (typeof PLATFORMS)[number] = 'Express') {
  const { app, url } = await serve(
    platform,
    {
      imports: [CacheModule.forFeature([Views])],
      controllers: [ViewController],
      providers: [ViewService],
    },
    (app) => {
      let requests = 0;
      app.use((_request: unknown, _response: unknown, next: () => void) =>
        request.run(`request ${++requests}`, next),
      );
    },
  );
  const ask = async (path: string, method = 'POST') => {
    const response = await fetch(`${url}/${path}`, { method });
    const retryAfter = response.headers.get('retry-after');
    return { status: response.status, retryAfter, body: (await response.json()) as object };
  };
  return { app, ask, service: app.get(ViewService) };
}

beforeEach(() => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe.each(PLATFORMS)('on %s', (platform) => {
  it('a mutation that does not fit into the journal is answered with 503 and when to come back, and those that wait are not harmed', async () => {
    const { ask, service } = await open(platform);
    service.away = true;
    for (const id of [1, 2]) expect((await ask(`views/${id}`)).status).toBe(201);
    expect((await ask('flush')).status).toBe(500);
    for (const id of [3, 4]) expect((await ask(`views/${id}`)).status).toBe(201);
    expect(await ask('views/5', 'GET')).toMatchObject({ body: { views: 0 } });
    const { status, retryAfter, body } = await ask('views/5');
    expect([status, body]).toEqual([
      503,
      {
        statusCode: 503,
        message: expect.stringMatching(
          /^As many mutations of 'view' as its maxPending allows wait to be written\. Try again in \d+ ms\.$/,
        ),
      },
    ]);
    expect(Number(retryAfter)).toBeGreaterThanOrEqual(1);
    expect((await ask('views/5', 'GET')).body).toEqual({ views: 0 });
    expect((await ask('views/4')).status).toBe(201);
    service.away = false;
    await ask('flush');
    expect((await ask('views/5')).status).toBe(201);
    expect((await ask('views/4', 'GET')).body).toEqual({ views: 2 });
  });
});

describe('the flushing method', () => {
  it.each([
    ['by a full batch', ['views/1', 'views/2', 'views/3', 'views/4'], 3],
    ['by a handler that flushes', ['views/1', 'flush'], 1],
    ['by a handler that writes through', ['views/1/now'], 1],
  ])('runs outside of every request, also when it is started %s', async (_, paths, keys) => {
    const { ask, service } = await open();
    for (const path of paths) expect((await ask(path)).status).toBe(201);
    await eventually(() => service.rows.size >= keys);
    expect(service.around).toEqual([undefined]);
  });

  it('runs outside of the request that called it when its attempt is one after a failure', async () => {
    const { ask, service } = await open();
    service.away = true;
    await ask('views/1');
    expect((await ask('flush')).status).toBe(500);
    service.away = false;
    await eventually(() => service.rows.size > 0);
    expect(service.around).toEqual([undefined]);
  });

  it('reads its own entity past the cache, instead of waiting for itself; others it reads as always', async () => {
    const { ask, service } = await open();
    service.rows.set(1, 40n);
    expect((await ask('views/1', 'GET')).body).toEqual({ views: 40 });
    await ask('views/1');
    await ask('views/2');
    expect((await ask('flush')).status).toBe(201);
    expect(service.rows).toEqual(
      new Map([
        [1, 41n],
        [2, 1n],
      ]),
    );
    expect(service.read.length).toBe(2);
    expect((await ask('views/1', 'GET')).body).toEqual({ views: 41 });
  });

  it('lets those who read meanwhile wait for it, and gives them what it wrote, once', async () => {
    const { ask } = await open();
    for (let round = 1; round <= 5; round++) {
      await ask('views/7');
      const [, read] = await Promise.all([ask('flush'), ask('views/7', 'GET')]);
      expect(read.body).toEqual({ views: round });
    }
  });
});
