import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import type { DistributedLock, Lock } from '../../lib/coordination/distributed-lock.js';
import { deferred } from '../support/engine.js';
import { holds } from '../support/property.js';

/** Locks nobody has asked for yet, and the time they live in. */
export interface LocksUnderTest {
  readonly lock: DistributedLock;
  /** A second process on the same locks; the same object where locks know only one process. */
  readonly other: DistributedLock;
  /** Moves time and runs what is due; resolves when nothing more happens by itself. */
  advance(ms: number): Promise<void>;
  /** Time goes by while nothing runs in the process of `lock`. */
  stall(ms: number): void;
  /** How many timers, names and waiters are kept. */
  kept(): number | Promise<number>;
}

export interface LockHarness {
  create(): LocksUnderTest | Promise<LocksUnderTest>;
  /** How many random histories to try; 500 unless told. */
  readonly runs?: number;
}

const TTL_MS = 1_000;
const ttl = TTL_MS;

/** A call of `acquire`, and what has become of it. */
class Attempt {
  state: 'waiting' | 'held' | 'gave up' | 'rejected' = 'waiting';
  lock: Lock;
  reason: unknown;
  readonly done: Promise<unknown>;

  constructor(acquired: Promise<Lock | undefined>) {
    this.done = acquired.then(
      (lock) => {
        this.state = lock === undefined ? 'gave up' : 'held';
        if (lock !== undefined) this.lock = lock;
      },
      (reason: unknown) => {
        this.state = 'rejected';
        this.reason = reason;
      },
    );
  }
}

const states = (attempts: Attempt[]) => attempts.map(({ state }) => state);

/** What every implementation of `DistributedLock` promises. */
export function describeDistributedLock(implementation: string, harness: LockHarness): void {
  describe(implementation, () => {
    let at: LocksUnderTest;
    beforeEach(async () => void (at = await harness.create()));
    /** Held from here on. */
    const take = async (from: DistributedLock, name = 'report') =>
      (await from.acquire(name, { ttl }))!;
    const isFree = async (name = 'report') => {
      const lock = await at.other.acquire(name, { ttl, patience: 0 });
      await lock?.release();
      return lock !== undefined;
    };

    describe('a lock', () => {
      it('lets one at a time in, whatever the number of contenders and their processes', async () => {
        let stock = 40;
        const sell = async () => {
          const seen = stock;
          await new Promise(setImmediate);
          stock = seen - 1;
        };
        const all = Array.from({ length: 40 }, (_, i) =>
          (i % 2 === 0 ? at.lock : at.other).run('stock', sell),
        );
        await Promise.all(all);
        expect(stock).toBe(0);
      });

      it('is one per name: who holds another one is in nobody’s way', async () => {
        await take(at.lock, 'a');
        expect([await isFree('a'), await isFree('b')]).toEqual([false, true]);
      });

      it('is not re-entrant: its holder waits for it like anybody else', async () => {
        const first = await take(at.lock);
        const again = new Attempt(at.lock.acquire('report'));
        await at.advance(0);
        expect(again.state).toBe('waiting');
        await first.release();
        await again.done;
        expect(again.state).toBe('held');
      });

      it('goes to those who wait in the order of their calls, to one per release', async () => {
        const holder = await take(at.lock);
        const line = Array.from({ length: 5 }, () => new Attempt(at.lock.acquire('report')));
        await at.advance(0);
        expect(states(line)).toEqual(Array(5).fill('waiting'));
        let last = holder;
        for (const [place, next] of line.entries()) {
          await last.release();
          await next.done;
          await at.advance(0);
          expect(states(line.slice(place))).toEqual(['held', ...Array(4 - place).fill('waiting')]);
          last = next.lock;
        }
      });

      it('passes between processes when it is released, without time going by', async () => {
        const holder = await take(at.lock);
        const next = new Attempt(at.other.acquire('report'));
        await at.advance(0);
        await holder.release();
        await next.done;
        expect(next.state).toBe('held');
      });

      it('has a greater fence than all before it, however they ended', async () => {
        const fences: bigint[] = [];
        for (const from of [at.lock, at.other, at.lock]) {
          const released = await take(from);
          await released.release();
          const lost = await take(at.lock);
          at.stall(TTL_MS);
          const next = await take(at.other);
          await at.advance(0);
          await next.release();
          fences.push(released.fence, lost.fence, next.fence);
        }
        expect(fences).toEqual([...new Set(fences)].sort((a, b) => (a < b ? -1 : 1)));
      });
    });

    describe('a holder', () => {
      it('keeps the lock for as long as it runs, many times its ttl', async () => {
        const lock = await take(at.lock);
        await at.advance(20 * TTL_MS);
        expect([await isFree(), lock.signal.aborted]).toEqual([false, false]);
      });

      it('keeps it through a stall shorter than its ttl', async () => {
        const lock = await take(at.lock);
        at.stall(TTL_MS / 2);
        await at.advance(TTL_MS);
        expect([await isFree(), lock.signal.aborted]).toEqual([false, false]);
      });

      it('that stalls for its ttl loses it to whoever comes, and is told', async () => {
        const former = await take(at.lock);
        at.stall(TTL_MS);
        const next = await take(at.other);
        await at.advance(0);
        expect([former.signal.aborted, next.signal.aborted]).toEqual([true, false]);
        expect(former.signal.reason).toMatchObject({
          name: 'CacheLockLostError',
          code: 'CACHE_LOCK_LOST',
          lock: 'report',
          ttlMs: TTL_MS,
        });
      });

      it('that stalls loses it to whoever waits longest, not to whoever comes first afterwards', async () => {
        await take(at.lock);
        const [first, second] = [0, 1].map(() => new Attempt(at.lock.acquire('report', { ttl })));
        await at.advance(0);
        at.stall(TTL_MS);
        const late = new Attempt(at.lock.acquire('report', { ttl }));
        await at.advance(0);
        expect(states([first!, second!, late])).toEqual(['held', 'waiting', 'waiting']);
      });

      it('that stalls is told when it runs again, also if nobody else wants the lock', async () => {
        const lock = await take(at.lock);
        at.stall(TTL_MS);
        await at.advance(0);
        expect(lock.signal.aborted).toBe(true);
        expect([await isFree(), await at.kept()]).toEqual([true, 0]);
      });

      it('that had to wait for it loses it by a stall like the first one', async () => {
        const first = await take(at.lock);
        const second = new Attempt(at.lock.acquire('report', { ttl }));
        await at.advance(0);
        await first.release();
        await second.done;
        at.stall(TTL_MS);
        expect(await isFree()).toBe(true);
        await at.advance(0);
        expect([first.signal.aborted, second.lock.signal.aborted]).toEqual([false, true]);
      });

      it('that lost it does nothing to its successor by releasing it', async () => {
        const former = await take(at.lock);
        at.stall(TTL_MS);
        const next = await take(at.other);
        await at.advance(0);
        await former.release();
        await at.advance(0);
        expect([await isFree(), next.signal.aborted]).toEqual([false, false]);
      });

      it('may release it twice, which does nothing to its successor', async () => {
        const former = await take(at.lock);
        await former.release();
        await take(at.other);
        await former.release();
        expect(await isFree()).toBe(false);
      });

      it('that released it is not told of a loss later', async () => {
        const lock = await take(at.lock);
        await lock.release();
        at.stall(TTL_MS);
        await at.advance(10 * TTL_MS);
        await take(at.other);
        expect(lock.signal.aborted).toBe(false);
      });
    });

    describe('whoever waits for a lock', () => {
      it('gets nothing when the patience is over, and not before', async () => {
        await take(at.lock);
        const attempt = new Attempt(at.other.acquire('report', { patience: '5s' }));
        await at.advance(4_999);
        expect(attempt.state).toBe('waiting');
        await at.advance(1);
        expect(attempt.state).toBe('gave up');
      });

      it('gets it or nothing at once with a patience of 0', async () => {
        expect((await at.lock.acquire('report', { patience: 0 }))?.name).toBe('report');
        expect(await at.other.acquire('report', { patience: 0 })).toBeUndefined();
      });

      it('waits without a bound if none was given', async () => {
        const holder = await take(at.lock);
        const attempt = new Attempt(at.other.acquire('report'));
        await at.advance(100_000);
        await holder.release();
        await attempt.done;
        expect(attempt.state).toBe('held');
      });

      it('is rejected with the reason of the signal, as it is, if that aborts first', async () => {
        await take(at.lock);
        const [why, stop] = [new Error('the request was closed'), new AbortController()];
        const { signal } = stop;
        const waiting = new Attempt(at.lock.acquire('report', { signal }));
        await at.advance(0);
        stop.abort(why);
        await waiting.done;
        const late = new Attempt(at.lock.acquire('another', { signal }));
        await late.done;
        expect([waiting.reason, late.reason, await isFree('another')]).toEqual([why, why, true]);
      });

      it('keeps what it got when the signal aborts afterwards', async () => {
        const stop = new AbortController();
        const lock = (await at.lock.acquire('report', { ttl, signal: stop.signal }))!;
        stop.abort();
        await at.advance(0);
        expect([lock.signal.aborted, await isFree()]).toEqual([false, false]);
      });

      it('swallows no release after giving up: the next one gets the lock', async () => {
        const holder = await take(at.lock);
        const stop = new AbortController();
        const impatient = new Attempt(at.lock.acquire('report', { patience: 10 }));
        const aborted = new Attempt(at.lock.acquire('report', { signal: stop.signal }));
        const next = new Attempt(at.lock.acquire('report'));
        await at.advance(10);
        stop.abort();
        await at.advance(0);
        await holder.release();
        await next.done;
        expect(states([impatient, aborted, next])).toEqual(['gave up', 'rejected', 'held']);
      });

      it('leaves nothing behind: no timer, no name, no listener, whichever way it ended', async () => {
        const stop = new AbortController();
        const { signal } = stop;
        const ask = () => new Attempt(at.lock.acquire('report', { signal, patience: '5s' }));
        const [first, second, third] = [ask(), ask(), ask()];
        await first.done;
        await first.lock.release();
        await second.done;
        expect(getEventListeners(signal, 'abort')).toHaveLength(1);
        await at.advance(5_000);
        const fourth = ask();
        await at.advance(0);
        stop.abort();
        await at.advance(0);
        await second.lock.release();
        await at.advance(0);
        expect(states([first, second, third, fourth])).toEqual([
          'held',
          'held',
          'gave up',
          'rejected',
        ]);
        expect([await at.kept(), getEventListeners(signal, 'abort')]).toEqual([0, []]);
      });
    });

    describe('work under a lock', () => {
      it('has the lock, is alone, and its result is the answer', async () => {
        const got = await at.lock.run('report', async (lock) => [lock.name, await isFree()], {
          ttl,
        });
        expect([got, await isFree()]).toEqual([['report', false], true]);
      });

      it.each(['thrown', 'rejected with'])(
        'that failed: what was %s is the outcome',
        async (how) => {
          const why = { not: 'even an Error' };
          const failing = () => {
            // eslint-disable-next-line @typescript-eslint/only-throw-error
            if (how === 'thrown') throw why;
            return Promise.reject(why);
          };
          const outcome = await at.lock.run('report', failing).catch((error: unknown) => error);
          expect(outcome).toBe(why);
          expect(await isFree()).toBe(true);
        },
      );

      it.each(['its result', 'its error'])(
        'whose lock was lost meanwhile is told by the signal, and %s is the outcome',
        async (which) => {
          const why = new Error('its own');
          const told: unknown[] = [];
          const run = at.lock.run(
            'report',
            async ({ signal }) => {
              at.stall(TTL_MS);
              await at.advance(0);
              told.push(signal.reason);
              if (which === 'its error') throw why;
              return 'its result';
            },
            { ttl },
          );
          const outcome = await run.catch((error: unknown) => error);
          expect(outcome).toBe(which === 'its error' ? why : 'its result');
          expect(told).toMatchObject([{ code: 'CACHE_LOCK_LOST' }]);
        },
      );

      it('is not begun without the lock', async () => {
        const holder = await take(at.lock);
        let begun = 0;
        const run = (patience: number) => at.other.run('report', () => ++begun, { patience });
        const [atOnce, later] = [run(0), run(1_500)].map((p) => p.catch((error: unknown) => error));
        await at.advance(1_500);
        expect(await atOnce).toMatchObject({
          name: 'CacheLockBusyError',
          lock: 'report',
          patienceMs: 0,
        });
        expect(await later).toMatchObject({ code: 'CACHE_LOCK_BUSY', patienceMs: 1_500 });
        await holder.release();
        await at.advance(0);
        expect([begun, await at.kept()]).toEqual([0, 0]);
      });

      it('is not begun if the signal aborts first', async () => {
        const stop = new AbortController();
        await take(at.lock);
        const run = at.lock.run('report', () => 'begun', { signal: stop.signal });
        stop.abort('closed');
        expect(await run.catch((error: unknown) => error)).toBe('closed');
      });

      it('lets nobody else in before it is done', async () => {
        const work = deferred<string>();
        const run = at.lock.run('report', () => work.promise, { ttl });
        await at.advance(5 * TTL_MS);
        expect(await isFree()).toBe(false);
        work.resolve('done');
        expect([await run, await isFree()]).toEqual(['done', true]);
      });
    });

    it.each([
      [
        '',
        {},
        "A lock needs a name of at least one character, without lone surrogates, got '' (string)",
      ],
      [
        7,
        {},
        'A lock needs a name of at least one character, without lone surrogates, got 7 (number)',
      ],
      ['\ud800', {}, 'A lock needs a name of at least one character, without lone surrogates'],
      ['a', { ttl: 99 }, "The lock 'a' needs a ttl from 100ms to 1h, got 99 (number)"],
      ['a', { ttl: '61m' }, "The lock 'a' needs a ttl from 100ms to 1h, got '61m' (string)"],
      ['a', { ttl: 'soon' }, "The lock 'a' needs a ttl from 100ms to 1h, got 'soon' (string)"],
      ['a', { patience: -1 }, "The lock 'a' needs a patience from 0ms to 1d, got -1 (number)"],
      ['a', { patience: Infinity }, "The lock 'a' needs a patience from 0ms to 1d, got Infinity"],
      [
        'a',
        { patience: '25h' },
        "The lock 'a' needs a patience from 0ms to 1d, got '25h' (string)",
      ],
      ['a', { signal: {} }, "The lock 'a' needs an AbortSignal as signal, got an object"],
    ])('refuses a call that cannot be meant: %p %p', async (name, options, message) => {
      const refused = { code: 'CACHE_ARGUMENT_INVALID', message: expect.stringContaining(message) };
      const args = [name, options] as [string, object];
      await expect(at.lock.acquire(...args)).rejects.toMatchObject(refused);
      await expect(at.lock.run(args[0], () => 1, args[1])).rejects.toMatchObject(refused);
      expect(await at.kept()).toBe(0);
    });

    it('accepts the shortest and the longest times', async () => {
      for (const options of [
        { ttl: '100ms', patience: 0 },
        { ttl: '1h', patience: '24h' },
      ] as const) {
        const lock = await at.lock.acquire('report', options);
        await lock!.release();
      }
    });

    it('refuses to run what is no function', async () => {
      await expect(at.lock.run('report', 'work' as never)).rejects.toMatchObject({
        code: 'CACHE_ARGUMENT_INVALID',
        message:
          "run('report') expected a function, got 'work' (string). Fix: write run('report', async (lock) => …).",
      });
    });

    it('keeps its promises in every history of callers, releases, give-ups and stalls', async () => {
      await holds(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          const history = new History(await harness.create());
          for (const next of steps) await history.take(next);
          await history.end();
        }),
        harness.runs ?? 500,
      );
    });
  });
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('acquire' as const),
      from: fc.constantFrom('lock' as const, 'other' as const),
      name: fc.constantFrom('a', 'a', 'b'),
      ttl: fc.constantFrom(TTL_MS, TTL_MS / 4),
      patience: fc.constantFrom(undefined, undefined, 0, 200, 3_000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat({ max: 5 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat({ max: 5 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('advance' as const, 'stall' as const),
      ms: fc.constantFrom(1, 100, TTL_MS / 4, TTL_MS, 5_000),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Asked extends Attempt {
  readonly name: string;
  readonly from: 'lock' | 'other';
  readonly stop: AbortController;
  /** How many calls came before. */
  readonly turn: number;
  readonly at: number;
  readonly patience: number | undefined;
  /** Whether the lock was lost when it was released; nothing before that. */
  lostBefore?: boolean;
}

/** What was asked of the locks so far; knows what must be true of it. */
class History {
  private now = 0;
  private readonly asked: Asked[] = [];
  private readonly granted: Asked[] = [];

  constructor(private readonly locks: LocksUnderTest) {}

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'acquire':
        this.acquire(step);
        break;
      case 'release':
        await this.release(this.granted.at(-1 - step.which));
        break;
      case 'abort':
        this.waiting.at(step.which)?.stop.abort('aborted');
        break;
      case 'stall':
        this.now += step.ms;
        // What comes next finds a process whose timers are overdue.
        return this.locks.stall(step.ms);
      case 'advance':
        await this.advance(step.ms);
    }
    await this.advance(0);
    this.check();
  }

  /** Everybody releases what they get, until nobody waits. */
  async end(): Promise<void> {
    await this.advance(0);
    for (let held = this.held; held.length > 0; held = this.held) {
      for (const one of held) await this.release(one);
      await this.advance(0);
      this.check();
    }
    expect(this.waiting).toEqual([]);
    const listeners = this.asked.flatMap(({ stop }) => getEventListeners(stop.signal, 'abort'));
    expect([await this.locks.kept(), listeners]).toEqual([0, []]);
    await this.advance(100 * TTL_MS);
    this.check();
  }

  private acquire({ from, name, ttl, patience }: Extract<Step, { do: 'acquire' }>): void {
    const stop = new AbortController();
    const { signal } = stop;
    const attempt = new Attempt(
      this.locks[from].acquire(name, { ttl, signal, ...(patience !== undefined && { patience }) }),
    );
    const asked = Object.assign(attempt, {
      from,
      name,
      patience,
      stop,
      turn: this.asked.length,
      at: this.now,
    });
    this.asked.push(asked);
    void asked.done.then(() => {
      if (asked.state === 'held') this.granted.push(asked);
    });
  }

  private async release(asked: Asked | undefined): Promise<void> {
    if (asked === undefined) return;
    asked.lostBefore ??= asked.lock.signal.aborted;
    await asked.lock.release();
  }

  private async advance(ms: number): Promise<void> {
    this.now += ms;
    await this.locks.advance(ms);
  }

  private get waiting(): Asked[] {
    return this.asked.filter(({ state }) => state === 'waiting');
  }

  private get held(): Asked[] {
    return this.granted.filter(
      ({ lock, lostBefore }) => lostBefore === undefined && !lock.signal.aborted,
    );
  }

  private check(): void {
    for (const name of ['a', 'b']) {
      const of = (list: Asked[]) => list.filter((one) => one.name === name);
      const [granted, held, waiting] = [of(this.granted), of(this.held), of(this.waiting)];
      expect(held.length).toBeLessThanOrEqual(1);
      // Nobody sleeps beside a free lock.
      if (waiting.length > 0) expect(held).toHaveLength(1);
      for (const [i, { lock }] of granted.entries()) {
        if (i > 0) expect(lock.fence).toBeGreaterThan(granted[i - 1]!.lock.fence);
      }
      // In the order of the calls, within each process.
      for (const { from, turn } of waiting) {
        const overtook = granted.filter((one) => one.from === from && one.turn > turn);
        expect(overtook).toEqual([]);
      }
    }
    for (const { at, patience, state, stop, reason } of this.asked) {
      const waited = this.now - at;
      if (state === 'waiting') {
        expect(stop.signal.aborted).toBe(false);
        if (patience !== undefined) expect(waited).toBeLessThan(patience);
      }
      if (state === 'gave up') expect(waited).toBeGreaterThanOrEqual(patience ?? Infinity);
      if (state === 'rejected') expect(reason).toBe('aborted');
    }
    for (const { lock, lostBefore } of this.granted) {
      if (lostBefore !== undefined) expect(lock.signal.aborted).toBe(lostBefore);
    }
  }
}
