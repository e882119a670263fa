import fc from 'fast-check';
import {
  entity,
  external,
  invalidate,
  readThrough,
  staleWhileRevalidate,
  type LoadContext,
  type ReadStrategy,
} from 'nestjs-cache-contract';
import { bootFaults } from '../../lib/contract/boot-rules.js';
import type { AnyEntity, Bounds } from '../../lib/contract/entity.js';
import { resolvePolicy, type Policy, type ReadThroughPolicy } from '../../lib/contract/policy.js';
import { worstStaleness } from '../../lib/contract/worst-case.js';
import { deferred, testEngine } from '../support/engine.js';
import { ManualClock } from '../support/manual-clock.js';
import { holds } from '../support/property.js';

/** Everything that is started comes to its end, apart from what waits for the clock. */
const settled = () => new Promise(setImmediate);

/** Runs one timer at a time, and lets what it starts come to its end before the next, as an event loop does. */
class SteppingClock extends ManualClock {
  private readonly waiting = new Set<{ at: number; task: () => void }>();

  override after(ms: number, task: () => void): () => void {
    const timer = { at: this.monotonic() + ms, task };
    this.waiting.add(timer);
    return () => this.waiting.delete(timer);
  }

  async pass(ms: number): Promise<void> {
    const end = this.monotonic() + ms;
    for (;;) {
      const next = [...this.waiting].sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.waiting.delete(next);
      this.stall(Math.max(0, next.at - this.monotonic()));
      next.task();
      await settled();
    }
    this.stall(end - this.monotonic());
    await settled();
  }
}

/** A draw that looks random and is the same in every run (mulberry32). */
class SeededClock extends ManualClock {
  constructor(private seed: number) {
    super();
  }

  override random(): number {
    this.seed = (this.seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.seed ^ (this.seed >>> 15), 1 | this.seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** What the application would start with; nothing if it would not. */
function accepted(candidate: AnyEntity): Policy | undefined {
  const policy = resolvePolicy(candidate, 'here');
  if (Array.isArray(policy)) return undefined;
  return bootFaults(policy as Policy, 'here', { worker: false }).length === 0
    ? (policy as Policy)
    : undefined;
}

const upTo = (most: number, least = 1) => fc.integer({ min: least, max: most });
/** A share in hundredths, which shrinks to something that can be read. */
const share = (most: number, least = 0) =>
  fc.integer({ min: least, max: most }).map((percent) => percent / 100);
const maybe = <T>(some: fc.Arbitrary<T>) => fc.option(some, { nil: undefined });

/** Times in milliseconds. Bounds lie around the sum of the times: half of them exactly on it, so that nothing is to spare. */
const contract = fc
  .record({
    ttl: upTo(5_000),
    jitter: share(90),
    negativeTtl: maybe(share(105, 1)),
    staleFor: maybe(upTo(5_000)),
    staleIfError: maybe(upTo(5_000)),
    loadTimeout: maybe(upTo(8_000)),
    earlyRefresh: maybe(share(1_000)),
    normal: fc.oneof(fc.constant(0), fc.integer({ min: -500, max: 2_000 })),
    incident: fc.oneof(fc.constant(0), fc.integer({ min: -500, max: 2_000 })),
    writes: fc.boolean(),
  })
  .map(({ normal, incident, writes, earlyRefresh, staleFor, negativeTtl: part, ...times }) => {
    const { ttl, staleIfError = 0, loadTimeout = 0 } = times;
    const negativeTtl = part === undefined ? undefined : Math.ceil(part * ttl);
    const options = { ...times, negativeTtl };
    const served = ttl + (staleFor ?? 0);
    const maxNormal = Math.max(0, Math.max(served, loadTimeout) + normal);
    const maxStaleness: Bounds<number> = {
      normal: maxNormal,
      incident: Math.max(maxNormal, served + staleIfError + incident),
    };
    const read: ReadStrategy =
      staleFor === undefined
        ? readThrough({ ...options, earlyRefresh })
        : staleWhileRevalidate({ ...options, staleFor });
    return entity<number | null>('thing', {
      maxStaleness,
      read,
      write: writes ? invalidate() : external(),
    });
  });

const key = fc.constantFrom('a', 'a', 'a', 'b');
const step = fc.oneof(
  // The worst moment for a change is the one after the row was read.
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('read' as const), key, changes: fc.boolean() }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('wait and read' as const),
      key,
      // Right around one of the times that count, or a part of it.
      of: fc.constantFrom('ttl', 'served', 'served after a failure', 'load timeout'),
      part: fc.oneof(fc.constant(1), fc.constant(1), share(100)),
      more: fc.constantFrom(-250, -1, -0.5, 0, 0.5),
    }),
  },
  // The process is asleep: its timers run late.
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stall' as const), ms: upTo(9_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('change elsewhere' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove elsewhere' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('change here' as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('change all here' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('source' as const),
      down: fc.constantFrom(true, false, false),
      // Until it reads its row, and from there to its answer, in parts of the load timeout.
      before: fc.oneof(fc.constant(0), share(70)),
      after: fc.oneof(fc.constant(0), share(110)),
    }),
  },
);

interface Row {
  readonly value: number | null;
  /** When it stopped being true. */
  until: number;
}

describe('a contract the application starts with', () => {
  it('holds: no answer is older at the call than maxStaleness, in whatever history', async () => {
    const count = { contracts: 0, accepted: 0, stale: 0, afterFailure: 0 };
    await holds(
      fc.asyncProperty(
        contract,
        fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }),
        fc.array(share(99), { minLength: 1 }),
        async (Things, steps, chances) => {
          count.contracts++;
          const policy = accepted(Things);
          if (policy === undefined) return;
          count.accepted++;
          const { ttlMs, negativeTtlMs, staleForMs, staleIfErrorMs, loadTimeoutMs } =
            policy.read as ReadThroughPolicy;
          const clock = new SteppingClock();
          const { engine, read, invalidate: drop, invalidateFamily } = testEngine(clock);
          const now = () => clock.monotonic();
          const times = {
            ttl: ttlMs,
            served: ttlMs + staleForMs,
            'served after a failure': ttlMs + staleForMs + staleIfErrorMs,
            'load timeout': loadTimeoutMs,
          };
          // What each row was, oldest first; the last is what it is.
          const source: { [key: string]: Row[] } = {
            a: [{ value: 0, until: Infinity }],
            b: [{ value: null, until: Infinity }],
          };
          // Which of them a call from now on may be answered with: those since a change here.
          const floor: { [key: string]: number } = { a: 0, b: 0 };
          // Since when loading has been failing.
          const failing = new Set<string>();
          let [version, down, before, after] = [0, false, 0, 0];
          const change = (k: string, value: number | null) => {
            source[k]!.at(-1)!.until = now();
            source[k]!.push({ value, until: Infinity });
          };
          const wait = async (ms: number) => {
            if (ms === 0) return;
            const { promise, resolve } = deferred<void>();
            clock.after(ms, () => resolve());
            await promise;
          };
          const load =
            (k: string) =>
            async ({ signal }: LoadContext) => {
              const fails = down;
              const [first, then] = [before, after];
              signal.addEventListener('abort', () => failing.add(k));
              await wait(first);
              const { value } = source[k]!.at(-1)!;
              await wait(then);
              if (fails) {
                failing.add(k);
                throw new Error('connection refused');
              }
              if (!signal.aborted) failing.delete(k);
              return value;
            };
          const tooOld: object[] = [];
          const ask = async (k: string) => {
            const [calledAt, least] = [now(), floor[k]!];
            // A load that is known to have failed before the answer, be it by this call.
            let failed = failing.has(k);
            const answer = await read(Things, k, load(k)).catch(() => 'failure');
            failed ||= failing.has(k);
            if (answer === 'failure') return;
            const bound = failed ? policy.maxStalenessMs.incident : policy.maxStalenessMs.normal;
            const most =
              answer === null ? Math.min(bound, Math.max(negativeTtlMs, loadTimeoutMs)) : bound;
            const rows = source[k]!;
            const ages = rows
              .slice(least)
              .filter(({ value }) => value === answer)
              .map(({ until }) => calledAt - until);
            // Negative: it became untrue only after the call. None: it was untrue before a change made here.
            const age = Math.min(...ages);
            if (age > 0) count.stale++;
            if (age > policy.maxStalenessMs.normal) count.afterFailure++;
            if (!(age <= most)) tooOld.push({ key: k, answer, calledAt, age, most });
          };
          const asked: Promise<void>[] = [];
          for (const [i, action] of steps.entries()) {
            clock.chance = chances[i % chances.length]!;
            switch (action.do) {
              case 'read':
                asked.push(ask(action.key));
                await settled();
                if (action.changes) change(action.key, ++version);
                break;
              case 'wait and read':
                await clock.pass(Math.max(0, times[action.of] * action.part + action.more));
                asked.push(ask(action.key));
                await settled();
                break;
              case 'stall':
                clock.stall(action.ms);
                break;
              case 'change elsewhere':
                change(action.key, ++version);
                break;
              case 'remove elsewhere':
                change(action.key, null);
                break;
              case 'change here':
                change(action.key, ++version);
                void drop(Things, action.key);
                floor[action.key] = source[action.key]!.length - 1;
                break;
              case 'change all here':
                for (const k of ['a', 'b']) {
                  change(k, ++version);
                  floor[k] = source[k]!.length - 1;
                }
                void invalidateFamily(Things);
                break;
              case 'source':
                down = action.down;
                before = action.before * loadTimeoutMs;
                after = action.after * loadTimeoutMs;
            }
          }
          await clock.pass(100_000);
          await Promise.all(asked);
          expect(tooOld).toEqual([]);
          expect(engine.background.size).toBe(0);
        },
      ),
      3_000,
    );
    // The property is worth something only if contracts were accepted, and the histories visited what they allow.
    expect(count.accepted / count.contracts).toBeGreaterThan(1 / 3);
    expect(Math.min(count.stale, count.afterFailure)).toBeGreaterThan(0);
  }, 60_000);
});

describe('the worst case of a contract', () => {
  const times = { jitter: 0, loadTimeout: 4_000 } as const;
  it.each([
    {
      type: 'a ttl',
      bound: 'normal',
      ms: 10_000,
      read: readThrough({ ...times, ttl: '10s' }),
    },
    {
      type: 'staleFor',
      bound: 'normal',
      ms: 30_000,
      read: staleWhileRevalidate({ ...times, ttl: '10s', staleFor: '20s' }),
    },
    {
      type: 'staleIfError',
      bound: 'incident',
      ms: 50_000,
      read: readThrough({ ...times, ttl: '10s', staleIfError: '40s' }),
    },
    {
      type: 'staleFor and staleIfError',
      bound: 'incident',
      ms: 70_000,
      read: staleWhileRevalidate({ ...times, ttl: '10s', staleFor: '20s', staleIfError: '40s' }),
    },
    {
      type: 'a loadTimeout longer than the ttl',
      bound: 'normal',
      ms: 4_000,
      read: readThrough({ ...times, ttl: '1s' }),
    },
  ] as const)(
    'comes true with $type: a promise 1 ms shorter would be broken, and is refused',
    async ({ bound, ms, read: strategy }) => {
      const promising = (most: number) =>
        entity<string>('thing', {
          maxStaleness: { normal: bound === 'normal' ? most : 30_000, incident: most },
          read: strategy,
          write: external(),
        });
      expect(accepted(promising(ms - 1))).toBeUndefined();
      const policy = accepted(promising(ms))!;
      const worst = worstStaleness(policy).filter((exposure) => exposure.bound === bound);
      expect(Math.max(...worst.map((exposure) => exposure.ms))).toBe(ms);

      const oldestAnswer = async (callAfterMs: number) => {
        const { clock, read } = testEngine();
        const Things = promising(ms);
        // The row is read at once, changes right after, and is not read again with success.
        const slow = deferred<string>();
        const joining = ms === (policy.read as ReadThroughPolicy).loadTimeoutMs;
        const first = read(Things, 'a', () => (joining ? slow.promise : 'old'));
        if (!joining) await first;
        clock.advance(callAfterMs);
        const call = read(Things, 'a', () =>
          bound === 'incident' ? Promise.reject(new Error('connection refused')) : 'new',
        );
        slow.resolve('old');
        await first.catch(() => undefined);
        return call.catch(() => 'failure');
      };
      // Older than the shorter promise would allow...
      expect(await oldestAnswer(ms - 0.5)).toBe('old');
      // ...and from the bound on never.
      expect(await oldestAnswer(ms)).not.toBe('old');
    },
  );
});

describe('jitter', () => {
  it('keeps 10,000 keys filled together from expiring within one second, so that the source is not asked for all of them', async () => {
    const clock = new SeededClock(1);
    const { read, peek } = testEngine(clock);
    const Things = entity<number>('thing', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '1m', jitter: 0.1, l1: { maxEntries: 10_000 } }),
      write: external(),
    });
    const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}`);
    await Promise.all(keys.map((k) => read(Things, k, async () => 1)));
    const held = async () => {
      const answers = await Promise.all(keys.map((k) => peek(Things, k)));
      return answers.filter((answer) => answer !== undefined).length;
    };
    clock.advance(54_000);
    let left = await held();
    expect(left).toBeGreaterThan(9_980); // all but those of the first millisecond
    // Evenly over the tenth of a minute that jitter may take off; four standard deviations of the binomial.
    const share = 10_000 / 6;
    const tolerance = 4 * Math.sqrt(share * (1 - 1 / 6));
    for (let second = 55; second <= 60; second++) {
      clock.advance(1_000);
      const still = await held();
      expect(Math.abs(left - still - share)).toBeLessThan(tolerance);
      left = still;
    }
    expect(left).toBe(0);
  });
});
