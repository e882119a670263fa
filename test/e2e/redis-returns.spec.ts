import 'reflect-metadata';
import { jest } from '@jest/globals';
import { Injectable, Logger } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Cached, CacheModule, entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { redisStore } from 'nestjs-cache-contract/redis';
import { PATIENCE_MS, until } from '../support/fault-child.js';
import { hasRedis } from '../support/redis-binaries.js';
import { RedisProxy } from '../support/redis-proxy.js';
import { startRedis, type TestRedis } from '../support/redis-server.js';

const Users = entity<string>('user', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read: readThrough({ ttl: '1m' }),
  write: invalidate(),
});

@Injectable()
class UserService {
  @Cached(Users)
  async find(id: string): Promise<string> {
    return id;
  }
}

/** Nobody listens there. */
const NOWHERE = 1;

(hasRedis() ? describe : describe.skip)('an application that has started without Redis', () => {
  let redis: TestRedis;
  let proxy: RedisProxy;
  let said: string[];
  beforeAll(async () => void (redis = (await startRedis())!), PATIENCE_MS);
  afterAll(() => redis.stop());
  beforeEach(async () => {
    said = [];
    proxy = await RedisProxy.before(NOWHERE);
    jest
      .spyOn(Logger.prototype, 'warn')
      .mockImplementation((message) => void said.push(String(message)));
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await proxy.close();
  });

  /** What is said from the moment on when Redis is there, as long as it takes until `isSaid`. */
  async function afterReturn(user: string, isSaid: RegExp): Promise<string[]> {
    const at = proxy.url.slice('redis://'.length);
    const store = redisStore({ url: `redis://${user}@${at}` });
    const module = await Test.createTestingModule({
      imports: [CacheModule.forRoot({ namespace: 'shop', store })],
      providers: [UserService],
    }).compile();
    await module.init();
    expect(said[0]).toMatch(/^Out of reach: 'default'\. The application starts without, /);
    expect(said[0]).toContain(`\n'default': ${at} is out of reach (`);
    said.length = 0;
    proxy.port = redis.port;
    const service = module.get(UserService);
    let calls = 0;
    await until('it is said', async () => {
      await service.find(`${++calls}`);
      return said.some((line) => isSaid.test(line));
    });
    await service.find('once more');
    await module.close();
    return said.filter((line) => isSaid.test(line));
  }

  it('says once that its password is refused', async () => {
    redis.cli('ACL', 'SETUSER', 'first', 'on', '>right');
    expect(await afterReturn('first:wrong', /WRONGPASS/)).toEqual([
      "[CACHE_STORE_OUT_OF_REACH] The store 'default' does not do what it is asked: Redis refused to let the cache in: WRONGPASS invalid username-password pair or user is disabled. Fix: give the right user and password in the url, or with the client.",
    ]);
  });

  it('says once which rights it lacks', async () => {
    const rules = ['~shop:*', '&shop:*', '+@all', '-hset'];
    redis.cli('ACL', 'SETUSER', 'second', 'on', '>right', ...rules);
    const [line, ...others] = await afterReturn('second:right', /HSET/);
    expect(others).toEqual([]);
    expect(line).toMatch(
      /^\[CACHE_STORE_OUT_OF_REACH\] The store 'default' does not do what it is asked: The cache expected to be allowed every command it needs in Redis, and was refused HSET \(NOPERM .*\. Fix: give its user/,
    );
  });
});
