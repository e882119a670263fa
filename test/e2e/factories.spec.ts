import 'reflect-metadata';
import { Inject, Injectable, Scope, type OnModuleInit, type Provider } from '@nestjs/common';
import { Cached, entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { start } from './apps/start.js';

const Answers = entity<number>('answer', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
});

class Client {
  loads = 0;
  @Cached(Answers)
  async find(_id: string): Promise<number> {
    return ++this.loads;
  }
}
async function askTwice(client: Client): Promise<number[]> {
  return [await client.find('a'), await client.find('a')];
}

describe.each<[string, Provider]>([
  ['a factory', { provide: 'CLIENT', useFactory: () => new Client() }],
  ['an asynchronous factory', { provide: 'CLIENT', useFactory: async () => new Client() }],
  ['useValue', { provide: 'CLIENT', useValue: new Client() }],
  [
    'a factory for a subclass',
    { provide: 'CLIENT', useFactory: () => new (class Special extends Client {})() },
  ],
])('an object from %s', (_, provider) => {
  it('is cached, though Nest did not construct it', async () => {
    const app = await start({ providers: [provider] });
    expect(await askTwice(app.get('CLIENT'))).toEqual([1, 1]);
  });

  it('does not show its cache, because such objects are printed, compared and serialised', async () => {
    const app = await start({ providers: [provider] });
    const client = app.get<Client>('CLIENT');
    expect(Object.keys(client)).toEqual(['loads']);
    expect(Object.getOwnPropertySymbols({ ...client })).toEqual([]);
  });
});

it.each([
  ['REQUEST', Scope.REQUEST],
  ['TRANSIENT', Scope.TRANSIENT],
])(
  'caches in objects from a factory in %s scope, though they are made after the start',
  async (_, scope) => {
    const made: Client[] = [];
    const useFactory = () => {
      made.push(new Client());
      return made.at(-1);
    };
    const app = await start({ providers: [{ provide: 'CLIENT', scope, useFactory }] });
    const [first, second] = [
      await app.resolve<Client>('CLIENT'),
      await app.resolve<Client>('CLIENT'),
    ];
    expect(first).not.toBe(second);
    expect([await askTwice(first), await askTwice(second)]).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect([first.loads, second.loads]).toEqual([1, 0]);
  },
);

it('caches in an object from a transient factory that a singleton injects, though it is made during the start', async () => {
  @Injectable()
  class Host {
    constructor(@Inject('CLIENT') readonly client: Client) {}
  }
  const provider = { provide: 'CLIENT', scope: Scope.TRANSIENT, useFactory: () => new Client() };
  const app = await start({ providers: [provider, Host] });
  expect(await askTwice(app.get(Host).client)).toEqual([1, 1]);
});

class Unnamed {
  @Cached(undefined as unknown as typeof Answers)
  async find(_id: string): Promise<number> {
    return 1;
  }
}
class Stale {
  @Cached(entity<number>('stale', { ...Answers.contract, maxStaleness: '1m' }))
  async find(_id: string): Promise<number> {
    return 1;
  }
}
describe.each([
  ['once', Scope.DEFAULT],
  ['for each class that injects it', Scope.TRANSIENT],
])('an object that a factory makes %s, while the application starts', (_, scope) => {
  it.each<[string, () => object]>([
    ['CACHE_PROVIDER_FROZEN', () => Object.freeze(new Client())],
    ['CACHE_ENTITY_EXPECTED', () => new Unnamed()],
    ['CACHE_STALENESS_EXCEEDED', () => new Stale()],
  ])(
    'is refused with %s at the start, because it would not be cached',
    async (code, useFactory) => {
      @Injectable()
      class Host {
        constructor(@Inject('CLIENT') readonly client: object) {}
      }
      const starting = start({ providers: [{ provide: 'CLIENT', scope, useFactory }, Host] });
      await expect(starting).rejects.toMatchObject({ faults: [{ code }] });
    },
  );
});

it('caches in an object from a factory that depends on the request, because that factory runs per request too', async () => {
  @Injectable({ scope: Scope.REQUEST })
  class Tenant {}
  const provider = { provide: 'CLIENT', useFactory: () => new Client(), inject: [Tenant] };
  const app = await start({ providers: [Tenant, provider] });
  expect(await askTwice(await app.resolve('CLIENT'))).toEqual([1, 1]);
});

it.each([
  ['nothing', () => null],
  ['a primitive', () => 7],
  ['a function', () => () => 7],
  ['an object without a prototype', () => Object.create(null) as object],
  ['an object with a field named constructor', () => ({ constructor: 'Bob the builder' })],
])(
  'leaves alone a factory or value that provides %s, because it is none of its business',
  async (_, useFactory) => {
    @Injectable({ scope: Scope.REQUEST })
    class Holder {
      readonly values: unknown[];
      constructor(
        @Inject('ONCE') once: unknown,
        @Inject('VALUE') value: unknown,
        @Inject('REQUEST') request: unknown,
        @Inject('TRANSIENT') transient: unknown,
      ) {
        this.values = [once, value, request, transient];
      }
    }
    const app = await start({
      providers: [
        Holder,
        { provide: 'ONCE', useFactory },
        { provide: 'VALUE', useValue: useFactory() },
        { provide: 'REQUEST', useFactory, scope: Scope.REQUEST },
        { provide: 'TRANSIENT', useFactory, scope: Scope.TRANSIENT },
      ],
    });
    const { values } = await app.resolve(Holder);
    const shown = (value: unknown) => (typeof value === 'function' ? (value() as unknown) : value);
    expect(values.map(shown)).toEqual(Array(4).fill(shown(useFactory())));
  },
);

it('has the cache in place before the hooks of the application run, because they may warm it', async () => {
  @Injectable()
  class Warmer implements OnModuleInit {
    answers: number[] = [];
    constructor(@Inject('CLIENT') readonly client: Client) {}
    async onModuleInit(): Promise<void> {
      this.answers = await askTwice(this.client);
    }
  }
  const app = await start({
    providers: [{ provide: 'CLIENT', useFactory: () => new Client() }, Warmer],
  });
  expect(app.get(Warmer).answers).toEqual([1, 1]);
});
