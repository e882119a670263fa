import fc from 'fast-check';
import { CacheLoadTimeoutError, entity, invalidate, readThrough } from 'nestjs-cache-contract';
import type { CacheStore, FillOutcome, Lease, StoredEntry } from '../../lib/store/cache-store.js';
import { testEngine } from '../support/engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { MemoryStore } from '../support/memory-store/memory-store.js';
import { holds } from '../support/property.js';
import { RelayedStore, type Command } from '../support/relayed-store.js';
import { repeatableRandom, UnreliableStore } from '../support/unreliable-store.js';

const read = readThrough({ ttl: '1h', jitter: 0, loadTimeout: '3s' });
/** In the store alone: a copy could be older than it promises. */
const Users = entity<number>('user', {
  maxStaleness: { normal: '5s', incident: '1h' },
  read,
  write: invalidate(),
});
/** With a copy in each process, which hears of its own changes only. */
const Texts = entity<number>('text', { maxStaleness: '1h', read, write: invalidate() });

/** Whoever is under way and waits for the next step, which comes to one of them at a time. */
class Steps {
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly random: () => number) {}

  step(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** False if nobody waits for a step. */
  async next(): Promise<boolean> {
    const [go] = this.waiting.splice(Math.floor(this.random() * this.waiting.length), 1);
    go?.();
    await new Promise(setImmediate);
    return go !== undefined;
  }
}

/** Commands and answers that overtake each other. */
class SlowStore extends RelayedStore {
  constructor(
    store: CacheStore,
    private readonly steps: Steps,
  ) {
    super(store);
  }

  protected override async send<T>(_: Command, run: () => Promise<T>): Promise<T> {
    await this.steps.step();
    const answer = run();
    // Failures come late as well.
    await Promise.allSettled([answer]);
    await this.steps.step();
    return answer;
  }
}

/** Stores whatever it is given, as if leases were for nothing but to save loads. */
class Unleased extends MemoryStore {
  override async fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    return super.fill(await this.claim(lease.entry, 1_000), stored, keepMs);
  }
}

/** By key. */
const rows = (): { [key: string]: number } => ({ a: 0, b: 0 });

interface Reading {
  readonly key: string;
  /** The least that this call may be answered with. */
  readonly least: number;
}

/**
 * Three processes read and change two rows in whatever order. Returns the answers that were too old, and what the
 * history visited.
 */
async function history(
  seed: number,
  shared: (clock: ManualClock) => MemoryStore,
  things: typeof Users = Users,
) {
  const random = repeatableRandom(seed);
  const clock = new ManualClock();
  const steps = new Steps(random);
  const store = shared(clock);
  const source = rows();
  /** What everybody has to see: changes whose invalidation the store has acknowledged. */
  const known = rows();
  const processes = Array.from({ length: 3 }, () => {
    const way = new UnreliableStore(new SlowStore(store, steps), random);
    return {
      ...testEngine(clock, undefined, way),
      /** What this one has to see, because it made the change: whether the store has heard of it or not. */
      own: rows(),
      readings: new Set<Reading>(),
    };
  });
  const tooOld: object[] = [];
  const count = { hits: 0, loads: 0, acknowledged: 0, pending: 0 };

  const read = async (n: number, key: string) => {
    const { own, readings, read } = processes[n]!;
    // It may join a load of its process that began before, also before an invalidation that another process made.
    const joinable = [...readings].filter((reading) => reading.key === key);
    const least = Math.max(
      own[key]!,
      Math.min(known[key]!, ...joinable.map((reading) => reading.least)),
    );
    const reading = { key, least };
    readings.add(reading);
    let loaded = false;
    const answer = await read(things, key, async () => {
      loaded = true;
      count.loads++;
      await steps.step();
      const value = source[key]!;
      await steps.step();
      return value;
    }).catch((error: unknown) => {
      // Too many steps of others came between.
      if (error instanceof CacheLoadTimeoutError) return undefined;
      throw error;
    });
    readings.delete(reading);
    if (answer === undefined) return;
    if (!loaded) count.hits++;
    if ((answer as number) < least) tooOld.push({ process: n, key, answer, least });
  };
  const change = async (n: number, key: string) => {
    const { own, invalidate: drop } = processes[n]!;
    const value = ++source[key]!;
    await steps.step();
    const outcome = await drop(things, key);
    count[outcome]++;
    own[key] = Math.max(own[key]!, value);
    if (outcome === 'acknowledged' && things === Users) known[key] = Math.max(known[key]!, value);
  };

  const underWay = new Set<Promise<void>>();
  const start = (work: Promise<void>) => {
    const tracked: Promise<void> = work.finally(() => underWay.delete(tracked));
    underWay.add(tracked);
  };
  for (let i = 0; i < 150; i++) {
    const [n, key] = [Math.floor(random() * 3), random() < 0.8 ? 'a' : 'b'];
    const dice = random();
    if (dice < 0.2) start(read(n, key));
    else if (dice < 0.25) start(change(n, key));
    else if (dice < 0.27) clock.advance(Math.floor(random() * 1_000));
    else await steps.next();
  }
  while (underWay.size > 0) {
    if (!(await steps.next())) clock.advance(50);
  }
  return { tooOld, count };
}

/** What all histories together have visited; each is to find nothing. */
async function visited(things: typeof Users) {
  const total = { hits: 0, loads: 0, acknowledged: 0, pending: 0 };
  await holds(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const { tooOld, count } = await history(seed, (clock) => new MemoryStore(clock), things);
      expect(tooOld).toEqual([]);
      for (const name of Object.keys(count) as (keyof typeof count)[]) total[name] += count[name];
    }),
    400,
  );
  return total;
}

describe('an invalidation', () => {
  it('that was acknowledged is final for all processes: no call that begins after it gets what was there before, whatever becomes of messages', async () => {
    const total = await visited(Users);
    // It is worth something only if values were shared, and invalidations went both ways.
    expect(Math.min(...Object.values(total))).toBeGreaterThan(400);
  }, 60_000);

  it('is final for its own process, acknowledged or pending, where each has a copy', async () => {
    const total = await visited(Texts);
    expect(Math.min(...Object.values(total))).toBeGreaterThan(400);
  }, 60_000);

  it('would not be without leases, so these histories can tell', async () => {
    let found = 0;
    for (let seed = 0; found === 0 && seed < 400; seed++) {
      found = (await history(seed, (clock) => new Unleased(clock))).tooOld.length;
    }
    expect(found).toBeGreaterThan(0);
  }, 60_000);
});
