import 'reflect-metadata';
import { jest } from '@jest/globals';
import { Controller, Get, Inject, Injectable, Logger, Param, Post } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import {
  add,
  Cached,
  CacheModule,
  Clock,
  counter,
  entity,
  Flushes,
  OverrideStrategy,
  WriteBehind,
  writeBehind,
  writeThrough,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { eventually } from '../support/engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { closedLater, PLATFORMS } from './apps/start.js';

const Views = entity<number, number>('view', {
  ...counter(),
  write: writeBehind({ merge: 'sum', flushTimeout: '2s', flushEvery: '30m' }),
  maxStaleness: '2h',
});

@Injectable()
class ViewService {
  readonly rows = new Map<number, number>();
  readonly signals: AbortSignal[] = [];

  @Cached(Views)
  async count(id: number): Promise<number> {
    return this.rows.get(id) ?? 0;
  }
  @WriteBehind(Views)
  async view(_id: number) {
    return add(1);
  }
  /** 13 is closed, and 99 hangs. */
  @Flushes(Views, { atLeastOnce: true })
  async write({ entries, signal }: FlushBatch<typeof Views>) {
    this.signals.push(signal);
    if (entries.some(({ key }) => key === 99)) await new Promise(() => undefined);
    const rejected = entries.filter(({ key }) => key === 13);
    for (const entry of entries) {
      if (rejected.includes(entry) || entry.op !== 'add') continue;
      this.rows.set(entry.key, (this.rows.get(entry.key) ?? 0) + Number(entry.by));
    }
    return { rejected: rejected.map(({ key }) => ({ key, reason: `view ${key} is closed` })) };
  }
}

@Controller('views/:id')
class ViewController {
  constructor(@Inject(ViewService) readonly service: ViewService) {}
  @Get()
  async count(@Param('id') id: string) {
    return { views: await this.service.count(Number(id)) };
  }
  @Post()
  @OverrideStrategy(Views, { write: writeThrough() })
  view(@Param('id') id: string) {
    return this.service.view(Number(id));
  }
}

beforeEach(() => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  jest.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe.each(PLATFORMS)('a handler that writes through, on %s,', (platform) => {
  async function open() {
    const clock = new ManualClock();
    const module = await Test.createTestingModule({
      imports: [CacheModule.forRoot()],
      controllers: [ViewController],
      providers: [ViewService],
    })
      .overrideProvider(Clock)
      .useValue(clock)
      .compile();
    const adapter = platform === 'Express' ? new ExpressAdapter() : new FastifyAdapter();
    const app = closedLater(module.createNestApplication(adapter));
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    const ask = async (id: number, method = 'POST') => {
      const response = await fetch(`${url}/views/${id}`, { method });
      return { status: response.status, body: (await response.json()) as object };
    };
    return { ask, clock, service: app.get(ViewService) };
  }

  it('is answered with 422 and the reason where its mutation is rejected, and nothing of it remains', async () => {
    const { ask, service } = await open();
    expect(await ask(13)).toEqual({
      status: 422,
      body: {
        statusCode: 422,
        message: "A mutation of 'view' was rejected: view 13 is closed",
      },
    });
    expect(await ask(13, 'GET')).toEqual({ status: 200, body: { views: 0 } });
    // Others are served as before.
    expect((await ask(1)).status).toBe(201);
    expect([service.rows.get(1), (await ask(1, 'GET')).body]).toEqual([1, { views: 1 }]);
  });

  it('is answered with 503 where writing takes longer than flushTimeout, and what hangs is told to end', async () => {
    const { ask, clock, service } = await open();
    const asking = ask(99);
    await eventually(() => service.signals.length === 1);
    clock.advance(2_000);
    const { status, body } = await asking;
    expect([status, body]).toEqual([
      503,
      {
        statusCode: 503,
        message: expect.stringMatching(
          /^Writing a batch of 'view' took longer than its flushTimeout of 2000 ms\./,
        ),
      },
    ]);
    expect(service.signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(service.signals[0]!.reason).toMatchObject({ code: 'CACHE_FLUSH_TIMEOUT' });
  });
});
