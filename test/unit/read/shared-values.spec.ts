import {
  currentLoad,
  entity,
  invalidate,
  readThrough,
  type AnyEntity,
  type Defined,
} from 'nestjs-cache-contract';
import fc from 'fast-check';
import { fleet, settled, source, told } from '../../support/fleet.js';
import { holds } from '../../support/property.js';
import { data, described, isFrozenThrough } from '../../support/values.js';

const contract = {
  maxStaleness: { normal: '5s', incident: '1m' },
  read: readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' }),
  write: invalidate(),
} as const;
const Things = entity<Defined>('thing', contract);

class Money {
  constructor(
    readonly cents: number,
    readonly due: Date,
  ) {}
  get euros(): number {
    return this.cents / 100;
  }
}
const Amounts = entity<Money>('amount', {
  ...contract,
  revive: ({ cents, due }: Money) => new Money(cents, due),
});

const MISSING = new Error('no such row');
const Rows = entity<string | null>('row', {
  ...contract,
  absentWhen: (error) => error === MISSING,
});

describe('a value from the store', () => {
  it('is what the loader returned, in every process and to the last detail', async () => {
    await holds(
      fc.asyncProperty(
        data.filter((value) => value !== undefined),
        async (value) => {
          const { processes } = fleet(2);
          const given = described(value);
          for (const { read } of processes) {
            const got = await read(Things, 'a', async () => value);
            expect(described(got)).toBe(given);
          }
        },
      ),
      500,
    );
  });

  it('cannot be changed for others: plain data is frozen, the rest is a copy of one’s own', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    await first!.read(Things, 'plain', async () => ({ list: [{ name: 'tea' }] }));
    const plain = await second!.read(Things, 'plain', source());
    expect(isFrozenThrough(plain)).toBe(true);
    await first!.read(Things, 'dates', async () => ({ at: new Date(0) }));
    for (const { read } of [second!, second!, first!]) {
      const dates = (await read(Things, 'dates', source())) as { at: Date };
      expect(dates.at.getTime()).toBe(0);
      dates.at.setTime(1);
    }
  });

  it('is an instance again where the entity says how, one for each caller', async () => {
    const { processes } = fleet(2);
    const [first, second] = processes;
    await first!.read(Amounts, 'a', async () => new Money(250, new Date(0)));
    const [one, other] = await Promise.all([
      second!.read(Amounts, 'a', source()),
      second!.read(Amounts, 'a', source()),
    ]);
    for (const money of [one, other] as Money[]) {
      expect(money).toBeInstanceOf(Money);
      expect([money.euros, money.due.getTime()]).toEqual([2.5, 0]);
    }
    expect(one).not.toBe(other);
  });
});

describe('an instance that cannot be made again', () => {
  it('is loaded again and replaced for all: a new release may read what an old one wrote', async () => {
    const old = entity<Money>('renamed', { ...contract, revive: () => new Money(0, new Date(0)) });
    const [next, again] = [1, 2].map(() =>
      entity<Money>('renamed', {
        ...contract,
        revive: (plain: { cents?: number; due: Date }) => {
          if (plain.cents === 1) throw new TypeError('an old one');
          return new Money(plain.cents ?? 0, plain.due);
        },
      }),
    );
    const { processes } = fleet(3);
    const [before, first, second] = processes;
    await before!.read(old, 'a', async () => new Money(1, new Date(0)));
    let loads = 0;
    const load = async () => (loads++, new Money(2, new Date(0)));
    for (let i = 0; i < 2; i++) {
      expect(await first!.read(next!, 'a', load)).toMatchObject({ cents: 2 });
      await settled();
    }
    expect(loads).toBe(2);
    expect(await second!.read(again!, 'a', load)).toMatchObject({ cents: 2 });
    expect(loads).toBe(2);
  });
});

describe('a value that is not stored', () => {
  const notStored = async (
    entity: AnyEntity,
    load: () => Promise<unknown>,
    code: string | undefined,
  ) => {
    const { clock, processes } = fleet(2);
    const [first, second] = processes;
    let loads = 0;
    const counted = () => (loads++, load());
    const faults = await told('fault', async () => {
      await first!.read(entity, 'a', counted);
      await settled();
    });
    expect(faults.map(({ code }) => code)).toEqual(code === undefined ? [] : [code]);
    expect(await second!.peek(entity, 'a')).toBeUndefined();
    await second!.read(entity, 'a', counted);
    expect(loads).toBe(2);
    // Nobody was kept waiting by the lease of a load whose value nobody stored.
    expect(clock.monotonic()).toBe(1_000);
    return faults;
  };

  it('is an instance of a class, where nothing says how to make it again', async () => {
    await notStored(Things, async () => new Money(1, new Date(0)), 'CACHE_VALUE_UNSTORABLE');
  });

  it('is one that holds a function', async () => {
    await notStored(Things, async () => ({ run: () => 1 }), 'CACHE_VALUE_UNSTORABLE');
  });

  it('is undefined, which is no answer', async () => {
    await notStored(Things, async () => undefined, undefined);
  });

  it('is one that its loader wants to be skipped', async () => {
    await notStored(Things, async () => (currentLoad().skip(), 'value'), undefined);
  });

  it('is one with tags, because nobody could invalidate it by them', async () => {
    const [fault] = await notStored(
      Things,
      async () => (currentLoad().tags('shelf:1'), 'value'),
      'CACHE_VALUE_UNSTORABLE',
    );
    expect(fault!.message).toBe(
      "A value of 'thing' was returned but not stored: it carries tags, and its entries in the store 'default' can only be invalidated one by one. Fix: leave out currentLoad().tags(), or keep it in a redisStore() without `prefer: 'error'`, and with `maxStaleness.normal` at 2s or more, or at its `ttl`; or write `store: 'process'` in its contract, with `maxStaleness` at its `ttl` or more.",
    );
  });

  it('is an error that means absence: others would get another one', async () => {
    const { processes } = fleet(2);
    let loads = 0;
    const load = async () => {
      loads++;
      throw MISSING;
    };
    for (const { read } of processes) await expect(read(Rows, 'a', load)).rejects.toBe(MISSING);
    expect(loads).toBe(2);
    expect(await processes[0]!.peek(Rows, 'a')).toBeUndefined();
  });

  it.each(['undefined', 'an error that means absence'])(
    'removes what was there until now, because that is not true any more (%s)',
    async (what) => {
      const { clock, processes } = fleet(2);
      const [first, second] = processes;
      const OnError = entity<string>('on-error', {
        ...contract,
        maxStaleness: { normal: '5s', incident: '1h' },
        read: readThrough({ ttl: '1m', staleIfError: '10m', jitter: 0, loadTimeout: '3s' }),
        absentWhen: (error) => error === MISSING,
      });
      await first!.read(OnError, 'a', async () => 'old');
      clock.advance(60_000);
      await first!
        .read(OnError, 'a', () =>
          what === 'undefined' ? Promise.resolve(undefined) : Promise.reject(MISSING),
        )
        .catch(() => undefined);
      await settled();
      const down = new Error('connection refused');
      await expect(second!.read(OnError, 'a', () => Promise.reject(down))).rejects.toBe(down);
    },
  );

  it('is one of more than 4 MiB, and what was there until now goes', async () => {
    const { clock, processes } = fleet(2);
    const [first, second] = processes;
    await first!.read(Things, 'a', async () => 'old');
    clock.advance(60_000);
    const large = 'x'.repeat(4 * 1024 * 1024);
    const fills = await told('fill', async () => {
      expect(await first!.read(Things, 'a', async () => large)).toBe(large);
      await settled();
    });
    expect(fills.map(({ outcome }) => outcome)).toEqual(['too large']);
    expect(await second!.read(Things, 'a', async () => 'new')).toBe('new');
    expect(clock.monotonic()).toBe(61_000);
  });

  it('is one of more than 4 MiB, and the store is told again that what was there goes, until it has heard', async () => {
    const { clock, processes, pass } = fleet(2);
    const [first, second] = processes;
    await second!.read(Things, 'a', async () => 'old');
    clock.advance(60_000);
    first!.way.has('rejected', ['invalidate']);
    await first!.read(Things, 'a', async () => 'x'.repeat(4 * 1024 * 1024));
    await settled();
    // Until it has heard, this process does not ask it.
    first!.way.asked.length = 0;
    await first!.read(Things, 'a', source());
    expect(first!.way.asked).toEqual([]);
    first!.way.recovers();
    await pass(500);
    expect(first!.way.asked).toEqual(['invalidate']);
    expect(await first!.read(Things, 'a', async () => 'new')).toBe('new');
    expect(await second!.read(Things, 'a', source())).toBe('new');
  });

  it('is stored for a shorter time, where its loader says so', async () => {
    const { clock, processes } = fleet(2);
    await processes[0]!.read(Things, 'a', async () => (currentLoad().ttl('2s'), 'short'));
    clock.advance(1_999);
    expect(await processes[1]!.read(Things, 'a', source())).toBe('short');
    clock.advance(1);
    expect(await processes[1]!.read(Things, 'a', async () => 'new')).toBe('new');
  });
});

describe('currentLoad().stale', () => {
  it('is what the store held until now, for a source that can say that nothing has changed', async () => {
    const { clock, processes } = fleet(2);
    const OnError = entity<string>('on-error', {
      ...contract,
      maxStaleness: { normal: '5s', incident: '1h' },
      read: readThrough({ ttl: '1m', staleIfError: '10m', jitter: 0, loadTimeout: '3s' }),
    });
    await processes[0]!.read(OnError, 'a', async () => 'old');
    clock.advance(60_000);
    const load = async () => `still ${String(currentLoad().stale)}`;
    expect(await processes[1]!.read(OnError, 'a', load)).toBe('still old');
  });
});

describe('what the store has in another shape', () => {
  const shaped = (schema: number) => entity<Defined>('shaped', { ...contract, schema });

  it('is loaded again once for all, and replaced', async () => {
    const { processes } = fleet(3);
    const [old, first, second] = processes;
    await old!.read(shaped(1), 'a', async () => 'old shape');
    const faults = await told('fault', async () => {
      const [next, again] = [shaped(2), shaped(2)];
      const load = source();
      expect(await first!.read(next, 'a', load)).toBe(1);
      expect(await second!.read(again, 'a', load)).toBe(1);
      expect(load.runs).toBe(1);
    });
    expect(faults).toEqual([]);
  });

  it('is nothing that could be served where loading fails', async () => {
    const stale = (schema: number) =>
      entity<string>('stale', {
        ...contract,
        maxStaleness: { normal: '5s', incident: '1h' },
        read: readThrough({ ttl: '10s', staleIfError: '10m', jitter: 0, loadTimeout: '3s' }),
        schema,
      });
    const { clock, processes } = fleet(3);
    const [old, first, second] = processes;
    const [before, next, again] = [stale(1), stale(2), stale(2)];
    await old!.read(before, 'a', async () => 'old shape');
    clock.advance(10_000);
    const down = new Error('connection refused');
    // From here on the old release, which has something to answer with, leaves the source alone.
    expect(await old!.read(before, 'a', () => Promise.reject(down))).toBe('old shape');
    await expect(first!.read(next, 'a', () => Promise.reject(down))).rejects.toBe(down);
    expect(await second!.read(again, 'a', async () => 'new shape')).toBe('new shape');
    expect(await first!.peek(next, 'a')).toBe('new shape');
  });
});

describe('bytes in the store that nobody here wrote', () => {
  it('are a miss that is told once, and are replaced', async () => {
    const { store, processes } = fleet(2);
    const [first, second] = processes;
    const lease = await store.claim({ entity: 'thing', id: 'a' }, 1_000);
    const now = store.now(lease.entry);
    const stored = {
      payload: Uint8Array.of(99, 1, 2, 3),
      loadedAt: now,
      softExpiry: now + 60_000,
      loadMs: 1,
      schema: 0,
      version: undefined,
    };
    await store.fill(lease, stored, 60_000);
    const faults = await told('fault', async () => {
      expect(await first!.read(Things, 'a', async () => 'loaded')).toBe('loaded');
      expect(await second!.read(Things, 'a', source())).toBe('loaded');
    });
    expect(faults.map(({ code }) => code)).toEqual(['CACHE_STORED_UNREADABLE']);
    expect(first!.warnings).toEqual([
      "[CACHE_STORED_UNREADABLE] An entry of 'thing' in its store could not be read, and was loaded again. Fix: see whether anything else writes to its namespace. Further ones are only told as 'fault' events.",
    ]);
  });
});
