import 'reflect-metadata';
import { Cached, CachedMany, entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { CacheStrategyInterceptor } from '../../../lib/nest/cache-strategy.interceptor.js';
import { bind } from '../../../lib/nest/decorate.js';
import { deferred } from '../../support/engine.js';
import { fleet, settled, told } from '../../support/fleet.js';

const Users = entity<string | null>('user', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read: readThrough({ ttl: '1m', negativeTtl: '5s', jitter: 0, loadTimeout: '3s' }),
  write: invalidate(),
});

/** A source of many that remembers what it was asked for, in which order. */
class Service {
  readonly asked: string[] = [];
  gate: Promise<unknown> = Promise.resolve();

  @CachedMany(Users)
  async findAll(ids: readonly string[]): Promise<(string | null)[]> {
    this.asked.push(ids.join(','));
    await this.gate;
    return ids.map((id) => (id.startsWith('no') ? null : `user ${id}`));
  }

  @Cached(Users)
  async find(id: string): Promise<string | null> {
    this.asked.push(id);
    await this.gate;
    return `user ${id}`;
  }
}

function services(size = 2) {
  const set = fleet(size);
  const hosts = set.processes.map(({ engine }) => {
    const service = new Service();
    bind(service, new CacheStrategyInterceptor(engine));
    return service;
  });
  return { ...set, hosts };
}

describe('many keys at once', () => {
  it('are read from the store, and those that are missing are loaded by one call', async () => {
    const { hosts } = services(2);
    const [first, second] = hosts;
    expect(await first!.findAll(['a', 'b', 'no'])).toEqual(['user a', 'user b', null]);
    expect(await second!.findAll(['c', 'a', 'no', 'b', 'd'])).toEqual([
      'user c',
      'user a',
      null,
      'user b',
      'user d',
    ]);
    expect([first!.asked, second!.asked]).toEqual([['a,b,no'], ['c,d']]);
  });

  it('are asked for together where the store’s answers come late', async () => {
    const { processes, hosts } = services(1);
    const [{ way }] = processes as [(typeof processes)[0]];
    way.has('answered late');
    const call = hosts[0]!.findAll(['a', 'b', 'c']);
    await settled();
    // What was read, then the leases.
    await way.deliver();
    await way.deliver();
    expect(await call).toEqual(['user a', 'user b', 'user c']);
    expect(hosts[0]!.asked).toEqual(['a,b,c']);
    await way.deliver();
  });

  it('load a key once that is asked for twice', async () => {
    const { hosts } = services(1);
    expect(await hosts[0]!.findAll(['a', 'a', 'b'])).toEqual(['user a', 'user a', 'user b']);
    expect(hosts[0]!.asked).toEqual(['a,b']);
  });

  it('wait for what another process loads just now, and load the rest', async () => {
    const { clock, hosts } = services(2);
    const [first, second] = hosts;
    const gate = deferred<void>();
    first!.gate = gate.promise;
    const one = first!.find('a');
    await settled();
    const many = second!.findAll(['a', 'b']);
    await settled();
    expect(second!.asked).toEqual(['b']);
    gate.resolve();
    expect(await one).toBe('user a');
    expect(await many).toEqual(['user a', 'user b']);
    expect(second!.asked).toEqual(['b']);
    expect(clock.monotonic()).toBe(1_000);
  });

  it('are loaded by one call where the store is out of reach too', async () => {
    const { processes, hosts } = services(1);
    processes[0]!.way.has('rejected');
    expect(await hosts[0]!.findAll(['a', 'b'])).toEqual(['user a', 'user b']);
    expect(hosts[0]!.asked).toEqual(['a,b']);
  });

  it('of two processes in opposite order end, each loading some of them', async () => {
    const { hosts, pass, underWay } = services(2);
    const [first, second] = hosts;
    const answers = await Promise.all([
      first!.findAll(['a', 'b', 'c']),
      second!.findAll(['c', 'b', 'a']),
    ]);
    expect(answers).toEqual([
      ['user a', 'user b', 'user c'],
      ['user c', 'user b', 'user a'],
    ]);
    const loaded = [...first!.asked, ...second!.asked].join(',').split(',').sort();
    expect(loaded).toEqual(['a', 'b', 'c']);
    await pass(100);
    expect(underWay()).toBe(0);
  });
});

describe('peek', () => {
  it('shows what any process has loaded, and loads nothing', async () => {
    const { processes, hosts } = services(2);
    await hosts[0]!.find('a');
    expect(await processes[1]!.peek(Users, 'a')).toBe('user a');
    expect(await processes[1]!.peek(Users, 'b')).toBeUndefined();
    expect(hosts[1]!.asked).toEqual([]);
    expect(processes[1]!.way.asked).toEqual(['read', 'read']);
  });

  it('tells of no hit and no miss that callers had not', async () => {
    const { processes, hosts } = services(1);
    await hosts[0]!.find('a');
    const misses = await told('miss', async () => {
      await processes[0]!.peek(Users, 'a');
      await processes[0]!.peek(Users, 'b');
    });
    expect(misses).toEqual([]);
  });
});
