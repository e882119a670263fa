import 'reflect-metadata';
import {
  Controller,
  Get,
  Injectable,
  UseGuards,
  type CanActivate,
  type INestApplication,
} from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import {
  acceptStale,
  bypass,
  Cached,
  CacheModule,
  CacheOriginBusyError,
  Clock,
  EntityCache,
  entity,
  external,
  fresh,
  origin,
  OverrideStrategy,
  readThrough,
  staleWhileRevalidate,
} from 'nestjs-cache-contract';
import { ManualClock } from '../support/manual-clock.js';

const Stocks = entity<number>('stock', {
  maxStaleness: '15m',
  read: readThrough({ ttl: '10s', jitter: 0 }),
  write: external(),
});
const Menus = entity<number>('menu', {
  maxStaleness: '2h',
  read: staleWhileRevalidate({ ttl: '10s', staleFor: '1h', jitter: 0 }),
  write: external(),
});

@Injectable()
class Source {
  loads = 0;
  @Cached(Stocks)
  async stock(_id: string): Promise<number> {
    return ++this.loads;
  }
  @Cached(Menus)
  async menu(_id: string): Promise<number> {
    return ++this.loads;
  }
}

@Injectable()
class Reading implements CanActivate {
  seen: number[] = [];
  constructor(private readonly source: Source) {}
  async canActivate() {
    this.seen.push(await this.source.stock('a'));
    return true;
  }
}

@Controller('plain')
class Plain {
  constructor(private readonly source: Source) {}
  @Get('stock')
  stock() {
    return this.source.stock('a');
  }
  @Get('menu')
  menu() {
    return this.source.menu('a');
  }
  @Get('fresh-menu')
  @OverrideStrategy(Menus, { read: fresh() })
  freshMenu() {
    return this.source.menu('a');
  }
  @Get('busy')
  busy(): Promise<number> {
    return Promise.reject(new CacheOriginBusyError('database', 1_500));
  }
}

@Controller('patient')
@OverrideStrategy({ read: acceptStale('10m') })
class Patient {
  constructor(private readonly source: Source) {}
  @Get('stock')
  stock() {
    return this.source.stock('a');
  }
  @Get('asked')
  @OverrideStrategy(Stocks, { read: bypass() })
  asked() {
    return this.source.stock('a');
  }
}

@OverrideStrategy(Stocks, { read: acceptStale('10m') })
class Base {
  constructor(readonly source: Source) {}
}
@Controller('derived')
class Derived extends Base {
  @Get('stock')
  stock() {
    return this.source.stock('a');
  }
  @Get('asked')
  @OverrideStrategy(Stocks, { read: bypass() })
  @OverrideStrategy({ read: acceptStale('10m') })
  asked() {
    return this.source.stock('a');
  }
}

@Controller('guarded')
@UseGuards(Reading)
@OverrideStrategy(Stocks, { read: bypass() })
class Guarded {
  @Get()
  ok() {
    return 'ok';
  }
}

describe.each(['Express', 'Fastify'])('@OverrideStrategy on %s', (platform) => {
  let app: INestApplication;
  let clock: ManualClock;
  const get = async (path: string) => (await fetch(`${await app.getUrl()}/${path}`)).text();

  beforeEach(async () => {
    clock = new ManualClock();
    const module = await Test.createTestingModule({
      imports: [CacheModule.forRoot()],
      controllers: [Plain, Patient, Derived, Guarded],
      providers: [Source, Reading],
    })
      .overrideProvider(Clock)
      .useValue(clock)
      .compile();
    app =
      platform === 'Fastify'
        ? module.createNestApplication(new FastifyAdapter() as never, { logger: false })
        : module.createNestApplication({ logger: false });
    await app.listen(0);
  });
  afterEach(() => app.close());

  it('lets two controllers judge one entry differently in the same moment, and changes nothing that is stored', async () => {
    expect(await get('plain/stock')).toBe('1');
    clock.advance(60_000);
    expect(await get('patient/stock')).toBe('1');
    clock.advance(60_000);
    const before = app.get(Source).loads;
    expect(await get('patient/stock')).toBe(String(before));
    clock.advance(9_999_999);
    const late = app.get(Source).loads;
    expect(await get('plain/stock')).toBe(String(late + 1));
    expect(await get('patient/stock')).toBe(String(late + 1));
  });

  it('puts the handler over its controller, and one entity over all', async () => {
    await get('patient/stock');
    expect(await get('patient/asked')).toBe('2');
    expect(await get('patient/stock')).toBe('1');
  });

  it('is inherited from a base class, and puts one entity over all in whatever order they are written', async () => {
    expect(await get('derived/stock')).toBe('1');
    clock.advance(60_000);
    expect(await get('derived/stock')).toBe('1');
    expect(Number(await get('derived/asked'))).toBeGreaterThan(1);
  });

  it('lets nothing stale through with fresh(), where others are served stale', async () => {
    await get('plain/menu');
    clock.advance(60_000);
    expect(await get('plain/fresh-menu')).toBe('2');
  });

  it('is honoured by what a guard reads', async () => {
    await get('guarded');
    await get('guarded');
    expect(app.get(Reading).seen).toEqual([1, 2]);
    expect(await app.get(EntityCache).peek(Stocks, 'a')).toBeUndefined();
  });

  it('answers a shed load with 503 and the seconds after which to try again', async () => {
    const response = await fetch(`${await app.getUrl()}/plain/busy`);
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '2']);
  });
});

it('refuses to start with a handler that accepts more than a contract allows, or something that is no acceptance', async () => {
  const Tight = entity<number>('tight', {
    maxStaleness: '1m',
    read: readThrough({ ttl: '50s' }),
    write: external(),
    origin: origin('small', { maxConcurrent: 1 }),
  });
  @Controller()
  class Greedy {
    @Get()
    @OverrideStrategy(Tight, { read: acceptStale('10m') })
    one() {
      return 1;
    }
    @Get('two')
    @OverrideStrategy({ read: readThrough({ ttl: '1s' }) as never })
    two() {
      return 2;
    }
  }
  const module = await Test.createTestingModule({
    imports: [CacheModule.forRoot()],
    controllers: [Greedy],
  }).compile();
  const error = await module.init().then(
    () => new Error('it started'),
    (thrown: Error) => thrown,
  );
  expect(error.message).toContain('2 faults keep the cache from starting.');
  expect(error.message).toContain(
    "write acceptStale('10s') or less, or raise `maxStaleness` to '650s'",
  );
  expect(error.message).toContain('At:  Greedy.one → @OverrideStrategy(tight)');
  expect(error.message).toContain('At:  Greedy.two → @OverrideStrategy()');
});
