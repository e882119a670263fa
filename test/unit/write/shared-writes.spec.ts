import 'reflect-metadata';
import {
  Cached,
  currentLoad,
  entity,
  Invalidates,
  invalidate,
  readThrough,
  WriteThrough,
  writeThrough,
} from 'nestjs-cache-contract';
import { CacheStrategyInterceptor } from '../../../lib/nest/cache-strategy.interceptor.js';
import { bind } from '../../../lib/nest/decorate.js';
import { deferred } from '../../support/engine.js';
import { fleet, settled, source, told } from '../../support/fleet.js';

const read = readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' });
/** In the store alone. */
const Users = entity<string>('user', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read,
  write: writeThrough(),
});
/** With a copy in each process. */
const Texts = entity<string>('text', { maxStaleness: '1m', read, write: writeThrough() });
const Notes = entity<string>('note', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read,
  write: invalidate(),
});

/** The source, and how its methods are held up. */
class Service {
  gate: Promise<unknown> = Promise.resolve();
  error: Error | undefined;
  readonly loads: string[] = [];

  @Cached(Users)
  async find(id: string): Promise<string> {
    this.loads.push(id);
    return 'loaded';
  }

  @WriteThrough(Users, (id: string) => id)
  async save(id: string, text: string): Promise<string> {
    await this.gate;
    if (this.error !== undefined) throw this.error;
    return text;
  }

  @WriteThrough(Texts, (id: string) => id)
  async saveText(id: string, text: string): Promise<string> {
    await this.gate;
    return text;
  }

  @WriteThrough(Users, { keyOf: (made) => made.slice(0, 1) })
  async make(text: string): Promise<string> {
    await this.gate;
    if (this.error !== undefined) throw this.error;
    return text;
  }

  /** Reads what it writes. */
  @WriteThrough(Users, (id: string) => id)
  async append(id: string, text: string): Promise<string> {
    return `${await this.find(id)} ${text}`;
  }

  @Invalidates(Notes, (id: string) => id)
  async rename(_id: string): Promise<string> {
    if (this.error !== undefined) throw this.error;
    return 'renamed';
  }
}

/** Processes with the same service. */
function services(size = 2) {
  const set = fleet(size);
  const hosts = set.processes.map(({ engine }) => {
    const service = new Service();
    bind(service, new CacheStrategyInterceptor(engine));
    return service;
  });
  return { ...set, hosts };
}

describe('@WriteThrough', () => {
  it('shows every process the new value from when its call resolves', async () => {
    const { processes, hosts } = services(3);
    for (const { read } of processes) await read(Users, 'a', async () => 'old');
    expect(await hosts[0]!.save('a', 'new')).toBe('new');
    for (const { read } of processes) expect(await read(Users, 'a', source())).toBe('new');
  });

  it('tells what became of its value, as a load does', async () => {
    const { processes, hosts } = services();
    const fills = await told('fill', async () => {
      await hosts[0]!.save('a', 'new');
      const gate = deferred<void>();
      hosts[1]!.gate = gate.promise;
      const late = hosts[1]!.save('a', 'newer');
      await settled();
      await processes[0]!.invalidate(Users, 'a');
      gate.resolve();
      await late;
    });
    expect(fills.map(({ outcome }) => outcome)).toEqual(['stored', 'invalidated meanwhile']);
  });

  it('leaves what is there until it has settled, because the write may still fail', async () => {
    const { processes, hosts } = services();
    await processes[0]!.read(Users, 'a', async () => 'old');
    const gate = deferred<void>();
    hosts[0]!.gate = gate.promise;
    const call = hosts[0]!.save('a', 'new');
    await settled();
    for (const { read } of processes) expect(await read(Users, 'a', source())).toBe('old');
    gate.resolve();
    await call;
    for (const { read } of processes) expect(await read(Users, 'a', source())).toBe('new');
  });

  it('keeps a load from being stored that another process began before it', async () => {
    const { processes, hosts } = services(2);
    const slow = deferred<string>();
    const call = processes[1]!.read(Users, 'a', () => slow.promise);
    await settled();
    await hosts[0]!.save('a', 'new');
    slow.resolve('old');
    expect(await call).toBe('old');
    await settled();
    for (const { read } of processes) expect(await read(Users, 'a', source())).toBe('new');
  });

  it.each([
    { ends: 'in the order of their begin', order: [0, 1] },
    { ends: 'in the other order', order: [1, 0] },
  ])('leaves nothing, or the newer value, of two that overlap and end $ends', async ({ order }) => {
    const { processes, hosts } = services(2);
    const gates = [deferred<void>(), deferred<void>()];
    for (const [i, host] of hosts.entries()) host.gate = gates[i]!.promise;
    const first = hosts[0]!.save('a', 'by the first');
    await settled();
    const second = hosts[1]!.save('a', 'by the second');
    await settled();
    for (const i of order) {
      gates[i]!.resolve();
      await [first, second][i];
    }
    // Which of them committed last nobody knows but the source.
    const load = source();
    const answers = new Set([
      await processes[0]!.read(Users, 'a', load),
      await processes[1]!.read(Users, 'a', load),
    ]);
    expect(answers.size).toBe(1);
    expect([1, 'by the second']).toContain([...answers][0]);
  });

  it('leaves nothing of two that overlap in one process', async () => {
    const { processes, hosts } = services(2);
    const gate = deferred<void>();
    hosts[0]!.gate = gate.promise;
    const writes = [hosts[0]!.save('a', 'x'), hosts[0]!.save('a', 'y')];
    await settled();
    gate.resolve();
    await Promise.all(writes);
    expect(await processes[1]!.peek(Users, 'a')).toBeUndefined();
  });

  it('that throws leaves nothing, because a commit whose answer was lost still wrote', async () => {
    const { processes, hosts } = services(2);
    await processes[1]!.read(Users, 'a', async () => 'old');
    hosts[0]!.error = new Error('connection reset');
    await expect(hosts[0]!.save('a', 'new')).rejects.toBe(hosts[0]!.error);
    expect(await processes[1]!.peek(Users, 'a')).toBeUndefined();
    // Nor is anybody kept waiting for it.
    expect(await processes[1]!.read(Users, 'a', async () => 'loaded')).toBe('loaded');
  });

  it('that learns the key from what it made invalidates it for all', async () => {
    const { processes, hosts } = services(2);
    await processes[1]!.read(Users, 'n', async () => null);
    expect(await hosts[0]!.make('new')).toBe('new');
    expect(await processes[1]!.read(Users, 'n', async () => 'loaded')).toBe('loaded');
  });

  it('whose process dies holds up the others for 2 seconds at most, and then what they load is not stored', async () => {
    const { processes, hosts, pass } = services(2);
    hosts[0]!.gate = deferred().promise;
    void hosts[0]!.save('a', 'new');
    await settled();
    const call = processes[1]!.read(Users, 'a', async () => 'loaded');
    await pass(2_000);
    expect(await call).toBe('loaded');
    expect(await processes[1]!.peek(Users, 'a')).toBeUndefined();
    // From the end of its lease on everything is as ever.
    await pass(1_500);
    const load = source();
    await processes[1]!.read(Users, 'a', load);
    await processes[1]!.read(Users, 'a', load);
    expect(load.runs).toBe(1);
  });

  it('that takes longer than its lease invalidates, because others may have stored what was before it', async () => {
    const { processes, hosts, pass } = services(2);
    const gate = deferred<void>();
    hosts[0]!.gate = gate.promise;
    const call = hosts[0]!.save('a', 'new');
    await pass(3_500);
    expect(await processes[1]!.read(Users, 'a', async () => 'old')).toBe('old');
    gate.resolve();
    await call;
    expect(await processes[1]!.peek(Users, 'a')).toBeUndefined();
  });

  it('whose value cannot be kept leaves nothing', async () => {
    const { processes, hosts } = services(2);
    await processes[1]!.read(Users, 'a', async () => 'old');
    for (const text of [(() => 'a function') as never, undefined as never]) {
      await hosts[0]!.save('a', text);
      expect(await processes[1]!.peek(Users, 'a')).toBeUndefined();
      await processes[1]!.read(Users, 'a', async () => 'old');
    }
  });

  it('brings its own process no copy that is older than what it wrote', async () => {
    const { processes, hosts } = services(2);
    const [first, second] = processes;
    await second!.read(Texts, 'a', async () => 'old');
    first!.way.has('answered late', ['read']);
    const before = first!.read(Texts, 'a', source());
    await settled();
    first!.way.recovers();
    await hosts[0]!.saveText('a', 'new');
    await first!.way.deliver();
    expect(await before).toBe('old');
    expect(await first!.read(Texts, 'a', source())).toBe('new');
  });

  it('has nobody of its own process join a load that began before it, though what it stored is out of reach', async () => {
    const { processes, hosts } = services(1);
    const [first] = processes;
    const slow = deferred<string>();
    const before = first!.read(Users, 'a', () => slow.promise);
    await settled();
    expect(await hosts[0]!.save('a', 'new')).toBe('new');
    first!.way.has('rejected', ['read']);
    const after = first!.read(Users, 'a', async () => 'new');
    await settled();
    slow.resolve('old');
    expect(await Promise.all([before, after])).toEqual(['old', 'new']);
  });

  it('leaves its own process no copy that is older than what it wrote, though an invalidation is on its way', async () => {
    const { processes, hosts } = services(1);
    const [first] = processes;
    first!.way.has('answered late', ['invalidate']);
    const outcome = first!.invalidate(Texts, 'a');
    // Loaded past the store, and kept here.
    first!.way.has('rejected', ['read']);
    await first!.read(Texts, 'a', async () => 'old');
    expect(await first!.peek(Texts, 'a')).toBe('old');
    first!.way.recovers();
    await hosts[0]!.saveText('a', 'new');
    expect(await first!.read(Texts, 'a', async () => 'new')).toBe('new');
    await first!.way.deliver();
    expect(await outcome).toBe('acknowledged');
  });

  it('reads its own key from the source, and does not wait for itself', async () => {
    const { clock, hosts } = services(1);
    expect(await hosts[0]!.append('a', 'more')).toBe('loaded more');
    expect(hosts[0]!.loads).toEqual(['a']);
    expect(clock.monotonic()).toBe(1_000);
  });

  it('is not kept by its own process where that invalidates before the store has answered', async () => {
    const { processes, hosts } = services(1);
    const [first] = processes;
    first!.way.has('answered late', ['fill']);
    const call = hosts[0]!.saveText('a', 'written');
    await settled();
    first!.way.recovers();
    await first!.invalidate(Texts, 'a');
    await first!.way.deliver();
    await call;
    expect(await first!.read(Texts, 'a', async () => 'newer')).toBe('newer');
  });

  it('is kept by its own process where the contract bears it, for as long as in the store', async () => {
    const { clock, processes, hosts } = services(1);
    await hosts[0]!.saveText('a', 'new');
    processes[0]!.way.asked.length = 0;
    expect(await processes[0]!.read(Texts, 'a', source())).toBe('new');
    expect(processes[0]!.way.asked).toEqual([]);
    clock.advance(60_000);
    expect(await processes[0]!.read(Texts, 'a', async () => 'newer')).toBe('newer');
  });

  it.each(['rejected', 'lost'] as const)(
    'hands its result through where the store is out of reach, and what is there is pending (%s)',
    async (trouble) => {
      const { processes, hosts, pass } = services(2);
      const [first, second] = processes;
      await second!.read(Users, 'a', async () => 'old');
      first!.way.has(trouble);
      const faults = await told('fault', async () => {
        const call = hosts[0]!.save('a', 'new');
        for (let i = 0; i < 3; i++) await pass(100);
        expect(await call).toBe('new');
      });
      expect(faults.map(({ code }) => code)).toEqual(['CACHE_INVALIDATION_PENDING']);
      expect(await first!.read(Users, 'a', async () => 'new')).toBe('new');
      first!.way.recovers();
      await pass(500);
      expect(await second!.read(Users, 'a', async () => 'new')).toBe('new');
    },
  );
});

describe('@Invalidates', () => {
  it('resolves when no process has the old value any more', async () => {
    const { processes, hosts } = services(2);
    const [first, second] = processes;
    await second!.read(Notes, 'a', async () => 'old');
    first!.way.has('held up', ['invalidate']);
    let resolved = false;
    const call = hosts[0]!.rename('a').finally(() => (resolved = true));
    await settled();
    expect(resolved).toBe(false);
    await first!.way.deliver();
    expect(await call).toBe('renamed');
    expect(await second!.peek(Notes, 'a')).toBeUndefined();
  });

  it('invalidates for all when its method throws, and hands the error through', async () => {
    const { processes, hosts } = services(2);
    await processes[1]!.read(Notes, 'a', async () => 'old');
    hosts[0]!.error = new Error('connection reset');
    await expect(hosts[0]!.rename('a')).rejects.toBe(hosts[0]!.error);
    expect(await processes[1]!.peek(Notes, 'a')).toBeUndefined();
  });

  it('is no error of its caller where the store is out of reach', async () => {
    const { processes, hosts, pass } = services(1);
    processes[0]!.way.has('lost');
    const call = hosts[0]!.rename('a');
    await pass(100);
    expect(await call).toBe('renamed');
  });
});

describe('prime', () => {
  it('shows every process what it loaded from when it resolves, whatever was there', async () => {
    const { processes } = services(3);
    for (const { read } of processes) await read(Users, 'a', async () => 'old');
    expect(await processes[0]!.cache.prime(Users, 'a', async () => 'primed')).toBe('primed');
    for (const { read } of processes) expect(await read(Users, 'a', source())).toBe('primed');
  });

  it('leaves what is there where loading fails or skips, and keeps nobody waiting', async () => {
    const { clock, processes } = services(2);
    const [first, second] = processes;
    const error = new Error('connection refused');
    await expect(first!.cache.prime(Users, 'a', () => Promise.reject(error))).rejects.toBe(error);
    expect(await second!.read(Users, 'a', async () => 'old')).toBe('old');
    const skipping = async () => (currentLoad().skip(), 'skipped');
    expect(await first!.cache.prime(Users, 'a', skipping)).toBe('skipped');
    expect(await second!.read(Users, 'a', source())).toBe('old');
    expect(clock.monotonic()).toBe(1_000);
  });

  it('stores for a shorter time what its loader says is fresh for a shorter time', async () => {
    const { clock, processes } = services(2);
    await processes[0]!.cache.prime(Users, 'a', async () => (currentLoad().ttl('2s'), 'short'));
    clock.advance(1_999);
    expect(await processes[1]!.peek(Users, 'a')).toBe('short');
    clock.advance(1);
    expect(await processes[1]!.peek(Users, 'a')).toBeUndefined();
  });

  it('leaves nothing where its loader gives the value tags, by which nobody could invalidate it', async () => {
    const { processes } = fleet(2);
    const tagging = async () => (currentLoad().tags('shelf:1'), 'tagged');
    const faults = await told('fault', () => processes[0]!.cache.prime(Users, 'a', tagging));
    expect(faults.map(({ code }) => code)).toEqual(['CACHE_VALUE_UNSTORABLE']);
    expect(await processes[1]!.peek(Users, 'a')).toBeUndefined();
  });

  it('leaves nothing where another process wrote meanwhile', async () => {
    const { processes, hosts } = services(2);
    const gate = deferred<void>();
    const priming = processes[0]!.cache.prime(Users, 'a', async () => (await gate.promise, 'old'));
    await settled();
    await hosts[1]!.save('a', 'new');
    gate.resolve();
    expect(await priming).toBe('old');
    expect(await processes[1]!.read(Users, 'a', async () => 'new')).toBe('new');
  });
});
