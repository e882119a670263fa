import 'reflect-metadata';
import { Injectable, Scope } from '@nestjs/common';
import { Cached, entity, Invalidates, invalidate, readThrough } from 'nestjs-cache-contract';
import { start } from './apps/start.js';

/** Every load answers with its number, so an answer tells which load it came from. */
const Answers = entity<number>('answer', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
});
const Totals = entity<number>('total', {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
});

@Injectable()
class Source {
  loads = 0;
}

it('caches in a singleton, because the method is wrapped where it stands', async () => {
  @Injectable()
  class Service {
    constructor(readonly source: Source) {}
    @Cached(Answers)
    async find(_id: string): Promise<number> {
      return ++this.source.loads;
    }
  }
  const app = await start({ providers: [Source, Service] });
  const service = app.get(Service);
  expect([await service.find('a'), await service.find('a'), await service.find('b')]).toEqual([
    1, 1, 2,
  ]);
});

it.each([
  ['REQUEST', Scope.REQUEST],
  ['TRANSIENT', Scope.TRANSIENT],
])(
  'shares entries between the instances of a %s provider, because Nest injects each of them',
  async (_, scope) => {
    @Injectable({ scope })
    class Service {
      constructor(readonly source: Source) {}
      @Cached(Answers)
      async find(_id: string): Promise<number> {
        return ++this.source.loads;
      }
    }
    const app = await start({ providers: [Source, Service] });
    const [first, second] = [await app.resolve(Service), await app.resolve(Service)];
    expect(first).not.toBe(second);
    expect([await first.find('a'), await second.find('a')]).toEqual([1, 1]);
  },
);

it('caches in a transient provider made while the application starts, for each class that injects it', async () => {
  @Injectable({ scope: Scope.TRANSIENT })
  class Service {
    constructor(readonly source: Source) {}
    @Cached(Answers)
    async find(_id: string): Promise<number> {
      return ++this.source.loads;
    }
  }
  @Injectable()
  class One {
    constructor(readonly service: Service) {}
  }
  @Injectable()
  class Two {
    constructor(readonly service: Service) {}
  }
  const app = await start({ providers: [Source, Service, One, Two] });
  const [one, two] = [app.get(One).service, app.get(Two).service];
  expect(one).not.toBe(two);
  expect([await one.find('a'), await two.find('a')]).toEqual([1, 1]);
});

it('caches a call of the object to itself, because there is no proxy to go around', async () => {
  @Injectable()
  class Service {
    loads = 0;
    @Cached(Answers)
    async find(_id: string): Promise<number> {
      return ++this.loads;
    }
    async findTwice(id: string): Promise<number[]> {
      return [await this.find(id), await this.find(id)];
    }
  }
  const app = await start({ providers: [Service] });
  expect(await app.get(Service).findTwice('a')).toEqual([1, 1]);
});

it('lets a cached method use #private fields, because `this` is the object itself', async () => {
  @Injectable()
  class Service {
    #loads = 0;
    @Cached(Answers)
    async find(_id: string): Promise<number> {
      return ++this.#loads;
    }
  }
  const app = await start({ providers: [Service] });
  const service = app.get(Service);
  expect([await service.find('a'), await service.find('a')]).toEqual([1, 1]);
});

it('passes through in an object made with `new`, so that a plain unit test needs no cache', async () => {
  class Service {
    loads = 0;
    writes = 0;
    @Cached(Answers)
    async find(_id: string): Promise<number> {
      return ++this.loads;
    }
    @Invalidates(Answers)
    async save(_id: string): Promise<number> {
      return ++this.writes;
    }
  }
  const service = new Service();
  expect([await service.find('a'), await service.find('a'), await service.save('a')]).toEqual([
    1, 2, 1,
  ]);
  // Torn from its object it fails as any method would.
  await expect(service.find.call(undefined as unknown as Service, 'a')).rejects.toThrow(TypeError);
});

it('keeps name and length of the method, because tools that read signatures look at them', () => {
  class Service {
    @Cached(Answers, (id: string, _language: string) => id)
    async find(_id: string, _language: string): Promise<number> {
      return 1;
    }
    @Invalidates(Answers)
    async save(_id: string): Promise<void> {}
  }
  const { find, save } = Service.prototype as unknown as { [name: string]: () => unknown };
  expect([find!.name, find!.length, save!.name, save!.length]).toEqual(['find', 2, 'save', 1]);
});

it('carries out each of several stacked decorators, because one write may change several entities', async () => {
  @Injectable()
  class Service {
    loads = 0;
    writes = 0;
    @Cached(Answers)
    async find(_id: string): Promise<number> {
      return ++this.loads;
    }
    @Cached(Totals)
    async total(_group: string): Promise<number> {
      return ++this.loads;
    }
    @Invalidates(Answers)
    @Invalidates(Totals, { family: true })
    async save(_id: string): Promise<number> {
      return ++this.writes;
    }
  }
  const app = await start({ providers: [Service] });
  const service = app.get(Service);
  const ask = async () => [
    await service.find('a'),
    await service.find('b'),
    await service.total('g'),
  ];
  expect([await ask(), await ask()]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ]);
  expect(await service.save('a')).toBe(1);
  expect(await ask()).toEqual([4, 2, 5]);
});
