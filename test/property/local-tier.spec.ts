import fc from 'fast-check';
import { CacheRecord } from '../../lib/entry/record.js';
import { LocalTier } from '../../lib/store/local-tier.js';
import { holds } from '../support/property.js';

const record = (bytes: number) =>
  new CacheRecord({}, 'shared', 0, 1, 0, {
    bytes,
    tags: [],
    taggedAt: 0,
    version: undefined,
  });

const step = fc.oneof(
  fc.record({
    do: fc.constant('set' as const),
    id: fc.integer({ min: 0, max: 30 }),
    bytes: fc.integer({ min: 0, max: 60 }),
  }),
  fc.record({
    do: fc.constantFrom('hit' as const, 'delete' as const),
    id: fc.integer({ min: 0, max: 30 }),
    bytes: fc.constant(0),
  }),
  fc.record({ do: fc.constant('clear' as const), id: fc.constant(0), bytes: fc.constant(0) }),
);

describe('local tier', () => {
  it('never holds more than its bounds, and knows what it holds, whatever is done to it', async () => {
    await holds(
      fc.property(
        fc.array(step, { maxLength: 200 }),
        fc.integer({ min: 1, max: 10 }),
        fc.constantFrom(50, 120, Infinity),
        (steps, maxEntries, maxBytes) => {
          const held = new Map<string, number>();
          const tier = new LocalTier(maxEntries, maxBytes, (id) => {
            expect(held.delete(id)).toBe(true);
          });
          for (const { do: action, id: n, bytes } of steps) {
            const id = `k${n}`;
            if (action === 'set') {
              held.delete(id);
              const kept = tier.set(id, record(bytes));
              expect(kept).toBe(bytes <= maxBytes);
              if (kept) held.set(id, bytes);
            } else if (action === 'hit') {
              const found = tier.get(id);
              expect(found !== undefined).toBe(held.has(id));
              if (found) found.visited = true;
            } else if (action === 'delete') {
              expect(tier.delete(id)).toBe(held.delete(id));
            } else {
              tier.clear();
              held.clear();
            }
            const bytesHeld = [...held.values()].reduce((a, b) => a + b, 0);
            expect([tier.size, tier.bytes]).toEqual([held.size, bytesHeld]);
            expect(tier.size).toBeLessThanOrEqual(maxEntries);
            expect(tier.bytes).toBeLessThanOrEqual(maxBytes);
          }
        },
      ),
      500,
    );
  });

  it('keeps what is asked for when a scan of things asked once goes through it', () => {
    const tier = new LocalTier(10, Infinity, () => undefined);
    for (let i = 0; i < 5; i++) tier.set(`hot${i}`, record(1));
    for (let i = 0; i < 100; i++) {
      for (let j = 0; j < 5; j++) tier.get(`hot${j}`)!.visited = true;
      tier.set(`scan${i}`, record(1));
    }
    for (let i = 0; i < 5; i++) expect(tier.get(`hot${i}`)).toBeDefined();
  });
});
