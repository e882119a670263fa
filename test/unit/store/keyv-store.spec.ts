import { Keyv } from 'keyv';
import { DistributedLock, type Lock } from 'nestjs-cache-contract';
import { MemoryLock } from '../../../lib/coordination/memory-lock.js';
import type { EntryName } from '../../../lib/store/cache-store.js';
import { EntryNames } from '../../../lib/store/keyv/entry-names.js';
import type { KeyvStore } from '../../../lib/store/keyv/keyv-store.js';
import { bytes, Subject, USER, watched } from '../../conformance/store/subject.js';
import { deferred } from '../../support/engine.js';
import { KeyvTable, TroubledKeyv, TroubledKeyvOfMany } from '../../support/keyv-adapters.js';
import { KeyvTime } from '../../support/keyv-time.js';

let time: KeyvTime;
beforeEach(() => void (time = new KeyvTime()));
afterEach(() => time.end());

/** Two processes on one Keyv, as far as they can tell. */
function processes(keyv = new Keyv(), locks: readonly DistributedLock[] = [time.lock, time.lock]) {
  const [store, other] = locks.map((lock) => time.store(keyv, lock)) as [KeyvStore, KeyvStore];
  return new Subject({ store, other, advance: (ms) => time.pass(ms) }, 1_000);
}

describe('processes that share a Keyv and a lock', () => {
  it('load an entry once: who is held up is woken when it is stored, and has it', async () => {
    const at = processes();
    const lease = await at.granted(at.store);
    const held = await at.answer('held', at.other);
    const waiting = watched(held.woken);
    await at.settle();
    expect(waiting.done).toBe(false);
    const stored = at.content(lease);
    await at.fill(lease, stored);
    await at.settle();
    expect(waiting.done).toBe(true);
    expect((await at.answer('fresh', at.other)).stored).toEqual(stored);
  });

  it('look once more when they have the lock: it may have been stored since they asked', async () => {
    const keyv = new Keyv();
    let whileAsked = async () => {};
    class Asked extends DistributedLock {
      override async acquire(...of: Parameters<DistributedLock['acquire']>) {
        await whileAsked();
        return time.lock.acquire(...of);
      }
    }
    const at = processes(keyv, [time.lock, new Asked()]);
    const lease = await at.granted(at.store);
    whileAsked = async () => void (await at.fill(lease));
    await at.answer('fresh', at.other);
    whileAsked = async () => {};
    // And have given the lock back.
    await at.granted(at.store, { newerThan: at.store.now(USER) });
  });

  it.each(['fails', 'leaves', 'dies'])('load in turn where the first one %s', async (how) => {
    const at = processes();
    const lease = await at.granted(at.store, { lease: 5 });
    const waiting = watched((await at.answer('held', at.other, { lease: 9 })).woken);
    if (how === 'fails') await at.fail(lease);
    else if (how === 'leaves') await at.store.close();
    else await at.advance(6);
    await at.settle();
    expect(waiting.done).toBe(true);
    await at.granted(at.other);
  });

  it('are in nobody’s way when they have left the line', async () => {
    const at = processes();
    const lease = await at.granted(at.store);
    const held = await at.answer('held', at.other);
    held.leave();
    await held.woken;
    await at.fail(lease);
    await at.granted(at.store);
  });

  it('begin no load while another one writes', async () => {
    const at = processes();
    const writing = await at.claim(at.store);
    (await at.answer('held', at.other)).leave();
    await at.fill(writing);
    await at.answer('fresh', at.other);
  });

  it('store nothing under a lock that was lost', async () => {
    const at = processes();
    const held: Lock[] = [];
    const lost = new AbortController();
    class Losing extends DistributedLock {
      override async acquire(...of: Parameters<DistributedLock['acquire']>) {
        const lock = await time.lock.acquire(...of);
        if (lock !== undefined) held.push(lock);
        return lock && { ...lock, signal: lost.signal, release: () => lock.release() };
      }
    }
    const one = new Subject(
      {
        store: time.store(new Keyv(), new Losing()),
        other: at.other,
        advance: (ms) => time.pass(ms),
      },
      1_000,
    );
    const lease = await one.granted();
    lost.abort();
    expect(await one.fill(lease)).toBe('voided');
  });

  it('load each for itself where each has a lock of its own, or the lock is at fault', async () => {
    class Broken extends DistributedLock {
      override acquire(): Promise<Lock> {
        return Promise.reject(new Error('out of reach'));
      }
    }
    for (const lock of [new MemoryLock(time), new Broken()]) {
      const at = processes(new Keyv(), [time.lock, lock]);
      const [first, second] = [await at.granted(at.store), await at.granted(at.other)];
      expect(await at.fill(first, {}, 59, at.store)).toBe('stored');
      expect(await at.fill(second, {}, 59, at.other)).toBe('stored');
    }
  });

  it('cannot keep each other from storing what was loaded before an invalidation', async () => {
    const at = processes();
    const loading = await at.granted(at.store);
    await at.invalidate(undefined, at.other);
    expect(await at.fill(loading)).toBe('stored');
    expect(await at.other.read(USER)).toBeDefined();
  });

  it('use no more than 65,536 names of locks, each within what a lock takes', async () => {
    const names = new Set<string>();
    class Noting extends DistributedLock {
      override acquire(name: string): Promise<Lock | undefined> {
        names.add(name);
        return Promise.resolve(undefined);
      }
    }
    const at = processes(new Keyv(), [new Noting(), new Noting()]);
    for (let i = 0; i < 2_000; i++) await at.lease(at.store, {}, { entity: 'user', id: `${i}` });
    for (const name of names)
      expect(Number(/^shop\/lease\/(\d+)$/.exec(name)![1])).toBeLessThan(2 ** 16);
    expect(names.size).toBeGreaterThan(1_900);
  });
});

describe('two entries with one name of a lock', () => {
  const names = new EntryNames('shop');
  const inner = Array.from({ length: 2 ** 20 }, (_, i): EntryName => {
    return { entity: 'item', id: `${i}` };
  }).find((entry) => names.lock(entry) === names.lock(USER))!;

  it('are loaded one within the other', async () => {
    const at = processes();
    const outer = await at.granted();
    const lease = await at.granted(at.store, {}, inner);
    expect([await at.fill(lease), await at.fill(outer)]).toEqual(['stored', 'stored']);
    // And the lock is free again.
    await at.granted(at.other, { newerThan: at.store.now(USER) });
  });

  it('wait both for another process that has it', async () => {
    const at = processes();
    await at.granted(at.other);
    const both = [at.lease(at.store), at.lease(at.store, {}, inner)];
    const [one, two] = await Promise.all(both);
    expect([one?.outcome, two?.outcome]).toEqual(['held', 'held']);
  });

  it('are asked for as before where the lock was at fault', async () => {
    let asked = 0;
    class Broken extends DistributedLock {
      override acquire(): Promise<Lock> {
        asked++;
        return Promise.reject(new Error('out of reach'));
      }
    }
    const at = processes(new Keyv(), [new Broken(), time.lock]);
    await at.granted();
    await at.granted(at.store, {}, inner);
    expect(asked).toBe(2);
  });
});

describe('a store on a Keyv', () => {
  it('removes what was being stored when it was invalidated, however long storing takes', async () => {
    const order: string[] = [];
    let finish!: () => void;
    class Slow extends KeyvTable {
      override async set(key: string, value: unknown): Promise<void> {
        order.push('set');
        await new Promise<void>((resolve) => (finish = resolve));
        await super.set(key, value);
      }
      override delete(key: string): Promise<boolean> {
        order.push('delete');
        return super.delete(key);
      }
    }
    const at = processes(new Keyv({ store: new Slow() }));
    const filled = at.fill(await at.granted());
    await at.settle();
    const removed = at.invalidate();
    await at.settle();
    finish();
    await Promise.all([filled, removed]);
    expect(order).toEqual(['set', 'delete']);
    expect(await at.store.read(USER)).toBeUndefined();
  });

  describe('whose write takes so long that others go on without it', () => {
    /** A table whose first write comes when the test says, and whether removing works. */
    class Late extends KeyvTable {
      arrive!: () => void;
      isFirst = true;
      canRemove = true;
      override async set(key: string, value: unknown): Promise<void> {
        const { isFirst } = this;
        this.isFirst = false;
        if (isFirst) await new Promise<void>((resolve) => (this.arrive = resolve));
        await super.set(key, value);
      }
      override delete(key: string): Promise<boolean> {
        return this.canRemove ? super.delete(key) : Promise.reject(new Error('connection lost'));
      }
    }

    /** Something old is on its way, and was invalidated. */
    async function begun(lease = 9) {
      const store = new Late();
      const at = processes(new Keyv({ store }));
      const filled = at.fill(await at.granted(at.store, { lease }));
      await at.settle();
      return { store, at, filled };
    }

    it('removes it when it comes after the invalidation', async () => {
      const { store, at, filled } = await begun();
      await at.advance(6);
      await at.invalidate();
      store.arrive();
      expect(await filled).toBe('voided');
      await at.settle();
      expect(store.table.size).toBe(0);
      await at.put();
      expect(await at.store.read(USER)).toBeDefined();
    });

    it('stores nothing that it would replace, and trusts nothing that is there', async () => {
      const { store, at, filled } = await begun();
      await at.advance(6);
      await at.invalidate();
      expect(await at.fill(await at.granted())).toBe('voided');
      store.canRemove = false;
      store.arrive();
      await filled;
      await at.settle();
      expect([store.table.size, await at.store.read(USER)]).toEqual([1, undefined]);
      await at.granted();
      // Until it is over by itself.
      await at.advance(60);
      store.canRemove = true;
      const stored = await at.put();
      expect(await at.store.read(USER)).toEqual(stored);
    });

    it('does not trust what was read before it was removed, and comes after', async () => {
      const { store, at, filled } = await begun();
      await at.advance(6);
      await at.invalidate();
      const [removing, answering] = [deferred<void>(), deferred<void>()];
      const [get, remove] = [store.get.bind(store), store.delete.bind(store)];
      store.delete = (key) => removing.promise.then(() => remove(key));
      store.get = async (key) => {
        const found = await get<never>(key);
        await answering.promise;
        return found;
      };
      store.arrive();
      await filled;
      const read = at.store.read(USER);
      await at.settle();
      removing.resolve();
      await at.settle();
      expect(store.table.size).toBe(0);
      answering.resolve();
      expect(await read).toBeUndefined();
    });

    it('does not forget it, however many other entries there are', async () => {
      const { store, at, filled } = await begun(1);
      await at.advance(2);
      for (let i = 0; i < 20; i++)
        await at.invalidate(undefined, at.store, { entity: 'other', id: `${i}` });
      const removed = watched(at.invalidate());
      await at.settle();
      expect(removed.done).toBe(false);
      store.arrive();
      await filled;
      await at.settle();
      expect([removed.done, store.table.size]).toEqual([true, 0]);
    });
  });

  it('does not wait for ever for what never gets an answer', async () => {
    const store = new TroubledKeyv();
    const at = processes(new Keyv({ store }));
    await at.put();
    store.trouble = 'hangs';
    const lost = watched(at.invalidate());
    await at.settle();
    store.trouble = 'none';
    const waiting = watched(at.invalidate());
    await at.settle();
    expect([lost.done, waiting.done, store.table.size]).toEqual([false, false, 1]);
    await at.advance(6);
    await at.invalidate();
    expect(store.table.size).toBe(0);
    await at.put();
    await at.invalidate();
    expect(store.table.size).toBe(0);
  });

  it.each(['shop', 'shop/1', 'keyv', ''])(
    'finds one and several under the namespace %p of the Keyv',
    async (namespace) => {
      const store = new TroubledKeyvOfMany();
      const at = processes(new Keyv({ store, namespace }));
      const stored = await at.put();
      const found = await at.store.readAll([USER, { entity: 'user', id: 'none' }, USER]);
      expect(found).toEqual([stored, undefined, stored]);
      expect(await at.store.read(USER)).toEqual(stored);
    },
  );

  it('writes keys that every database takes, of the namespace and the protocol', async () => {
    const store = new TroubledKeyv();
    const at = processes(new Keyv({ store, namespace: '' }));
    for (const id of ['7', 'ä:/7', '\ud8007', 'x'.repeat(256)]) {
      await at.put({}, 59, { entity: 'user', id });
    }
    expect([...store.table.keys()]).toEqual([
      'shop/1/user/7',
      'shop/1/user/%00E4%003A%002F7',
      'shop/1/user/%D8007',
      expect.stringMatching(/^shop\/1\/#[0-9a-f]{64}$/),
    ]);
  });

  it('does not take an entry for another one, where a database takes two keys for one', async () => {
    class CaseBlind extends KeyvTable {
      override get<Value>(key: string): Promise<Value | undefined> {
        return super.get(key.toLowerCase());
      }
      override set(key: string, value: unknown): Promise<void> {
        return super.set(key.toLowerCase(), value);
      }
    }
    const at = processes(new Keyv({ store: new CaseBlind() }));
    const ada: EntryName = { entity: 'user', id: 'ada' };
    await at.put({ payload: bytes('secret') }, 59, { entity: 'user', id: 'Ada' });
    expect(await at.store.read(ada)).toBeUndefined();
    expect(time.unreadable).toEqual([ada]);
  });

  it('leaves nothing at its end, and the Keyv to who has made it', async () => {
    const store = new TroubledKeyv();
    let disconnected = 0;
    const keyv = new Keyv({
      store: Object.assign(store, { disconnect: async () => void disconnected++ }),
    });
    const at = processes(keyv);
    await at.granted(at.store);
    const waiting = watched((await at.answer('held', at.other)).woken);
    expect(keyv.listeners('error')).toHaveLength(2);
    await at.other.close();
    await at.settle();
    expect(waiting.done).toBe(true);
    await at.store.close();
    expect([time.pending, keyv.listeners('error').length, disconnected]).toEqual([0, 0, 0]);
    await expect(at.claim(at.store)).rejects.toThrow('closed');
  });

  it('has given back at its end what it had, and not before', async () => {
    const released = deferred<void>();
    class Slow extends DistributedLock {
      override async acquire(...of: Parameters<DistributedLock['acquire']>) {
        const lock = await time.lock.acquire(...of);
        return lock && { ...lock, signal: lock.signal, release: () => released.promise };
      }
    }
    const at = processes(new Keyv(), [new Slow(), time.lock]);
    await at.granted();
    const closed = watched(at.store.close());
    await at.settle();
    expect(closed.done).toBe(false);
    released.resolve();
    await at.settle();
    expect(closed.done).toBe(true);
  });

  it('stores nothing that was invalidated while its version was compared', async () => {
    const store = new KeyvTable();
    const [asked, answer] = [deferred<void>(), deferred<void>()];
    const at = processes(new Keyv({ store }));
    const lease = await at.granted();
    store.get = async () => {
      asked.resolve();
      await answer.promise;
      return undefined;
    };
    let sets = 0;
    store.set = async () => void sets++;
    const filled = at.fill(lease, { version: 1 });
    await asked.promise;
    const removed = at.invalidate();
    answer.resolve();
    await removed;
    expect([await filled, sets]).toEqual(['voided', 0]);
  });

  it('keeps nothing of what is over, at most about as much again as what is not', async () => {
    const at = processes();
    for (let i = 0; i < 500; i++) {
      const entry = { entity: 'user', id: `${i}` };
      await at.invalidate({ atLeast: 1, keep: 1 }, at.store, entry);
      await at.granted(at.store, { lease: 1 }, entry);
      await at.advance(2);
    }
    expect((at.store as KeyvStore)['places']['places'].size).toBeLessThan(10);
  });
});

describe.each([
  { kind: 'that reads one by one', Adapter: TroubledKeyv },
  { kind: 'that reads several at once', Adapter: TroubledKeyvOfMany },
])('a Keyv $kind', ({ Adapter }) => {
  const names = ['7', '8', '9'].map((id): EntryName => ({ entity: 'user', id }));

  function begin(options = {}) {
    const store = new Adapter();
    return { store, at: processes(new Keyv({ store, ...options })) };
  }

  it.each(['throws', 'tells'] as const)(
    'and %s has given no answer, whatever it was asked',
    async (trouble) => {
      const { store, at } = begin();
      await at.put({ version: 1 });
      const lease = await at.claim();
      store.trouble = trouble;
      await expect(at.store.read(USER)).rejects.toThrow();
      await expect(at.store.readAll(names)).rejects.toThrow();
      await expect(at.lease(at.other)).rejects.toThrow();
      await expect(at.invalidate()).rejects.toThrow();
      await expect(at.invalidate({ atLeast: 1, keep: 9 })).rejects.toThrow();
      await expect(at.fill(await at.claim())).rejects.toThrow();
      await expect(at.fill(await at.claim(), { version: 2 })).rejects.toThrow();
      await expect(at.fill(await at.claim(), {}, 0)).rejects.toThrow();
      store.trouble = 'none';
      expect(await at.fill(lease)).toBe('voided');
      await at.fail(await at.granted(at.store, { newerThan: at.store.now(USER) }));
      expect(time.unreadable).toEqual([]);
    },
  );

  it('and has come back between two questions has what it has', async () => {
    const { store, at } = begin();
    const stored = await at.put();
    store.trouble = 'tells';
    const get = store.get.bind(store);
    store.get = (key) => {
      const found = get<never>(key);
      store.trouble = 'none';
      return found;
    };
    expect(await at.store.read(USER)).toEqual(stored);
    expect(time.unreadable).toEqual([]);
  });

  it('and says nothing at the start is out of reach, and there as soon as it answers', async () => {
    const { store, at } = begin();
    expect(await at.store.check()).toBe('ready');
    store.trouble = 'hangs';
    const checked = at.store.check();
    const waiting = watched(checked.then(() => undefined));
    await at.advance(0.9);
    expect(waiting.done).toBe(false);
    await at.advance(0.2);
    expect(await checked).toBe('out of reach');
    store.trouble = 'throws';
    expect(await at.store.check()).toBe('out of reach');
    await at.settle();
    expect(time.pending).toBe(0);
  });

  it('and says that it has not stored something has not', async () => {
    const { store, at } = begin();
    store.set = (async () => false) as never;
    await expect(at.fill(await at.granted())).rejects.toThrow('not stored');
  });

  const TEXT = JSON.stringify({
    format: 'nestjs-cache-contract/1',
    entity: 'user',
    id: '7',
    loadedAt: 1,
    softExpiry: 2,
    loadMs: 3,
    schema: 4,
  });
  const changed = (fields: object) => JSON.stringify({ ...JSON.parse(TEXT), ...fields });

  it.each([
    ['nothing that JSON knows', 'rubbish'],
    ['half of something', '{"value":"{'],
    ['no text', { value: 7 }],
    ['null', { value: null }],
    ['another text', { value: 'rubbish' }],
    ['JSON that is null', { value: 'null' }],
    ['a list', { value: '[1]' }],
    ['another format', { value: changed({ format: 'nestjs-cache-contract/2' }) }],
    ['another entry', { value: changed({ id: '8' }) }],
    ['an entry without times', { value: changed({ loadedAt: null }) }],
    ['a time before all times', { value: changed({ softExpiry: -1 }) }],
    ['a time after all times', { value: changed({ softExpiry: 1e300 }) }],
    ['a schema that is none', { value: changed({ schema: 65_536 }) }],
    ['a version that is none', { value: changed({ version: 'new' }) }],
    ['a version of too many digits', { value: changed({ version: `${'9'.repeat(500)}n` }) }],
    ['a payload that is none', { value: changed({ payload: {} }) }],
    ['more than it may be', { value: 'x'.repeat(24 * 2 ** 20 + 1) }],
  ])(
    'with %s has nothing there, says so, and is right again after the next load',
    async (_what, value) => {
      const { store, at } = begin();
      await at.put({}, 59, names[1]);
      const key = [...store.table.keys()][0]!.replace('8', '7');
      store.table.set(key, typeof value === 'string' ? value : JSON.stringify(value));
      expect((await at.store.readAll(names)).map((one) => one !== undefined)).toEqual([
        false,
        true,
        false,
      ]);
      expect(time.unreadable).toEqual([USER]);
      const stored = await at.put({ version: 1 });
      expect(await at.other.read(USER)).toEqual(stored);
    },
  );

  it('reads the text above, were it not for what is changed in it', async () => {
    const { store, at } = begin();
    store.table.set('keyv:shop/1/user/7', JSON.stringify({ value: TEXT }));
    expect(await at.store.read(USER)).toMatchObject({ loadedAt: 1, schema: 4 });
  });
});
