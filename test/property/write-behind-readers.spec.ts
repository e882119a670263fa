import fc from 'fast-check';
import {
  add,
  entity,
  readThrough,
  remove,
  set,
  staleWhileRevalidate,
  writeBehind,
} from 'nestjs-cache-contract';
import { readMany } from '../../lib/read/many.js';
import { testEngine } from '../support/engine.js';
import { holds } from '../support/property.js';
import { Database, Handler, ModelLedger, type Plan } from '../support/write-behind-database.js';

/** A tenth of the histories that are run, because each of these takes longer. */
const RUNS = Number(process.env.HISTORIES ?? 20_000) / 10;

const MISSING = new Error('missing');
const KEYS = ['a', 'b'] as const;
type Key = (typeof KEYS)[number];
const TTL_MS = 20;

const key = fc.constantFrom(...KEYS);
const plans = fc.array(
  fc.constantFrom<Plan[]>(
    'goes well',
    'goes well',
    'cannot begin',
    'crashes before it commits',
    'commits, and its answer is lost',
  ),
  { maxLength: 3 },
);
const contract = fc.record({
  read: fc.constantFrom('through', 'stale while it is loaded again'),
  absence: fc.constantFrom('null', 'an error'),
  maxEntries: fc.constantFrom(1, 10),
  maxBatch: fc.constantFrom(1, 10),
  shards: fc.constantFrom(1, 2),
});
const reading = fc.record({
  do: fc.constantFrom(
    'read',
    'read',
    'read',
    'read many',
    'prime',
    'peek',
    'read inside a load of another key',
  ),
  key,
});
const disturbing = fc.record({
  do: fc.constantFrom('evict', 'invalidate', 'invalidate all', 'time passes', 'flush'),
  key,
});
const changing = (...ops: Change['op'][]) =>
  fc.record({ do: fc.constantFrom(...ops), key }) as fc.Arbitrary<{ do: Change['op']; key: Key }>;

/** One mutation of a key, in the order in which they were accepted. */
interface Change {
  readonly op: 'add' | 'set' | 'remove' | 'add, written' | 'set, written';
  readonly value: bigint;
  /** Its caller was told that it is written. */
  isWritten: boolean;
}

const isAwaited = ({ op }: Change) => op.endsWith('written');

/** The value after changes, of a row that did not exist. */
function valueAfter(changes: readonly Change[]): bigint | null {
  return changes.reduce<bigint | null>((value, { op, value: operand }) => {
    if (op === 'remove') return null;
    return op.startsWith('set') ? operand : (value ?? 0n) + operand;
  }, null);
}

/** What a read that began at a moment may be answered with when it ends. */
class Expected {
  private readonly from: number;
  private readonly sure: ReadonlySet<Change>;

  constructor(private readonly changes: readonly Change[]) {
    this.from = changes.length;
    this.sure = new Set(changes.filter(({ isWritten }) => isWritten));
  }

  /** Everything accepted before it, and the first so many of what was accepted since; of what was awaited, anything. */
  values(): (bigint | null)[] {
    const { changes, from, sure } = this;
    const open = changes.filter((change) => isAwaited(change) && !sure.has(change));
    const values: (bigint | null)[] = [];
    for (let to = from; to <= changes.length; to++) {
      for (let chosen = 0; chosen < 2 ** open.length; chosen++) {
        const inIt = (change: Change, i: number) =>
          isAwaited(change)
            ? sure.has(change) || (chosen & (1 << open.indexOf(change))) !== 0
            : i < to;
        values.push(valueAfter(changes.filter(inIt)));
      }
    }
    return values;
  }
}

interface Case {
  readonly contract: typeof contract extends fc.Arbitrary<infer C> ? C : never;
  readonly plans: readonly Plan[];
  readonly actors: readonly (readonly { readonly do: string; readonly key: Key }[])[];
}

class Readers {
  private readonly test = testEngine();
  private readonly database: Database;
  private readonly changes = { a: [] as Change[], b: [] as Change[] };
  /** Only of sums: everything that a read has seen so far. */
  private readonly seen = { a: 0n, b: 0n };
  private readonly Counters;
  private weight = 0n;

  constructor(
    private readonly scheduler: fc.Scheduler,
    private readonly given: Case,
    private readonly onlyAdds: boolean,
  ) {
    const { read, absence, maxEntries, maxBatch, shards } = given.contract;
    const times = { ttl: TTL_MS, negativeTtl: TTL_MS, jitter: 0, loadTimeout: '1m' } as const;
    const l1 = { maxEntries };
    this.Counters = entity<number | bigint | null>('counter', {
      maxStaleness: '1h',
      read:
        read === 'through'
          ? readThrough({ ...times, l1 })
          : staleWhileRevalidate({ ...times, staleFor: '10m', l1 }),
      write: writeBehind({
        merge: 'sum',
        flushEvery: 10,
        flushTimeout: '1m',
        maxBatch,
        shards,
        retry: { delay: 5, maxDelay: 5 },
      }),
      absentWhen: absence === 'null' ? undefined : (error) => error === MISSING,
    });
    this.database = new Database('one by one', (name) => this.step(`a transaction ${name}`));
    this.database.plans = [...given.plans];
    const handler = new Handler(() => undefined);
    this.behind.bind({ flush: handler.flush, ledger: new ModelLedger(this.database) });
  }

  private get behind() {
    return this.test.engine.behindOf(this.Counters);
  }

  private step(name: string): Promise<unknown> {
    return this.scheduler.schedule(Promise.resolve(), name);
  }

  private load = (key: Key) => async () => {
    await this.step(`a load of ${key} reaches the database`);
    const value = this.database.contents.values.get(key);
    await this.step(`a load of ${key} returns ${value}`);
    if (value === undefined && this.given.contract.absence === 'an error') throw MISSING;
    return value === undefined ? null : Number(value);
  };

  async run(): Promise<void> {
    let failure: unknown;
    let left = this.given.actors.length;
    for (const [n, actions] of this.given.actors.entries()) {
      const act = async () => {
        for (const action of actions) {
          await this.step(`${n} does ${action.do} ${action.key}`);
          await this.act(action.do, action.key);
        }
      };
      act().then(
        () => left--,
        (error) => (failure ??= error),
      );
    }
    await this.drive(() => left === 0 || failure !== undefined);
    if (failure !== undefined) throw failure as Error;
    await this.end();
  }

  /** Runs what is scheduled; lets time pass only when there is nothing else to wait for. */
  private async drive(ended: () => boolean): Promise<void> {
    for (let idle = 0; idle < 50;) {
      await new Promise(setImmediate);
      if (ended()) return;
      if (this.scheduler.count() > 0) await this.scheduler.waitOne();
      else {
        idle++;
        this.test.clock.advance(TTL_MS);
      }
    }
    throw new Error('everybody waits for somebody else');
  }

  private async end(): Promise<void> {
    const { engine } = this.test;
    this.database.plans = [];
    let ended = false;
    const end = (async () => {
      await this.behind.flush().catch(() => this.behind.flush());
      for (const key of KEYS) {
        await this.see(key, () => this.test.read(this.Counters, key, this.load(key)));
        const written = this.database.contents.values.get(key) ?? null;
        const sure = this.changes[key].filter((change) => !isAwaited(change) || change.isWritten);
        if (this.onlyAdds) expect(bitsOf(written)).toBe(bitsOf(written) | bitsOf(valueAfter(sure)));
        expect(new Expected(this.changes[key]).values()).toContain(written);
      }
      await engine.close();
      ended = true;
    })();
    await Promise.race([end, this.drive(() => ended)]);
    expect([engine.background.size, this.test.clock.pending]).toEqual([0, 0]);
  }

  private async act(what: string, key: Key): Promise<unknown> {
    const { Counters, load, behind } = this;
    const { engine, read, peek, invalidate, invalidateFamily, clock } = this.test;
    const state = engine.entities.stateOf(Counters);
    switch (what) {
      case 'read':
        return this.see(key, () => read(Counters, key, load(key)));
      case 'read many': {
        const loadAll = (keys: readonly unknown[]) =>
          Promise.all(keys.map((one) => load(one as Key)().catch(() => null)));
        // One of them may be known to be absent, by an error: that says nothing of the other.
        const all = readMany(engine.reader, state, KEYS, loadAll).catch(silent);
        return Promise.all(KEYS.map((one, i) => this.see(one, async () => (await all)?.[i])));
      }
      case 'prime':
        // A load that throws has primed nothing, whatever its error means to a read.
        return this.see(key, () =>
          engine.writer.prime(state, key, load(key), undefined).catch(silent),
        );
      case 'peek':
        return this.see(key, () => peek(Counters, key));
      case 'read inside a load of another key':
        return this.see('a', () =>
          read(Counters, 'a', async () => {
            await this.see('b', () => read(Counters, 'b', load('b')));
            return load('a')();
          }),
        );
      case 'evict':
        return read(Counters, 'z', async () => 0);
      case 'invalidate':
        return invalidate(Counters, key);
      case 'invalidate all':
        return invalidateFamily(Counters);
      case 'time passes':
        return clock.advance(TTL_MS / 2);
      case 'flush':
        return behind.flush().catch(() => undefined);
      default:
        return this.change(key, what as Change['op']);
    }
  }

  private async change(key: Key, op: Change['op']): Promise<void> {
    const change = { op, value: 1n << this.weight++, isWritten: false };
    const number = Number(change.value);
    const mutation = op === 'remove' ? remove() : op.startsWith('add') ? add(number) : set(number);
    this.changes[key].push(change);
    if (isAwaited(change)) {
      await this.behind.acceptWritten(key, key, mutation).then(
        () => (change.isWritten = true),
        () => undefined,
      );
    } else {
      await this.behind.accept(key, key, mutation);
    }
  }

  private async see(key: Key, read: () => Promise<unknown>): Promise<void> {
    const expected = new Expected(this.changes[key]);
    const seen = this.seen[key];
    const said = await read().catch((error: unknown) => {
      if (error !== MISSING) throw error;
      return null;
    });
    // What peek() does not know.
    if (said === undefined) return;
    const got = said === null ? null : BigInt(said as number);
    const values = expected.values();
    if (!values.includes(got)) {
      throw new Error(`${key} is ${got}, and could be ${values.join(' or ')}`);
    }
    if (!this.onlyAdds) return;
    if ((bitsOf(got) & seen) !== seen) throw new Error(`${key} was ${seen}, and is ${got}`);
    this.seen[key] |= bitsOf(got);
  }
}

/** An answer that says nothing of a value. */
function silent(error: unknown): undefined {
  if (error !== MISSING) throw error;
}

const bitsOf = (value: bigint | null) => value ?? 0n;

const actors = (change: fc.Arbitrary<{ do: Change['op']; key: Key }>) =>
  fc.array(
    fc.array(
      fc.oneof({ weight: 3, arbitrary: change }, { weight: 4, arbitrary: reading }, disturbing),
      {
        minLength: 1,
        maxLength: 6,
      },
    ),
    { minLength: 2, maxLength: 4 },
  );

const consistent = (ops: Change['op'][]) =>
  fc.asyncProperty(
    fc.scheduler(),
    fc.record({ contract, plans, actors: actors(changing(...ops)) }),
    (scheduler, given) =>
      new Readers(
        scheduler,
        given,
        ops.every((op) => op.startsWith('add')),
      ).run(),
  );

describe('readers of an entity that is written behind', () => {
  it(
    'see every add that was accepted before they called, once, and never a sum that goes back, on every interleaving',
    async () => {
      await holds(consistent(['add', 'add', 'add', 'add, written']), RUNS);
    },
    RUNS * 100,
  );

  it(
    'see what was set or removed before they called, or something newer, on every interleaving',
    async () => {
      await holds(consistent(['add', 'set', 'remove', 'set, written']), RUNS);
    },
    RUNS * 100,
  );
});
