import 'reflect-metadata';
import { Inject, Injectable } from '@nestjs/common';
import {
  Cached,
  EntityCache,
  entity,
  invalidate,
  onCacheEvent,
  readThrough,
  type Entity,
} from 'nestjs-cache-contract';
import { closedLater, start } from './apps/start.js';

const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
} as const;
const Answers = entity<number>('answer', contract);

@Injectable()
class Base {
  loads = 0;
  @Cached(Answers)
  async find(_id: string): Promise<number> {
    return ++this.loads;
  }
}

it('caches an inherited method in a subclass without a constructor, though only the base class is decorated', async () => {
  @Injectable()
  class Sub extends Base {}
  const app = await start({ providers: [Sub] });
  const sub = app.get(Sub);
  expect([await sub.find('a'), await sub.find('a')]).toEqual([1, 1]);
});

it('caches an inherited method in a subclass with dependencies of its own, because the cache is no constructor parameter', async () => {
  @Injectable()
  class Other {
    readonly factor = 7;
  }
  @Injectable()
  class Sub extends Base {
    constructor(readonly other: Other) {
      super();
    }
  }
  const app = await start({ providers: [Other, Sub] });
  const sub = app.get(Sub);
  expect([await sub.find('a'), await sub.find('a'), sub.other.factor]).toEqual([1, 1, 7]);
});

it('caches an inherited method in a subclass with injected properties, because Nest injects those of both', async () => {
  @Injectable()
  class Sub extends Base {
    @Inject('FACTOR') factor: number;
  }
  const app = await start({ providers: [{ provide: 'FACTOR', useValue: 7 }, Sub] });
  const sub = app.get(Sub);
  expect([await sub.find('a'), await sub.find('a'), sub.factor]).toEqual([1, 1, 7]);
});

it('caches what an undecorated override asks of its base class, because `super.find` is the wrapped method', async () => {
  @Injectable()
  class Sub extends Base {
    calls = 0;
    override async find(id: string): Promise<number> {
      this.calls++;
      return (await super.find(id)) * 10;
    }
  }
  const app = await start({ providers: [Sub] });
  const sub = app.get(Sub);
  expect([await sub.find('a'), await sub.find('a')]).toEqual([10, 10]);
  expect([sub.calls, sub.loads]).toEqual([2, 1]);
});

it('answers a decorated override that calls its decorated base for the same entry, instead of waiting for itself', async () => {
  @Injectable()
  class Sub extends Base {
    calls = 0;
    @Cached(Answers)
    override async find(id: string): Promise<number> {
      this.calls++;
      return (await super.find(id)) * 10;
    }
  }
  const app = await start({ providers: [Sub] });
  const sub = app.get(Sub);
  const reasons: string[] = [];
  const stop = onCacheEvent('bypass', ({ reason }) => reasons.push(reason));
  expect([await sub.find('a'), await sub.find('a')]).toEqual([10, 10]);
  stop();
  expect([sub.calls, sub.loads, reasons]).toEqual([1, 1, ['own load']]);
});

it('decorates the subclass only, so that the base class and a sibling stay as they are', async () => {
  class Plain {
    loads = 0;
    async find(_id: string): Promise<number> {
      return ++this.loads;
    }
  }
  @Injectable()
  class Decorated extends Plain {
    @Cached(Answers)
    override async find(id: string): Promise<number> {
      return super.find(id);
    }
  }
  @Injectable()
  class Sibling extends Plain {}
  const app = await start({ providers: [Decorated, Sibling] });
  const [decorated, sibling] = [app.get(Decorated), app.get(Sibling)];
  expect([await decorated.find('a'), await decorated.find('a')]).toEqual([1, 1]);
  expect([await sibling.find('a'), await sibling.find('a')]).toEqual([1, 2]);
});

describe('a mixin that decorates the class it makes', () => {
  function Repository(of: Entity<string>) {
    @Injectable()
    class Repository {
      loads = 0;
      @Cached(of)
      async find(id: string): Promise<string> {
        this.loads++;
        return `${of.name} ${id}`;
      }
    }
    return Repository;
  }
  const Users = entity<string>('user', contract);
  const Orders = entity<string>('order', contract);

  it('keeps the entries of two subclasses apart, because each has an entity of its own', async () => {
    @Injectable()
    class UserRepository extends Repository(Users) {}
    @Injectable()
    class OrderRepository extends Repository(Orders) {}
    const app = await start({ providers: [UserRepository, OrderRepository] });
    const [users, orders] = [app.get(UserRepository), app.get(OrderRepository)];
    const ask = async () => [await users.find('1'), await orders.find('1')];
    expect([await ask(), await ask()]).toEqual([
      ['user 1', 'order 1'],
      ['user 1', 'order 1'],
    ]);
    expect([users.loads, orders.loads]).toEqual([1, 1]);
    await app.get(EntityCache).invalidate(Users, '1');
    await ask();
    expect([users.loads, orders.loads]).toEqual([2, 1]);
  });
});

it('starts with two classes of one name, each with a method of the same name, because they are two methods', async () => {
  const Users = entity<number>('user', contract);
  const First = (() => {
    @Injectable()
    class Service {
      @Cached(Answers)
      async find(_id: string): Promise<number> {
        return 1;
      }
    }
    return Service;
  })();
  const Second = (() => {
    @Injectable()
    class Service {
      @Cached(Users)
      async find(_id: string): Promise<number> {
        return 2;
      }
    }
    return Service;
  })();
  const app = closedLater(await start({ providers: [First, Second] }));
  expect([await app.get(First).find('1'), await app.get(Second).find('1')]).toEqual([1, 2]);
});
