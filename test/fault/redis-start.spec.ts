import { PATIENCE_MS, until } from '../support/fault-child.js';
import { startFleet, WELL, type RedisFleet } from '../support/fault-fleet.js';
import { hasRedis } from '../support/redis-binaries.js';
import { RedisProxy } from '../support/redis-proxy.js';

(hasRedis() ? describe : describe.skip)('a process that starts', () => {
  let fleet: RedisFleet;
  beforeAll(async () => {
    fleet = await startFleet();
  }, PATIENCE_MS);
  afterEach(() => fleet.stop());
  afterAll(() => fleet?.remove());

  it(
    'while Redis is away serves, and shares what it has loaded once Redis is there',
    async () => {
      await fleet.cache.kill();
      const early = await fleet.start();
      for (const key of ['a', 'b', 'a'])
        expect(await early.read(key)).toMatchObject({ version: 0 });
      expect(await early.change('a')).toEqual({ version: 1, outcome: 'pending' });
      expect(await early.read('a')).toMatchObject({ version: 1 });
      await fleet.cache.restart();
      const other = await fleet.start();
      let tries = 0;
      await until('another process is served with what it has loaded', async () => {
        const key = `shared ${++tries}`;
        const [row, again] = [await early.read(key), await other.read(key)];
        return row.by === again.by;
      });
      expect(await other.read('a')).toMatchObject({ version: 1 });
      expect(await fleet.end()).toEqual([WELL, WELL]);
    },
    PATIENCE_MS,
  );

  /** What it says before it ends. */
  async function refused(settings: Parameters<RedisFleet['launch']>[0]): Promise<string> {
    const child = fleet.launch(settings);
    expect(await child.ended()).toBe(1);
    // Nest says no more than the error does.
    return /CacheConfigurationError: [^]*?(?=\n +at )/.exec(child.output())![0];
  }

  it(
    'refuses to without Redis, if it is to have it from the beginning',
    async () => {
      await fleet.cache.kill();
      const said = await refused({ startWithout: false });
      await fleet.cache.restart();
      expect(said.replace(`${fleet.cache.port}`, '<port>')).toMatchInlineSnapshot(`
       "CacheConfigurationError: 1 fault keeps the cache from starting.

       1. [CACHE_STORE_UNFIT] the store 'default' cannot be used: Redis is out of reach: nothing listens at 127.0.0.1:<port> (ECONNREFUSED).
          At:  CacheModule.forRoot()
          Fix: see whether Redis runs there, and whether the address is right. Or start without it, and use it as soon as it is there: \`startWithout: true\`."
      `);
    },
    PATIENCE_MS,
  );

  it(
    'refuses to with a user who may not do what is needed, and says all that is missing',
    async () => {
      const rights = ['~shop:*', '&shop:*', '+@all', '-evalsha', '-publish'];
      fleet.cache.cli('ACL', 'SETUSER', 'shop', 'reset', 'on', '>secret', ...rights);
      const url = fleet.cache.url.replace('//', '//shop:secret@');
      expect(await refused({ cache: { url } })).toMatchInlineSnapshot(`
       "CacheConfigurationError: 1 fault keeps the cache from starting.

       1. [CACHE_STORE_UNFIT] the store 'default' cannot be used: The cache expected to be allowed every command it needs in Redis, and was refused PUBLISH (NOPERM this user has no permissions to run the 'publish' command), EVALSHA (NOPERM this user has no permissions to run the 'evalsha' command).
          At:  CacheModule.forRoot()
          Fix: give its user what it lacks of ~shop:* &shop:* +time +get +mget +set +append +getrange +pttl +pexpire +hget +hmget +hset +hincrby +xadd +xrange +del +publish +eval +evalsha +info +subscribe +unsubscribe, with ACL SETUSER; a command that is unknown was renamed or disabled in the configuration of the server."
      `);
    },
    PATIENCE_MS,
  );

  it(
    'refuses to with a Redis that is too old',
    async () => {
      const proxy = await RedisProxy.before(fleet.cache.port);
      const version = /redis_version:(\S+)/.exec(fleet.cache.cli('INFO', 'server'))![1]!;
      const older = version.replace(/^./, '6');
      proxy.rewrite = (replies) => Buffer.from(replies.toString().replaceAll(version, older));
      const said = await refused({ cache: { url: proxy.url } });
      await proxy.close();
      expect(said.replace(older, '6.x')).toMatchInlineSnapshot(`
       "CacheConfigurationError: 1 fault keeps the cache from starting.

       1. [CACHE_STORE_UNFIT] the store 'default' cannot be used: The cache expected Redis 7.0 or later, got 6.x.
          At:  CacheModule.forRoot()
          Fix: upgrade the server, or use Valkey."
      `);
    },
    PATIENCE_MS,
  );
});
