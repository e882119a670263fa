import { withCache, withoutCache } from '../../sample/src/storm/both-ways.js';
import { picture } from '../../sample/src/storm/picture.js';
import { EXPIRIES, READERS, type Outcome } from '../../sample/src/storm/storm.js';

let cached: Outcome;
let uncached: Outcome;

beforeAll(async () => {
  cached = await withCache();
  uncached = await withoutCache();
}, 120_000);

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

describe('a hot key that expires under a thousand readers', () => {
  it('costs one query per expiry, refuses nobody a connection and fails no reader', () => {
    expect(cached).toMatchObject({ queries: EXPIRIES, refused: 0, failed: 0 });
  });

  it('costs at least twenty times the queries without the cache, and connections are refused', () => {
    expect(uncached.queries).toBeGreaterThanOrEqual(20 * cached.queries);
    expect(uncached.refused).toBeGreaterThan(0);
  });

  it('answers each reader once, without the cache by a query of its own', () => {
    expect(uncached.queries + uncached.failed).toBe(EXPIRIES * READERS);
  });

  it.each([
    ['with', () => cached],
    ['without', () => uncached],
  ])('finds each query in a tick, %s the cache', (_, outcome) => {
    expect(sum(outcome().queriesPerTick)).toBe(outcome().queries);
  });

  it('is printed with its date and its numbers', () => {
    const shown = picture(cached, uncached, new Date('2026-03-04T05:06:07Z'));
    expect(shown).toContain('2026-03-04');
    expect(shown).toMatch(
      new RegExp(`queries +${EXPIRIES} +${uncached.queries.toLocaleString('en')}\n`),
    );
  });
});
