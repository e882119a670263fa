import {
  add,
  counter,
  entity,
  EntityCache,
  onCacheEvent,
  writeBehind,
} from 'nestjs-cache-contract';
import type { FlushBatch, Flushed } from '../../../../lib/write/behind/flush-batch.js';
import { testEngine } from '../../../support/engine.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

const Views = entity<number, number>('view', {
  ...counter(),
  maxStaleness: '1h',
  write: writeBehind({ merge: 'sum', flushEvery: '30m', maxPending: 2 }),
});
type Flush = (batch: FlushBatch<typeof Views>, shop: Shop) => Flushed;

/** The message of the last fault, after keys 1, 2 and 3 were flushed one after the other. */
async function told(withLedger: boolean, flush: Flush): Promise<string> {
  const { engine } = testEngine();
  const cache = new EntityCache(engine).of(Views);
  const shop = new Shop();
  engine.behindOf(Views).bind({
    ledger: withLedger ? new ShopLedger(shop) : undefined,
    flush: async (batch: FlushBatch<typeof Views>) => flush(batch, shop),
  });
  const faults: { code: string; message: string }[] = [];
  const stop = onCacheEvent('fault', ({ code, message }) => faults.push({ code, message }));
  for (const key of [1, 2, 3]) {
    await cache.mutate(key, add(1)).catch(() => undefined);
    await cache
      .journal()
      .flush()
      .catch(() => undefined);
  }
  stop();
  const { code, message } = faults.at(-1)!;
  expect(code).toBe('CACHE_FLUSH_FAILED');
  return message;
}

describe('the fault event of a batch that was not written', () => {
  it('tells that there is no room for dead letters, and what to do', async () => {
    const message = await told(false, ({ entries }) => ({
      rejected: entries.map(({ key }) => ({ key, reason: 'SECRET' })),
    }));
    expect(message).toBe(
      "Writing a batch of 'view' failed: A batch of 'view' was not written: 2 of its dead letters are in memory, and there is no room for more. Fix: retry() or discard() them. Nothing is lost; it is tried again, unchanged.",
    );
  });

  it('tells that an error which was swallowed has undone what the ledger remembers, and what to do', async () => {
    const message = await told(true, ({ entries }, shop) => {
      for (const entry of entries) if (entry.op === 'add') shop.add(entry.key, entry.by);
      // As where a statement fails, undoes all before it, and its error is swallowed.
      shop.sqlite.exec('ROLLBACK');
      shop.sqlite.exec('BEGIN IMMEDIATE');
    });
    expect(message).toMatch(
      /^Writing a batch of 'view' failed: A batch of 'view' was not written: the ledger is not where it was moved to .*swallowed.* Fix: let the flushing method throw/,
    );
  });

  it.each([true, false])(
    'tells of the error of somebody else its name only (ledger: %p)',
    async (withLedger) => {
      const message = await told(withLedger, () => {
        throw new RangeError('SECRET 4711');
      });
      expect(message).toBe(
        "Writing a batch of 'view' failed with RangeError. Nothing is lost; it is tried again, unchanged.",
      );
    },
  );
});
