import 'reflect-metadata';
import { jest } from '@jest/globals';
import {
  Body,
  Controller,
  Get,
  Inject,
  Injectable,
  Logger,
  Param,
  Post,
  Scope,
  UseGuards,
  type CanActivate,
  type Provider,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { MessagePattern, Transport, type MicroserviceOptions } from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { isObservable, lastValueFrom } from 'rxjs';
import {
  add,
  bypass,
  Cached,
  CacheModule,
  counter,
  entity,
  EntityCache,
  Flushes,
  Invalidates,
  invalidate,
  OverrideStrategy,
  readThrough,
  set,
  WriteBehind,
  writeBehind,
  writeThrough,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { closedLater, serve, start } from './apps/start.js';

const Views = entity<number, number>('view', counter());
const Notes = entity<string | null, number>('note', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s' }),
  write: writeBehind(),
});
const Totals = entity<number>('total', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
});

/** What a database would hold; it belongs to one application. */
@Injectable()
class Source {
  readonly views = new Map<number, bigint>();
  readonly notes = new Map<number, string | null>();
  readonly batches: number[] = [];
}

@Injectable()
class Views1 {
  constructor(@Inject(Source) readonly source: Source) {}
  @Cached(Views)
  async count(id: number): Promise<number> {
    return Number(this.source.views.get(id) ?? 0);
  }
  @WriteBehind(Views)
  async view(_id: number) {
    return add(1);
  }
}

@Injectable()
class Writer {
  constructor(@Inject(Source) readonly source: Source) {}
  @Flushes(Views, { atLeastOnce: true })
  async persist({ entries }: FlushBatch<typeof Views>): Promise<void> {
    this.source.batches.push(entries.length);
    for (const entry of entries) {
      const before = this.source.views.get(entry.key) ?? 0n;
      this.source.views.set(
        entry.key,
        entry.op === 'add' ? before + entry.by : entry.op === 'set' ? BigInt(entry.value) : 0n,
      );
    }
  }
}
@Injectable()
class NoteWriter {
  constructor(@Inject(Source) readonly source: Source) {}
  @Flushes(Notes)
  async persist({ entries }: FlushBatch<typeof Notes>): Promise<void> {
    for (const entry of entries) {
      this.source.notes.set(entry.key, entry.op === 'set' ? entry.value : null);
    }
  }
}

beforeEach(() => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe('what is written behind is accepted and written', () => {
  const writtenBy = async (...providers: Provider[]) => {
    const app = await start({ providers: [Source, ...providers] });
    const service = app.get<Views1>('VIEWS', { strict: false });
    await Promise.all([service.view(1), service.view(1), service.view(2)]);
    await app.get(EntityCache).journal(Views).flush();
    return app.get(Source).views;
  };
  const expected = new Map([
    [1, 2n],
    [2, 1n],
  ]);

  it('by subclasses that are decorated in their base class only', async () => {
    @Injectable()
    class Sub extends Views1 {}
    @Injectable()
    class SubWriter extends Writer {}
    expect(await writtenBy({ provide: 'VIEWS', useClass: Sub }, SubWriter)).toEqual(expected);
  });

  it('by the method of the subclass where it overrides the one that is decorated', async () => {
    @Injectable()
    class Twice extends Writer {
      override async persist(batch: FlushBatch<typeof Views>): Promise<void> {
        await super.persist(batch);
        this.source.batches.push(-1);
      }
    }
    const app = await start({ providers: [Source, Views1, Twice] });
    await app.get(Views1).view(1);
    await app.get(EntityCache).journal(Views).flush();
    expect(app.get(Source).batches).toEqual([1, -1]);
  });

  it.each<[string, (make: (source: Source) => object) => object]>([
    ['a factory', (make) => ({ useFactory: make, inject: [Source] })],
    [
      'an asynchronous factory',
      (make) => ({ useFactory: async (s: Source) => make(s), inject: [Source] }),
    ],
  ])('by objects that %s makes', async (_, by) => {
    const views = { provide: 'VIEWS', ...by((source) => new Views1(source)) };
    const writer = { provide: 'WRITER', ...by((source) => new Writer(source)) };
    expect(await writtenBy(views as Provider, writer as Provider)).toEqual(expected);
  });

  it('by values that are provided as they are', async () => {
    const source = new Source();
    const app = await start({
      providers: [
        { provide: 'VIEWS', useValue: new Views1(source) },
        { provide: 'WRITER', useValue: new Writer(source) },
      ],
    });
    await app.get<Views1>('VIEWS').view(1);
    await app.get(EntityCache).journal(Views).flush();
    expect(source.views.get(1)).toBe(1n);
  });

  it('by a flushing method with fields of its own, because it is called on its object', async () => {
    @Injectable()
    class Private {
      #seen = 0;
      get seen() {
        return this.#seen;
      }
      @Flushes(Views, { atLeastOnce: true })
      async persist({ entries }: FlushBatch<typeof Views>): Promise<void> {
        this.#seen += entries.length;
      }
    }
    const app = await start({ providers: [Source, Views1, Private] });
    await app.get(Views1).view(1);
    await app.get(EntityCache).journal(Views).flush();
    expect(app.get(Private).seen).toBe(1);
  });

  it.each([
    ['a symbol', Symbol('persist')],
    ['a text with a dot', 'write.all'],
  ])('by a flushing method that is named by %s', async (_, name) => {
    @Injectable()
    class Named {
      seen = 0;
      @Flushes(Views, { atLeastOnce: true })
      async [name]({ entries }: FlushBatch<typeof Views>): Promise<void> {
        this.seen += entries.length;
      }
    }
    const app = await start({ providers: [Source, Views1, Named] });
    await app.get(Views1).view(1);
    const outcome = await app.get(EntityCache).journal(Views).flush().catch(String);
    expect([outcome, app.get(Named).seen]).toEqual([undefined, 1]);
  });

  it.each([
    ['REQUEST', Scope.REQUEST],
    ['TRANSIENT', Scope.TRANSIENT],
  ])('by %s hosts that describe, while a singleton writes', async (_, scope) => {
    @Injectable({ scope })
    class Describing {
      @WriteBehind(Views)
      async view(_id: number) {
        return add(1);
      }
    }
    const app = await start({ providers: [Source, Describing, Writer] });
    const [one, two] = [await app.resolve(Describing), await app.resolve(Describing)];
    expect(one).not.toBe(two);
    await Promise.all([one.view(1), two.view(1)]);
    await app.get(EntityCache).journal(Views).flush();
    expect(app.get(Source).views.get(1)).toBe(2n);
  });

  it('by a controller that is both, over HTTP, and in request scope where it only describes', async () => {
    @Controller('both')
    class Both {
      readonly written: number[] = [];
      @Post(':id')
      @WriteBehind(Notes, (id: string) => Number(id))
      async note(@Param('id') _id: string, @Body() { text }: { text: string }) {
        return set(text);
      }
      @Flushes(Notes)
      async persist({ entries }: FlushBatch<typeof Notes>): Promise<void> {
        this.written.push(...entries.map(({ key }) => key));
      }
    }
    @Controller({ path: 'scoped', scope: Scope.REQUEST })
    class Scoped {
      constructor(@Inject(REQUEST) readonly request: { method: string }) {}
      @WriteBehind(Views, (id: string) => Number(id))
      @Post(':id')
      async view(@Param('id') _id: string) {
        return add(this.request.method.length);
      }
    }
    const { app, url } = await serve('Express', {
      controllers: [Both, Scoped],
      providers: [Source, Writer],
    });
    const post = async (path: string, body = {}) => {
      const headers = { 'content-type': 'application/json' };
      const options = { method: 'POST', headers, body: JSON.stringify(body) };
      return await (await fetch(`${url}/${path}`, options)).json();
    };
    expect(await post('both/7', { text: 'x' })).toMatchObject({ op: 'set', value: 'x' });
    expect(await post('scoped/8')).toMatchObject({ op: 'add', by: 4 });
    const cache = app.get(EntityCache);
    await Promise.all([cache.journal(Notes).flush(), cache.journal(Views).flush()]);
    expect([app.get(Both).written, app.get(Source).views.get(8)]).toEqual([[7], 4n]);
  });
});

it('carries out @Invalidates of another entity with it, and not if nothing was accepted', async () => {
  @Injectable()
  class Both {
    loads = 0;
    refuse = false;
    @Cached(Totals)
    async total(_id: string): Promise<number> {
      return ++this.loads;
    }
    @WriteBehind(Views)
    @Invalidates(Totals, { key: () => 'all', when: (said: { op: string }) => said.op === 'add' })
    async view(_id: number) {
      if (this.refuse) throw new RangeError('no');
      return add(1);
    }
  }
  const app = await start({ providers: [Source, Both, Writer] });
  const both = app.get(Both);
  expect(await both.total('all')).toBe(1);
  await both.view(1);
  expect(await both.total('all')).toBe(2);
  expect(app.get(EntityCache).journal(Views).status().accepted).toBe(1);
});

it('keeps the journals of two applications in one process apart', async () => {
  const [one, two] = [
    await start({ providers: [Source, Views1, Writer] }),
    await start({ providers: [Source, Views1, Writer] }),
  ];
  await one.get(Views1).view(1);
  expect([await one.get(Views1).count(1), await two.get(Views1).count(1)]).toEqual([1, 0]);
  const status = (app: typeof one) => app.get(EntityCache).journal(Views).status().pending;
  expect([status(one), status(two)]).toEqual([1, 0]);
  await two.get(EntityCache).journal(Views).flush();
  expect(one.get(Source).views.size).toBe(0);
  await one.close();
  expect([one.get(Source).views.get(1), two.get(Source).views.size]).toEqual([1n, 0]);
  await two.get(Views1).view(1);
  expect(status(two)).toBe(1);
});

describe('@OverrideStrategy with `write: writeThrough()`', () => {
  @Injectable()
  class Service {
    constructor(
      @Inject(Source) readonly source: Source,
      @Inject(EntityCache) readonly cache: EntityCache,
    ) {}
    /** Three ways to change something: what is written when they have resolved. */
    async change() {
      await this.cache.mutate(Views, 1, add(1));
      await this.cache.mutate(Notes, 1, set('x'));
      return { views: this.source.views.size, notes: this.source.notes.size };
    }
    async read(id: number) {
      return this.cache.get(Views, id, async () => Number(this.source.views.get(id) ?? 0));
    }
  }

  @Controller('plain')
  class Plain {
    constructor(readonly service: Service) {}
    @Post()
    change() {
      return this.service.change();
    }
    @Post('handler')
    @OverrideStrategy(Views, { write: writeThrough() })
    onHandler() {
      return this.service.change();
    }
    @Post('both')
    @OverrideStrategy(Views, { read: bypass(), write: writeThrough() })
    async both() {
      const loads: number[] = [];
      const load = async () => loads.push(1);
      await this.service.cache.get(Views, 9, load);
      await this.service.cache.get(Views, 9, load);
      return { ...(await this.service.change()), loads: loads.length };
    }
    @Post('later')
    @OverrideStrategy(Views, { write: writeThrough() })
    later() {
      setImmediate(() => void this.service.change());
      return 'accepted';
    }
  }
  @Controller('every')
  @OverrideStrategy({ write: writeThrough() })
  class Every {
    constructor(readonly service: Service) {}
    @Post()
    change() {
      return this.service.change();
    }
    @Post('reads')
    @OverrideStrategy({ read: bypass() })
    async reads() {
      await this.service.read(1);
      return this.service.change();
    }
  }
  @OverrideStrategy(Notes, { write: writeThrough() })
  class Base {
    constructor(readonly service: Service) {}
  }
  @Controller('derived')
  class Derived extends Base {
    constructor(service: Service) {
      super(service);
    }
    @Post()
    change() {
      return this.service.change();
    }
  }
  @Injectable()
  class Guard implements CanActivate {
    constructor(
      @Inject(EntityCache) readonly cache: EntityCache,
      @Inject(Source) readonly source: Source,
    ) {}
    async canActivate() {
      await this.cache.mutate(Views, 5, add(1));
      return this.source.views.has(5);
    }
  }
  @Controller('guarded')
  @UseGuards(Guard)
  @OverrideStrategy(Views, { write: writeThrough() })
  class Guarded {
    @Get()
    ok() {
      return { ok: true };
    }
  }

  const open = async () => {
    const { app, url } = await serve('Express', {
      controllers: [Plain, Every, Derived, Guarded],
      providers: [Source, Service, Guard, Writer, NoteWriter],
    });
    const ask = async (path: string, method = 'POST') =>
      (await (await fetch(`${url}/${path}`, { method })).json()) as object;
    return { app, ask };
  };

  it.each([
    ['plain', { views: 0, notes: 0 }, 'neither, where nothing is said'],
    ['plain/handler', { views: 1, notes: 0 }, 'one entity, for a handler'],
    ['plain/both', { views: 1, notes: 0, loads: 2 }, 'reads of it past the cache as well'],
    ['every', { views: 1, notes: 1 }, 'all entities, for a controller'],
    ['every/reads', { views: 1, notes: 1 }, 'all, where the handler speaks of reads only'],
    ['derived', { views: 0, notes: 1 }, 'what a base class says'],
  ])('at POST /%s waits for %j: %3$s', async (path, written, _what) => {
    const { ask } = await open();
    expect(await ask(path)).toEqual(written);
  });

  it('is honoured by what guards write, and forgotten by the next request', async () => {
    const { ask } = await open();
    expect(await ask('guarded', 'GET')).toEqual({ ok: true });
    expect(await ask('plain')).toEqual({ views: 1, notes: 0 });
  });

  it('is honoured by message handlers, which have no middleware', async () => {
    @Controller()
    class Messages {
      constructor(readonly service: Service) {}
      @MessagePattern('change')
      @OverrideStrategy(Views, { write: writeThrough() })
      change() {
        return this.service.change();
      }
    }
    const module = await Test.createTestingModule({
      imports: [CacheModule.forRoot()],
      controllers: [Messages],
      providers: [Source, Service, Writer, NoteWriter],
    }).compile();
    const app = module.createNestMicroservice<MicroserviceOptions>({
      transport: Transport.TCP,
      logger: false,
    });
    await closedLater(app).init();
    const server = (app as any).serverInstance as { getHandlerByPattern(pattern: string): any };
    const answered = await server.getHandlerByPattern('change')({}, {});
    expect(isObservable(answered) ? await lastValueFrom(answered) : answered).toEqual({
      views: 1,
      notes: 0,
    });
  });
});
