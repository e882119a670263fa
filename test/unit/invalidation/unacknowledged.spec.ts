import { inspect } from 'node:util';
import {
  CacheInvalidationUnacknowledgedError,
  entity,
  invalidate,
  readThrough,
  writeThrough,
} from 'nestjs-cache-contract';
import { Cache } from 'nestjs-cache-contract/cache-manager';
import { fleet, settled, source, told } from '../../support/fleet.js';
import { MemoryLog } from '../../support/memory-store/memory-log.js';

const read = readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' });
const base = {
  maxStaleness: { normal: '5s', incident: '1m' },
  read,
  write: invalidate(),
} as const;
const Users = entity<string>('user', { ...base, onUnacknowledged: 'fail' });
const Notes = entity<string>('note', base);
const Versions = entity<number>('version', {
  ...base,
  onUnacknowledged: 'fail',
  version: (value) => value,
});
const Texts = entity<string>('text', {
  ...base,
  write: writeThrough(),
  onUnacknowledged: 'fail',
});
const Lax = entity<string>('lax', { ...base, write: writeThrough() });

const CODE = 'CACHE_INVALIDATION_UNACKNOWLEDGED';

async function failed(call: Promise<unknown>): Promise<CacheInvalidationUnacknowledgedError> {
  const error: unknown = await call.then(
    () => 'it resolved',
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(CacheInvalidationUnacknowledgedError);
  return error as CacheInvalidationUnacknowledgedError;
}

describe("invalidate, with onUnacknowledged: 'fail'", () => {
  it('resolves where the store acknowledges', async () => {
    const { processes } = fleet(1);
    expect(await processes[0]!.cache.invalidate(Users, 'a')).toBe('acknowledged');
    expect(await processes[0]!.cache.invalidate(Versions, 'a', { atLeast: 2 })).toBe(
      'acknowledged',
    );
  });

  it.each(['rejected', 'lost', 'refused'] as const)(
    'rejects where it does not, and says what is in force and what to do (%s)',
    async (trouble) => {
      const { processes, pass } = fleet(1);
      const [{ way, cache }] = processes as [(typeof processes)[0]];
      way.has(trouble);
      const error = failed(cache.invalidate(Users, 'a'));
      await pass(100);
      expect(await error).toMatchObject({
        code: CODE,
        entities: ['user'],
        result: undefined,
        name: 'CacheInvalidationUnacknowledgedError',
        message:
          "Entries of 'user' were invalidated, and the store 'default' did not acknowledge it. What was written is written: to repeat the call would write it again. This process does not serve the old value any more, and tells the store again until it acknowledges, unless the fault CACHE_INVALIDATION_PENDING says otherwise; other processes may serve it until then, at most for its ttl. Fix: answer with an error that says so, or with error.result; where others may be late, write `onUnacknowledged: 'pending'` in the contract of 'user'.",
      });
      const below = failed(cache.invalidate(Versions, 'a', { atLeast: 2 }));
      await pass(100);
      expect((await below).entities).toEqual(['version']);
    },
  );

  it("does everything else that 'pending' does", async () => {
    const { processes, pass } = fleet(2);
    const seen = [];
    for (const kind of [Users, Notes]) {
      const [first, second] = processes;
      await second!.read(kind, 'a', async () => 'old');
      first!.way.has('rejected', ['invalidate']);
      const faults = await told('fault', async () => {
        await first!.cache.invalidate(kind, 'a').catch(() => 'pending');
      });
      first!.way.asked.length = 0;
      const load = source();
      await first!.read(kind, 'a', load);
      await first!.read(kind, 'a', load);
      const here = [load.runs, [...first!.way.asked]];
      first!.way.recovers();
      const drained = await told('acknowledge', () => pass(500));
      expect(await second!.peek(kind, 'a')).toBeUndefined();
      await first!.read(kind, 'a', async () => 'new');
      expect(await second!.read(kind, 'a', source())).toBe('new');
      seen.push([
        faults.map(({ code }) => code),
        here,
        drained.map(({ entries, lapsed }) => [entries, lapsed]),
      ]);
    }
    expect(seen[0]).toEqual(seen[1]);
    expect(seen[0]).toEqual([['CACHE_INVALIDATION_PENDING'], [2, []], [[1, 0]]]);
  });

  it('rejects too where the entry is no more remembered than ten thousand others', async () => {
    const { processes } = fleet(1);
    const [{ way, cache }] = processes as [(typeof processes)[0]];
    way.has('rejected', ['invalidate']);
    const calls = Array.from({ length: 10_001 }, (_, i) => cache.invalidate(Users, `${i}`));
    const settled = await Promise.allSettled(calls);
    expect(settled.filter(({ status }) => status === 'rejected')).toHaveLength(10_001);
  });

  it('has nobody to wait for where entries are kept in the process', async () => {
    const { processes } = fleet(1);
    const { way, cache } = processes[0]!;
    const Own = entity<string>('own', {
      ...base,
      maxStaleness: '1m',
      store: 'process',
      onUnacknowledged: 'fail',
    });
    way.has('rejected');
    expect(await cache.invalidate(Own, 'a')).toBe('acknowledged');
    expect(way.asked).toEqual([]);
  });
});

describe("prime, with onUnacknowledged: 'fail'", () => {
  it('resolves where it is stored', async () => {
    const { processes } = fleet(1);
    expect(await processes[0]!.cache.prime(Texts, 'a', async () => 'new')).toBe('new');
  });

  it('rejects with what it has loaded, of which no log learns, where others may have what was there', async () => {
    const { processes, pass } = fleet(2);
    const [first, second] = processes;
    await second!.read(Texts, 'a', async () => 'old');
    first!.way.has('rejected');
    const error = await failed(first!.cache.prime(Texts, 'a', async () => 's3cret'));
    expect([error.result, error.entities]).toEqual(['s3cret', ['text']]);
    expect(inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error)).not.toContain(
      's3cret',
    );
    first!.way.recovers();
    await pass(500);
    expect(await second!.read(Texts, 'a', async () => 'new')).toBe('new');
    expect(await first!.cache.prime(Lax, 'a', async () => 'new')).toBe('new');
  });

  it('rejects with the error of its loader, which has written nothing', async () => {
    const { processes } = fleet(1);
    const error = new Error('connection refused');
    processes[0]!.way.has('rejected');
    await expect(processes[0]!.cache.prime(Texts, 'a', () => Promise.reject(error))).rejects.toBe(
      error,
    );
  });
});

describe('a write that the store has, and those who have copies have not heard of', () => {
  async function untold() {
    const log = new MemoryLog();
    const all = fleet(2, undefined, log);
    for (const { engine } of all.processes) {
      for (const kind of [Texts, Lax]) engine.entities.stateOf(kind);
    }
    await settled();
    const { told: way } = all.processes[0]!;
    const append = way.append.bind(way);
    way.append = () => Promise.reject(new Error('not connected'));
    return { ...all, recovers: () => void (way.append = append) };
  }

  it('is pending like an invalidation, and others hear of it as soon as they can be told', async () => {
    const { processes, pass, recovers } = await untold();
    const [first, second] = processes;
    for (const { read } of processes) await read(Lax, 'a', async () => 'old');
    await settled();
    const faults = await told('fault', async () => {
      expect(await first!.cache.prime(Lax, 'a', async () => 'new')).toBe('new');
    });
    expect(faults.map(({ code }) => code)).toEqual(['CACHE_INVALIDATION_PENDING']);
    expect(faults[0]!.message).toBe(
      "An entry of 'lax' was written to the store 'default', and those who have copies of it could not be told. They are told again until they have heard, and may serve the old value until then, at most for as long as the contract bears that.",
    );
    expect(await second!.read(Lax, 'a', source())).toBe('old');
    recovers();
    await pass(1_000);
    for (const { read } of processes) expect(await read(Lax, 'a', source())).toBe('new');
  });

  it('is pending too where it was set without a source, and what was there had been told of', async () => {
    const { processes, recovers } = await untold();
    const [{ told: way, engine }] = processes as [(typeof processes)[0]];
    recovers();
    const append = way.append.bind(way);
    let appended = 0;
    way.append = (...args) =>
      appended++ === 0 ? append(...args) : Promise.reject(new Error('not connected'));
    await failed(new Cache(engine, Texts, {}).set('a', 'new'));
    expect(await processes[1]!.peek(Texts, 'a')).toBe('new');
  });

  it("rejects with onUnacknowledged: 'fail'", async () => {
    const { processes } = await untold();
    const error = await failed(processes[0]!.cache.prime(Texts, 'a', async () => 'new'));
    expect(error.result).toBe('new');
    expect(await processes[1]!.peek(Texts, 'a')).toBe('new');
    await failed(processes[0]!.cache.invalidate(Texts, 'a'));
  });
});

describe("CACHE_MANAGER over an entity with onUnacknowledged: 'fail'", () => {
  const managed = (kind: typeof Users) => {
    const { processes, pass } = fleet(2);
    const [{ way, engine }, other] = processes as [(typeof processes)[0], (typeof processes)[0]];
    const cache = new Cache(engine, kind, {});
    const heard: unknown[] = [];
    for (const event of ['set', 'mset', 'del'] as const) {
      cache.on(event, ({ error }: { error?: unknown }) => void heard.push([event, error]));
    }
    return { way, cache, heard, other, pass };
  };

  it.each([
    { call: 'set', run: (cache: Cache) => cache.set('a', 'new') },
    { call: 'mset', run: (cache: Cache) => cache.mset([{ key: 'a', value: 1 }]) },
    { call: 'del', run: (cache: Cache) => cache.del('a') },
  ])('tells the error to listeners and to the caller of $call', async ({ call, run }) => {
    const { way, cache, heard } = managed(Users);
    await run(cache);
    way.has('rejected');
    const error = await failed(run(cache));
    expect(heard).toEqual([
      [call, undefined],
      [call, error],
    ]);
  });

  it('carries out all of mdel and mset before it rejects', async () => {
    const { way, cache, other, pass } = managed(Users);
    for (const key of ['a', 'b']) await other.read(Users, key, async () => 'old');
    way.has('rejected', ['invalidate']);
    await failed(cache.mdel(['a', 'b']));
    await failed(
      cache.mset([
        { key: 'a', value: 'x' },
        { key: 'c', value: 'y' },
      ]),
    );
    way.recovers();
    way.asked.length = 0;
    await pass(500);
    await pass(500);
    expect(way.asked.filter((command) => command === 'invalidate')).toHaveLength(3);
    for (const key of ['a', 'b']) expect(await other.peek(Users, key)).toBeUndefined();
  });

  it("answers as before with 'pending'", async () => {
    const { way, cache, heard } = managed(Notes);
    way.has('rejected');
    expect(await cache.set('a', 'new')).toBe('new');
    expect(await cache.del('a')).toBe(false);
    expect(await cache.mdel(['a', 'b'])).toBe(false);
    expect(heard).toEqual([
      ['set', undefined],
      ['del', undefined],
    ]);
  });
});
