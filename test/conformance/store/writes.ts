import type { Comparable } from '../../../lib/entry/version.js';
import { bytes, USER, type Subject } from './subject.js';

const VERSIONS: [older: Comparable, newer: Comparable][] = [
  [1, 2],
  [9, 10],
  [-2, -1],
  [-10, -9],
  [-1, 0],
  [0.25, 0.5],
  [1_700_000_000_000, 1_700_000_000_001],
  [Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER],
  [-1e300, -1e299],
  [Number.MIN_VALUE, 1e300],
  [-Infinity, 0],
  [0, Infinity],
  [9n, 10n],
  [-1n, 0n],
  [-10n, -9n],
  [2n ** 53n, 2n ** 53n + 1n],
  [2n ** 64n - 1n, 2n ** 64n],
  [-(2n ** 64n), -(2n ** 64n) + 1n],
  [2n ** 80n - 2n, 2n ** 80n - 1n],
  [1, 2n],
  [1n, 1.5],
  [1.5, 2n],
  [2 ** 53, 2n ** 53n + 1n],
  [2n ** 80n - 1n, 2 ** 80],
];

/** What writers do to entries and to those who load them. */
export function describeWrites(subject: () => Subject): void {
  let at: Subject;
  beforeEach(() => void (at = subject()));

  describe('a write', () => {
    it('takes the lease from who loads: what was loaded before it is not stored', async () => {
      const loading = await at.granted();
      const writing = await at.claim(at.other);
      expect(await at.fill(loading)).toBe('voided');
      expect(await at.fill(writing, { payload: bytes('written') })).toBe('stored');
      expect(await at.fill(loading)).toBe('voided');
      expect((await at.store.read(USER))!.payload).toEqual(bytes('written'));
    });

    it('takes it from another write, which stores nothing any more', async () => {
      const first = await at.claim(at.store);
      const second = await at.claim(at.other);
      expect([await at.fill(first), await at.fill(second)]).toEqual(['voided', 'stored']);
    });

    it('leaves what is stored until it has settled, readable and fresh', async () => {
      const stored = await at.put();
      const writing = await at.claim();
      expect(await at.other.read(USER)).toEqual(stored);
      expect((await at.answer('fresh', at.other)).stored).toEqual(stored);
      await at.fill(writing, { payload: bytes('written') });
      expect((await at.other.read(USER))!.payload).toEqual(bytes('written'));
    });

    it('has nobody load meanwhile, for no longer than it was given', async () => {
      const writing = await at.claim(at.store, 3);
      const { forMs, leave } = await at.answer('held', at.other);
      leave();
      expect(forMs).toBeGreaterThan(2 * at.second);
      expect(forMs).toBeLessThan(4 * at.second);
      await at.advance(4);
      await at.granted(at.other);
      expect(await at.fill(writing)).toBe('voided');
    });

    it('has the time of its own claim, not what was left of the lease it took', async () => {
      await at.granted(at.store, { lease: 3 });
      const writing = await at.claim(at.other, 9);
      await at.advance(4);
      expect(await at.fill(writing)).toBe('stored');
    });

    it('that failed gives back what it took, and leaves what is stored', async () => {
      const stored = await at.put();
      await at.fail(await at.claim());
      expect(await at.store.read(USER)).toEqual(stored);
      await at.granted(at.other, { newerThan: stored.loadedAt });
    });

    it('ends a cool-down', async () => {
      await at.put({ freshFor: -1 });
      await at.fail(await at.granted(), 9);
      await at.claim();
      (await at.answer('held', at.other, { staleOnError: 99 })).leave();
    });
  });

  describe('an invalidation', () => {
    it('removes the entry for every process, and is no obstacle to the next load', async () => {
      await at.put();
      await at.invalidate(undefined, at.other);
      for (const from of [at.store, at.other]) expect(await from.read(USER)).toBeUndefined();
      expect(await at.fill(await at.granted())).toBe('stored');
    });

    it('of what is not there is no fault, and neither is a second one', async () => {
      await at.invalidate();
      await at.invalidate({ atLeast: 1, keep: 5 });
      await at.invalidate();
      expect(await at.store.read(USER)).toBeUndefined();
    });

    it.each([
      ['removes everything', undefined],
      ['removes what is older', { atLeast: 1, keep: 5 }],
    ])('that %s voids the lease of who loads and of who writes', async (_what, below) => {
      for (const begin of [() => at.granted(), () => at.claim()]) {
        const lease = await begin();
        await at.invalidate(below, at.other);
        expect(await at.fill(lease, { version: 9 })).toBe('voided');
        expect(await at.store.read(USER)).toBeUndefined();
      }
    });

    it('voids the lease also where it removes nothing, because that is as new', async () => {
      const stored = await at.put({ version: 5 });
      const lease = await at.claim();
      await at.invalidate({ atLeast: 5, keep: 9 });
      expect(await at.fill(lease, { version: 6 })).toBe('voided');
      expect(await at.store.read(USER)).toEqual(stored);
    });

    it('of a version removes what has none', async () => {
      await at.put();
      await at.invalidate({ atLeast: 1, keep: 9 });
      expect(await at.store.read(USER)).toBeUndefined();
    });

    it('of a version ends a cool-down, and leaves what is as new', async () => {
      await at.put({ version: 5, freshFor: -1 });
      await at.fail(await at.granted(), 9);
      await at.invalidate({ atLeast: 5, keep: 9 });
      const { stale } = await at.answer('granted', at.other, { staleFor: 8, staleOnError: 8 });
      expect(stale).toMatchObject({ version: 5 });
    });

    it('of a version refuses what is older for as long as it was given, and what is as new is stored', async () => {
      await at.invalidate({ atLeast: 5, keep: 9 });
      await at.advance(8);
      const load = async (version: number) => at.fill(await at.claim(), { version }, 59);
      expect(await load(4)).toBe('older version');
      expect(await at.store.read(USER)).toBeUndefined();
      await at.advance(2);
      expect(await load(4)).toBe('stored');
      await at.invalidate({ atLeast: 5, keep: 9 });
      expect([await load(5), await load(4), await load(6)]).toEqual([
        'stored',
        'older version',
        'stored',
      ]);
    });

    it.each(['what is stored for less', 'what has no version', 'an invalidation of everything'])(
      'of a version is remembered beyond %s',
      async (what) => {
        await at.invalidate({ atLeast: 5, keep: 29 });
        if (what.endsWith('less')) await at.put({ version: 6 }, 3);
        else if (what.endsWith('version')) await at.put({ payload: undefined }, 3);
        else await at.invalidate();
        await at.advance(4);
        expect(await at.store.read(USER)).toBeUndefined();
        expect(await at.fill(await at.granted(), { version: 4 })).toBe('older version');
      },
    );

    it('of a version does not keep what is stored for longer than it was to be kept', async () => {
      await at.put({ version: 6 }, 5);
      await at.invalidate({ atLeast: 5, keep: 29 });
      await at.advance(4);
      expect(await at.store.read(USER)).toMatchObject({ version: 6 });
      await at.advance(2);
      expect(await at.store.read(USER)).toBeUndefined();
    });

    it('of a version is not taken back by one of an older version', async () => {
      await at.invalidate({ atLeast: 5, keep: 9 });
      await at.invalidate({ atLeast: 3, keep: 3 });
      await at.advance(4);
      expect(await at.fill(await at.granted(), { version: 4 })).toBe('older version');
      await at.invalidate({ atLeast: 7, keep: 9 });
      expect(await at.fill(await at.granted(), { version: 6 })).toBe('older version');
    });
  });

  describe('a version', () => {
    const load = async (version: Comparable | undefined) =>
      at.fill(await at.claim(), { ...(version !== undefined && { version }) });

    it('is never replaced by an older one; the lease is given back, and what is stored stays', async () => {
      await at.put({ version: 2, payload: bytes('newer'), freshFor: -1 });
      expect(await at.fill(await at.granted(), { version: 1 })).toBe('older version');
      expect((await at.store.read(USER))!.payload).toEqual(bytes('newer'));
      await at.granted(at.other);
    });

    it('is replaced by an equal one, as its copy may be newer in time', async () => {
      await at.put({ version: 2, freshFor: -1 });
      await at.put({ version: 2, freshFor: 9 });
      await at.answer('fresh', at.other);
    });

    it('is no obstacle to what has none: a row that is gone has no version either', async () => {
      await at.put({ version: 2 });
      await at.invalidate({ atLeast: 2, keep: 9 });
      expect(await at.fill(await at.claim(), { payload: undefined })).toBe('stored');
      expect(await at.store.read(USER)).toMatchObject({ payload: undefined, version: undefined });
      expect([await load(2), await load(undefined)]).toEqual(['stored', 'stored']);
    });

    it.each(VERSIONS)('%p is older than %p, to the last digit', async (older, newer) => {
      expect([await load(newer), await load(older), await load(newer)]).toEqual([
        'stored',
        'older version',
        'stored',
      ]);
      expect((await at.store.read(USER))!.version).toBe(newer);
      await at.invalidate({ atLeast: newer, keep: 9 });
      expect((await at.other.read(USER))?.version).toBe(newer);
      await at.invalidate();
      expect(await load(older)).toBe('older version');
      expect(await load(newer)).toBe('stored');
    });
  });
}
