import 'reflect-metadata';
import { jest } from '@jest/globals';
import {
  Controller,
  Injectable,
  Logger,
  Module,
  Post,
  Scope,
  type ModuleMetadata,
} from '@nestjs/common';
import {
  add,
  Cached,
  CacheModule,
  counter,
  entity,
  EntityCache,
  Flushes,
  invalidate,
  OverrideStrategy,
  readThrough,
  set,
  WriteBehind,
  writeBehind,
  WriteThrough,
  writeThrough,
  type Fault,
  type FlushBatch,
} from 'nestjs-cache-contract';
import { Shop, ShopLedger, type Connection } from '../support/sqlite-shop.js';
import { start } from './apps/start.js';

const Views = entity<number, number>('view', counter());
const Notes = entity<string | null>('note', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s' }),
  write: writeBehind(),
});
const Names = entity<string>('name', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '20s' }),
  write: invalidate(),
});
type ViewBatch = FlushBatch<typeof Views>;

@Injectable()
class Viewing {
  @WriteBehind(Views)
  async view(_id: number) {
    return add(1);
  }
}
@Injectable()
class Persisting {
  @Flushes(Views, { ledger: ShopLedger })
  async persist(_batch: ViewBatch, _tx: Connection): Promise<void> {}
}
const shop = [Shop, ShopLedger];

async function faultsOf(metadata: ModuleMetadata): Promise<readonly Fault[]> {
  return start(metadata).then(
    () => [],
    (error: { faults?: readonly Fault[] }) => {
      if (error.faults === undefined) throw error;
      return error.faults;
    },
  );
}
/** One line a fault, as a newcomer reads it. */
const told = async (metadata: ModuleMetadata) =>
  (await faultsOf(metadata)).map(
    ({ code, problem, at, fix }) => `${code} ${problem} [${at}] ${fix}`,
  );

beforeEach(() => {
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
});
afterEach(() => {
  jest.restoreAllMocks();
});

it('starts with one method that writes the batches and a ledger that is provided', async () => {
  expect(await told({ providers: [...shop, Viewing, Persisting] })).toEqual([]);
});

describe('a write-behind entity whose batches', () => {
  it('nobody writes is refused, because what it accepts would wait for ever', async () => {
    expect(await told({ providers: [Viewing] })).toEqual([
      expect.stringMatching(
        /^CACHE_FLUSH_MISSING entity 'view' is written behind, and no method writes its batches\. \[entity 'view', used by Viewing\.view → @WriteBehind\(view\)\] put @Flushes on the method of a provider/,
      ),
    ]);
  });

  it('nobody writes is refused also where it is only injected, and where it is only read', async () => {
    const [injected] = await faultsOf({ imports: [CacheModule.forFeature([Views])] });
    @Injectable()
    class Reading {
      @Cached(Views)
      async count(_id: number): Promise<number> {
        return 1;
      }
    }
    const [read] = await faultsOf({ providers: [Reading] });
    expect([injected?.code, read?.code]).toEqual(['CACHE_FLUSH_MISSING', 'CACHE_FLUSH_MISSING']);
  });

  it('two methods write is refused and names both, because chance would choose', async () => {
    @Injectable()
    class Other {
      @Flushes(Views, { ledger: ShopLedger })
      async save(_batch: ViewBatch, _tx: Connection): Promise<void> {}
    }
    expect(await faultsOf({ providers: [...shop, Persisting, Other] })).toEqual([
      expect.objectContaining({
        code: 'CACHE_FLUSH_AMBIGUOUS',
        problem: "2 methods would write the batches of 'view'.",
        at: 'Persisting.persist → @Flushes(view), Other.save → @Flushes(view)',
      }),
    ]);
  });

  it('two instances of one class would write is refused, because each has a state of its own', async () => {
    @Module({ providers: [Persisting] })
    class One {}
    @Module({ providers: [Persisting] })
    class Two {}
    const faults = await faultsOf({ imports: [One, Two], providers: shop });
    expect(faults).toEqual([
      expect.objectContaining({
        code: 'CACHE_FLUSH_AMBIGUOUS',
        problem: "2 instances of one class would write the batches of 'view'.",
      }),
    ]);
  });

  it('are written by a provider under two names is accepted, because that is one instance', async () => {
    const alias = { provide: 'PERSISTING', useExisting: Persisting };
    expect(await told({ providers: [...shop, Persisting, alias] })).toEqual([]);
  });

  it('would be written by two subclasses of one class is refused', async () => {
    @Injectable()
    class One extends Persisting {}
    @Injectable()
    class Two extends Persisting {}
    expect(await faultsOf({ providers: [...shop, One, Two] })).toMatchObject([
      { code: 'CACHE_FLUSH_AMBIGUOUS' },
    ]);
  });

  it.each([
    ['request', Scope.REQUEST],
    ['transient', Scope.TRANSIENT],
  ])('would be written in %s scope is refused, because no request is there', async (_, scope) => {
    @Injectable({ scope })
    class Scoped {
      @Flushes(Views, { ledger: ShopLedger })
      async persist(_batch: ViewBatch, _tx: Connection): Promise<void> {}
    }
    const [fault, ...more] = await faultsOf({ providers: [...shop, Scoped] });
    expect([fault, more]).toEqual([
      expect.objectContaining({
        code: 'CACHE_FLUSH_SCOPED',
        at: 'Scoped.persist → @Flushes(view)',
      }),
      [],
    ]);
  });

  it('would be written by a class that injects something request-scoped is refused', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Tenant {}
    @Injectable()
    class Scoped {
      constructor(readonly tenant: Tenant) {}
      @Flushes(Views, { ledger: ShopLedger })
      async persist(_batch: ViewBatch, _tx: Connection): Promise<void> {}
    }
    expect(await faultsOf({ providers: [...shop, Tenant, Scoped] })).toMatchObject([
      {
        code: 'CACHE_FLUSH_SCOPED',
        fix: expect.stringContaining('injects nothing request-scoped'),
      },
    ]);
  });

  it.each([
    ['request', Scope.REQUEST],
    ['transient', Scope.TRANSIENT],
  ])(
    'would be written by what a factory makes in %s scope is refused at the start, not at the first batch',
    async (_, scope) => {
      const provider = { provide: 'WRITER', scope, useFactory: () => new Persisting() };
      @Injectable({ scope: scope === Scope.REQUEST ? Scope.REQUEST : Scope.DEFAULT })
      class Host {}
      const holder = {
        provide: 'HOLDER',
        useFactory: (writer: Persisting) => ({ writer }),
        inject: ['WRITER'],
      };
      const faults = await faultsOf({ providers: [...shop, Host, Viewing, provider, holder] });
      expect(faults.map(({ code }) => code)).toEqual([
        expect.stringMatching(/^CACHE_FLUSH_(SCOPED|MISSING)$/),
      ]);
    },
  );
});

describe('a decorator that contradicts the contract is refused:', () => {
  it('@Flushes and @WriteBehind of an entity that is not written behind', async () => {
    @Injectable()
    class Contradicting {
      @Flushes(Names)
      async persist(_batch: FlushBatch<typeof Names>): Promise<void> {}
      @WriteBehind(Names, (id: string) => id)
      async rename(_id: string, to: string) {
        return set(to);
      }
    }
    expect(await told({ providers: [Contradicting] })).toEqual([
      "CACHE_WRITE_CONTRADICTED Contradicting.persist writes batches of 'name', whose contract does not say that it is written behind. [Contradicting.persist → @Flushes(name)] write `write: writeBehind({ … })` in the contract, or remove the decorator.",
      "CACHE_WRITE_CONTRADICTED Contradicting.rename says what is to be written to 'name', whose contract does not say that it is written behind. [Contradicting.rename → @WriteBehind(name)] write `write: writeBehind({ … })` in the contract, or let the method write, and carry @Invalidates.",
    ]);
  });

  it('@WriteThrough of an entity that is written behind, because it would overtake what waits', async () => {
    @Injectable()
    class Contradicting {
      @WriteThrough(Views)
      async save(_id: number): Promise<number> {
        return 1;
      }
    }
    const faults = await faultsOf({ providers: [...shop, Persisting, Contradicting] });
    expect(faults).toMatchObject([
      { code: 'CACHE_WRITE_CONTRADICTED', at: 'Contradicting.save → @WriteThrough(view)' },
    ]);
  });

  it('two @WriteBehind on one method, whose one result cannot say two things', async () => {
    @Injectable()
    class Contradicting {
      @WriteBehind(Views)
      @(WriteBehind(Notes as any) as MethodDecorator)
      async both(_id: number) {
        return add(1);
      }
      @Flushes(Notes)
      async notes(_batch: FlushBatch<typeof Notes>): Promise<void> {}
    }
    expect(await faultsOf({ providers: [...shop, Persisting, Contradicting] })).toEqual([
      expect.objectContaining({
        code: 'CACHE_DECORATOR_CONFLICT',
        problem: 'Contradicting.both carries @WriteBehind(note) and @WriteBehind(view).',
        why: 'its one result cannot say what changes in two entries.',
      }),
    ]);
  });

  it('@Cached with @WriteBehind on one method, which would not run on a hit', async () => {
    @Injectable()
    class Contradicting {
      @(Cached(Names as any) as MethodDecorator)
      @WriteBehind(Views)
      async both(_id: number) {
        return add(1);
      }
    }
    expect(await faultsOf({ providers: [...shop, Persisting, Contradicting] })).toEqual([
      expect.objectContaining({
        code: 'CACHE_DECORATOR_CONFLICT',
        problem: 'Contradicting.both carries @WriteBehind(view) and @Cached(name).',
      }),
    ]);
  });

  it('@WriteBehind without a key function on a method of two arguments, and with something that is none', async () => {
    @Injectable()
    class Contradicting {
      @WriteBehind(Views, undefined as any)
      async two(_id: number, _by: number) {
        return add(1);
      }
      @WriteBehind(Views, 'id' as any)
      async text(_id: number) {
        return add(1);
      }
    }
    const faults = await faultsOf({ providers: [...shop, Persisting, Contradicting] });
    expect(faults.map(({ code, problem }) => `${code} ${problem}`)).toEqual([
      "CACHE_TARGET_INVALID @WriteBehind expected a function of the method's arguments as its key, got 'id' (string).",
      'CACHE_TARGET_INVALID without a key function the method takes exactly one argument, the key; this one takes 2.',
    ]);
  });
});

describe('a ledger', () => {
  it('that is not provided is refused by name', async () => {
    expect(await told({ providers: [Viewing, Persisting] })).toEqual([
      'CACHE_LEDGER_MISSING ShopLedger is not provided, or not once for the application. [Persisting.persist → @Flushes(view)] add ShopLedger to the providers of a module; make it @Injectable() in default scope, injecting nothing request-scoped.',
    ]);
  });

  it('of another module is found, though that module exports nothing', async () => {
    @Module({ providers: shop })
    class Database {}
    expect(await told({ imports: [Database], providers: [Viewing, Persisting] })).toEqual([]);
  });

  it('in request scope is refused, because batches are written outside of requests', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class ScopedLedger extends ShopLedger {}
    @Injectable()
    class Writing {
      @Flushes(Views, { ledger: ScopedLedger })
      async persist(_batch: ViewBatch, _tx: Connection): Promise<void> {}
    }
    const provider = {
      provide: ScopedLedger,
      useFactory: (shop: Shop) => new ScopedLedger(shop),
      inject: [Shop],
      scope: Scope.REQUEST,
    };
    expect(await faultsOf({ providers: [Shop, provider, Writing] })).toMatchObject([
      { code: 'CACHE_LEDGER_MISSING', at: 'Writing.persist → @Flushes(view)' },
    ]);
  });

  it.each<[string, unknown, string]>([
    ['another class', class Plain {}, 'got a function'],
    ['an instance of one', {}, 'got an object'],
    ['its name', 'ShopLedger', "got 'ShopLedger' (string)"],
  ])('that is %s is refused', async (_, ledger, got) => {
    @Injectable()
    class Writing {
      @Flushes(Notes, { ledger: ledger as typeof ShopLedger })
      async persist(_batch: FlushBatch<typeof Notes>, _tx: Connection): Promise<void> {}
    }
    const faults = await faultsOf({
      imports: [CacheModule.forFeature([Notes])],
      providers: [Writing],
    });
    expect(faults.map(({ code }) => code)).toContain('CACHE_TARGET_INVALID');
    expect(faults.find(({ code }) => code === 'CACHE_TARGET_INVALID')?.problem).toContain(got);
  });

  it.each<[string, { ledger: never }]>([
    ['a class after a circle of imports', { ledger: undefined as never }],
    ['null', { ledger: null as never }],
  ])(
    'that is there in name only (%s) is refused, because batches would silently be written without it',
    async (_, options) => {
      @Injectable()
      class Writing {
        @Flushes(Notes, options)
        async persist(_batch: FlushBatch<typeof Notes>): Promise<void> {}
      }
      const faults = await faultsOf({
        imports: [CacheModule.forFeature([Notes])],
        providers: [Writing],
      });
      expect(faults.map(({ code }) => code)).toContain('CACHE_TARGET_INVALID');
      expect(faults[0]?.fix).toContain('two files import each other');
    },
  );

  it('is the only thing said of a @Flushes whose ledger is none: the method is there', async () => {
    @Injectable()
    class Writing {
      @Flushes(Notes, { ledger: class Plain {} as never })
      async persist(_batch: FlushBatch<typeof Notes>): Promise<void> {}
    }
    const faults = await faultsOf({
      imports: [CacheModule.forFeature([Notes])],
      providers: [Writing],
    });
    expect(faults.map(({ code }) => code)).toEqual(['CACHE_TARGET_INVALID']);
  });

  it.each([
    ['an option that does not exist', { atMostOnce: true }],
    ['a word for yes', { atLeastOnce: 'yes' }],
    ['a no', { atLeastOnce: false }],
  ])('may be left out, but not for %s', async (_, options) => {
    @Injectable()
    class Writing {
      @Flushes(Notes, options as never)
      async persist(_batch: FlushBatch<typeof Notes>): Promise<void> {}
    }
    const faults = await faultsOf({ providers: [Writing] });
    expect(faults).toMatchObject([{ code: 'CACHE_TARGET_INVALID' }]);
    expect(faults[0]?.problem).toContain('{ atLeastOnce: true }');
  });

  it('may be left out for sums only by who says that they may count twice', async () => {
    @Injectable()
    class Silent {
      @Flushes(Views)
      async persist(_batch: ViewBatch): Promise<void> {}
    }
    @Injectable()
    class Frank {
      @Flushes(Views, { atLeastOnce: true })
      async persist(_batch: ViewBatch): Promise<void> {}
    }
    @Injectable()
    class Replacing {
      @Flushes(Notes)
      async persist(_batch: FlushBatch<typeof Notes>): Promise<void> {}
    }
    expect(await told({ providers: [Viewing, Silent] })).toEqual([
      "CACHE_LEDGER_MISSING entity 'view' merges by summing, and no ledger remembers which batches are written. [Silent.persist → @Flushes(view)] write @Flushes(entity, { ledger: ShopLedger }), or accept double counting with { atLeastOnce: true }.",
    ]);
    expect(await told({ providers: [Viewing, Frank] })).toEqual([]);
    expect(await told({ providers: [Replacing] })).toEqual([]);
  });
});

describe('@OverrideStrategy({ write }) is refused', () => {
  const withHandler = (...strategy: unknown[]) => {
    @Controller()
    class Handling {
      @Post()
      @OverrideStrategy(...(strategy as [never]))
      change() {
        return 1;
      }
    }
    return { controllers: [Handling], providers: [...shop, Viewing, Persisting] };
  };

  it('where it is not writeThrough(), called', async () => {
    const faults = [
      ...(await faultsOf(withHandler(Views, { write: writeThrough }))),
      ...(await faultsOf(withHandler(Views, { write: writeBehind() }))),
    ];
    expect(faults).toMatchObject([
      { code: 'CACHE_OPTION_INVALID', at: 'Handling.change → @OverrideStrategy(view)' },
      { code: 'CACHE_OPTION_INVALID', at: 'Handling.change → @OverrideStrategy(view)' },
    ]);
    expect(faults.map(({ problem }) => problem)).toEqual([
      '`write` of @OverrideStrategy must be writeThrough(), got a function.',
      '`write` of @OverrideStrategy must be writeThrough(), got an object.',
    ]);
  });

  it('for an entity whose methods write at once', async () => {
    @Injectable()
    class Reading {
      @Cached(Names)
      async find(id: string): Promise<string> {
        return id;
      }
    }
    const { controllers, providers } = withHandler(Names, { write: writeThrough() });
    expect(await faultsOf({ controllers, providers: [...providers, Reading] })).toMatchObject([
      { code: 'CACHE_WRITE_CONTRADICTED', at: 'Handling.change → @OverrideStrategy(name)' },
    ]);
  });

  it('where it asks for nothing', async () => {
    expect(await faultsOf(withHandler(Views, {}))).toMatchObject([
      { code: 'CACHE_OPTION_INVALID' },
    ]);
  });

  it('never for a pair of read and write that both make sense', async () => {
    expect(await told(withHandler({ write: writeThrough() }))).toEqual([]);
    const read = { kind: 'bypass' };
    expect(await told(withHandler(Views, { read, write: writeThrough() }))).toEqual([]);
  });
});

describe('at the start of an application that writes behind', () => {
  const logged = async (metadata: ModuleMetadata) => {
    const log = jest.spyOn(Logger.prototype, 'log').mockImplementation(() => undefined);
    const warn = jest.spyOn(Logger.prototype, 'warn').mockClear();
    await start(metadata);
    const texts = (calls: unknown[][]) => calls.map(([message]) => String(message));
    return { table: texts(log.mock.calls).join('\n'), warnings: texts(warn.mock.calls) };
  };
  @Injectable()
  class Noting {
    @Flushes(Notes)
    async persist(_batch: FlushBatch<typeof Notes>): Promise<void> {}
  }

  it('the table says how often a mutation takes effect: once with a ledger, at least once without', async () => {
    const { table } = await logged({ providers: [...shop, Persisting, Noting] });
    expect(table).toMatch(/^view +ttl 10s +write-behind, exactly once +origin +30s +26s$/m);
    expect(table).toMatch(/^note +ttl 20s +write-behind, at least once +origin +1m +36s$/m);
  });

  it('a warning says what a crash loses, and nobody is warned where nothing waits', async () => {
    const { warnings } = await logged({ providers: [...shop, Persisting, Noting] });
    expect(warnings).toEqual([
      "Accepted mutations wait in the memory of this process until they are written. A crash would lose what 'view' has accepted in the last 1s, and up to 10000 keys of it while its database is out of reach; and what 'note' has accepted in the last 1s, and up to 10000 keys of it while its database is out of reach.",
    ]);
    expect((await logged({})).warnings).toEqual([]);
  });
});

describe('the environment', () => {
  const names: string[] = [];
  const setting = (variables: { [name: string]: string }) => {
    names.push(...Object.keys(variables));
    Object.assign(process.env, variables);
  };
  afterEach(() => {
    for (const name of names.splice(0)) delete process.env[name];
  });
  const providers = [...shop, Viewing, Persisting];

  it('changes how often and how much is written, and is shown as the source', async () => {
    setting({
      CACHE_ENTITY__VIEW__FLUSH_EVERY: '2s',
      CACHE_ENTITY__VIEW__MAX_PENDING: '7',
      CACHE_ENTITY__VIEW__MAX_BATCH: '3',
      CACHE_DEFAULT__FLUSH_TIMEOUT: '4s',
    });
    const app = await start({ providers });
    const { writeBehind, overridden } = app.get(EntityCache).contract(Views);
    expect(writeBehind).toMatchObject({
      flushEveryMs: 2_000,
      maxPending: 7,
      maxBatch: 3,
      flushTimeoutMs: 4_000,
    });
    expect([...overridden].sort()).toEqual([
      'CACHE_DEFAULT__FLUSH_TIMEOUT',
      'CACHE_ENTITY__VIEW__FLUSH_EVERY',
      'CACHE_ENTITY__VIEW__MAX_BATCH',
      'CACHE_ENTITY__VIEW__MAX_PENDING',
    ]);
  });

  it('cannot change how mutations merge, nor name what is not there, nor break the contract', async () => {
    setting({
      CACHE_ENTITY__VIEW__MERGE: 'lastWrite',
      CACHE_ENTITY__VIEW__FLUSH_EVRY: '2s',
      CACHE_ENTITY__VIEW__FLUSH_EVERY: '13s',
    });
    expect(await told({ providers })).toEqual([
      expect.stringMatching(
        /^CACHE_OPTION_UNKNOWN .*FLUSH_EVRY .* write CACHE_ENTITY__VIEW__FLUSH_EVERY, or/,
      ),
      expect.stringMatching(/^CACHE_OPTION_UNKNOWN .*CACHE_ENTITY__VIEW__MERGE names no option/),
      expect.stringMatching(
        /^CACHE_STALENESS_EXCEEDED .*overridden by CACHE_ENTITY__VIEW__FLUSH_EVERY/,
      ),
    ]);
  });

  it('is refused where it is out of range, and for an entity that does not wait to write', async () => {
    setting({ CACHE_ENTITY__VIEW__MAX_PENDING: '0', CACHE_ENTITY__NAME__FLUSH_EVERY: '1s' });
    @Injectable()
    class Reading {
      @Cached(Names)
      async find(id: string): Promise<string> {
        return id;
      }
    }
    const faults = await faultsOf({ providers: [...providers, Reading] });
    expect(faults.map(({ problem }) => problem)).toEqual([
      "CACHE_ENTITY__NAME__FLUSH_EVERY overrides `flushEvery`, which the strategy of entity 'name' does not have.",
      "`write.maxPending` of entity 'view' must be a whole number from 1 to 10000000, got 0 (number).",
    ]);
  });
});

it('tells of everything that is wrong in one report', async () => {
  const Wrong = entity<number>('wrong', {
    ...counter(),
    prefer: 'error',
    write: writeBehind({ merge: 'sum', flushEvery: '0ms', retry: { delay: '2s', maxDelay: '1s' } }),
  });
  @Injectable()
  class Everything {
    @WriteBehind(Wrong)
    async one(_id: string) {
      return add(1);
    }
    @WriteBehind(Names)
    async two(_id: string) {
      return set('x');
    }
    @WriteBehind(Views)
    async three(_id: number) {
      return add(1);
    }
    @(Flushes(Notes) as MethodDecorator)
    static none(): void {}
  }
  const faults = await faultsOf({ providers: [Everything] });
  expect(faults.map(({ code }) => code).sort()).toEqual([
    'CACHE_DECORATOR_MISPLACED',
    'CACHE_FLUSH_MISSING',
    'CACHE_OPTION_INVALID',
    'CACHE_OPTION_INVALID',
    'CACHE_WRITE_CONTRADICTED',
  ]);
});
