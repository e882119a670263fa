import fc from 'fast-check';
import { CacheLoadTimeoutError, entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { testEngine } from '../support/engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { MemoryLog, type LogWay } from '../support/memory-store/memory-log.js';
import { MemoryStore } from '../support/memory-store/memory-store.js';
import { holds } from '../support/property.js';
import { SlowStore, Steps } from '../support/steps.js';
import { repeatableRandom, UnreliableStore } from '../support/unreliable-store.js';

/** So long a copy may be used by who hears of nothing. */
const LEASE_MS = 5_000;
const KEYS = ['a', 'b'];
/** With a copy in each process, which lives for longer than any history. */
const Users = entity<number>('user', {
  maxStaleness: { normal: '5s', incident: '1h' },
  read: readThrough({ ttl: '1h', jitter: 0, loadTimeout: '3s' }),
  write: invalidate(),
});

interface Change {
  readonly key: string;
  readonly value: number;
  /** When all had to be able to know of it. */
  readonly at: number;
}

interface Reading {
  readonly key: string;
  /** The least that this call may be answered with. */
  readonly least: number;
}

/** What is asked is lost, or its answer is, or comes after others; messages as the history wants. */
function unreliable(way: LogWay, steps: Steps, random: () => number): LogWay {
  const sent = async <T>(ask: () => Promise<T>): Promise<T> => {
    await steps.step();
    const dice = random();
    if (dice < 0.1) throw new Error('lost');
    const answer = await ask();
    await steps.step();
    if (dice < 0.2) throw new Error('the answer is lost');
    return answer;
  };
  const [append, poll] = [way.append.bind(way), way.poll.bind(way)];
  const generations = way.generations.bind(way);
  way.append = (changes, writer, keepMs) => sent(() => append(changes, writer, keepMs));
  way.generations = (tags, keepMs) => sent(() => generations(tags, keepMs));
  way.poll = (heard) => sent(() => poll(heard));
  way.isHeldUp = true;
  return way;
}

/** Messages that arrive in any order, or not, or twice. */
function deliver(way: LogWay, random: () => number): void {
  const some = way.underWay[Math.floor(random() * way.underWay.length)];
  if (some === undefined) return;
  const dice = random();
  if (dice < 0.2) way.underWay = way.underWay.filter((message) => message !== some);
  else way.deliver([some]);
  if (dice > 0.9) way.underWay.push(some);
}

/** Three processes read and change two rows, while their messages and the log suffer whatever happens to such. */
async function history(seed: number) {
  const random = repeatableRandom(seed);
  const clock = new ManualClock();
  const steps = new Steps(random);
  const store = new MemoryStore(clock);
  const log = new MemoryLog();
  const source: { [key: string]: number } = { a: 0, b: 0 };
  const changes: Change[] = [];
  const processes = Array.from({ length: 3 }, () => {
    const way = new UnreliableStore(new SlowStore(store, steps), random);
    const told = unreliable(log.way(), steps, random);
    way.log = told;
    const test = testEngine(clock, undefined, way);
    test.engine.entities.stateOf(Users);
    return {
      ...test,
      told,
      own: Object.fromEntries(KEYS.map((key) => [key, 0])),
      readings: new Set<Reading>(),
    };
  });
  const tooOld: object[] = [];
  const count = { copies: 0, late: 0, acknowledged: 0, pending: 0 };

  /** Whether its log has not answered a process for long. */
  const isSilent = (n: number): boolean => {
    const [shared] = processes[n]!.engine['shared'].values();
    return shared!['told']!.generations['isSilent'];
  };
  const read = async (n: number, key: string) => {
    const { own, readings, read } = processes[n]!;
    const now = clock.monotonic();
    const known = changes
      .filter((change) => change.key === key && change.at < now - LEASE_MS)
      .map(({ value }) => value);
    const own0 = Math.min(own[key]!, ...[...readings].map((reading) => reading.least));
    const joinable = [...readings].filter((reading) => reading.key === key);
    const least = Math.max(
      own[key]!,
      Math.min(Math.max(0, ...known), ...joinable.map((reading) => reading.least)),
    );
    const wasSilent = isSilent(n);
    const reading = { key, least };
    readings.add(reading);
    let [loaded, turns] = [false, 0];
    const counting = setImmediate(() => turns++);
    const answer = await read(Users, key, async (load) => {
      loaded = true;
      load.tags(`of ${key}`);
      await steps.step();
      const value = source[key]!;
      await steps.step();
      return value;
    }).catch((error: unknown) => {
      // Too many steps of others came between.
      if (error instanceof CacheLoadTimeoutError) return undefined;
      throw error;
    });
    clearImmediate(counting);
    readings.delete(reading);
    if (answer === undefined) return;
    if (!loaded && turns === 0) count.copies++;
    if ((answer as number) < source[key]!) count.late++;
    // Who has not heard for long knows of no tags.
    const isExcused = (wasSilent || isSilent(n)) && (answer as number) >= own0;
    if ((answer as number) < least && !isExcused)
      tooOld.push({ process: n, key, answer, least, now });
  };
  /** Of one key, of the tag that it alone carries, or of all: some rows are changed, and this is how all hear of it. */
  const change = async (n: number, key: string) => {
    const { own, invalidate: drop, invalidateFamily: dropAll, engine } = processes[n]!;
    const dice = random();
    const keys = dice < 0.2 ? KEYS : [key];
    const values = keys.map((one) => [one, ++source[one]!] as const);
    await steps.step();
    const outcome = await (dice < 0.2
      ? dropAll(Users)
      : dice < 0.5
        ? engine.invalidator.invalidateTag(`of ${key}`)
        : drop(Users, key));
    count[outcome]++;
    for (const [one, value] of values) {
      own[one] = Math.max(own[one]!, value);
      if (outcome === 'acknowledged') changes.push({ key: one, value, at: clock.monotonic() });
    }
  };

  const underWay = new Set<Promise<void>>();
  const start = (work: Promise<void>) => {
    const tracked: Promise<void> = work.finally(() => underWay.delete(tracked));
    underWay.add(tracked);
  };
  for (let i = 0; i < 300; i++) {
    const [n, key] = [Math.floor(random() * 3), KEYS[random() < 0.8 ? 0 : 1]!];
    const dice = random();
    if (dice < 0.2) start(read(n, key));
    else if (dice < 0.24) start(change(n, key));
    else if (dice < 0.32) clock.advance(Math.floor(random() * 60));
    else if (dice < 0.34) clock.advance(Math.floor(random() * 4_000));
    else if (dice < 0.4) deliver(processes[n]!.told, random);
    else if (dice < 0.405) processes[n]!.told.listenAgain();
    else if (dice < 0.41) log.trim();
    else if (dice < 0.412) log.forgetTags();
    else if (dice < 0.415) log.failOver(Math.floor(random() * 3));
    else await steps.next();
  }
  while (underWay.size > 0) {
    if (!(await steps.next())) clock.advance(50);
  }
  // Long enough for whoever has to be told once more, and for all leases.
  for (let i = 0; i < 200; i++) {
    if (!(await steps.next())) clock.advance(100);
  }
  const end = clock.monotonic() + 4 * LEASE_MS;
  while (clock.monotonic() < end) {
    if (!(await steps.next())) clock.advance(100);
  }
  const stale: object[] = [];
  const last = processes.flatMap(({ read }, n) =>
    KEYS.map(async (key) => {
      const answer = await read(Users, key, async (load) => {
        load.tags(`of ${key}`);
        return source[key]!;
      });
      if (answer !== source[key] && !isSilent(n))
        stale.push({ process: n, key, answer, truth: source[key] });
    }),
  );
  let open = true;
  void Promise.all(last).finally(() => (open = false));
  while (open) {
    if (!(await steps.next())) clock.advance(50);
  }
  const closing = Promise.all(processes.map(({ engine }) => engine.close())).then(
    () => (open = false),
  );
  open = true;
  while (open) {
    if (!(await steps.next())) clock.advance(50);
  }
  await closing;
  return { tooOld, stale, count };
}

describe('copies of what three processes share', () => {
  it('are never older than their lease, and none is old in the end, whatever becomes of messages, answers and the log', async () => {
    const total = { copies: 0, late: 0, acknowledged: 0, pending: 0 };
    await holds(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const { tooOld, stale, count } = await history(seed);
        expect({ tooOld, stale }).toEqual({ tooOld: [], stale: [] });
        for (const name of Object.keys(count) as (keyof typeof count)[]) total[name] += count[name];
      }),
      200,
    );
    // It is worth something only if copies were used, also ones that were old already, and changes went both ways.
    expect(Math.min(...Object.values(total))).toBeGreaterThan(100);
  }, 120_000);
});
