import { entity, external, origin, readThrough, type Defined } from 'nestjs-cache-contract';
import { capped } from '../../../lib/read/capped.js';
import type { LoadContext } from '../../../lib/read/call-context.js';
import { deferred, testEngine } from '../../support/engine.js';

const Database = origin('database', { maxConcurrent: 3, maxQueued: 4 });
const contract = {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m', loadTimeout: '2s' }),
  write: external(),
  origin: Database,
} as const;
const Users = entity<Defined>('user', contract);
const Orders = entity<Defined>('order', {
  ...contract,
  maxStaleness: { normal: '1m', incident: '10m' },
  read: readThrough({ ttl: '1m', loadTimeout: '2s', jitter: 0, staleIfError: '5m' }),
});

/** A source that holds every load until it is let go, and counts how many it has at once. */
function source() {
  const held: ReturnType<typeof deferred<string>>[] = [];
  const test = testEngine();
  const it = {
    ...test,
    most: 0,
    busy: 0,
    runs: 0,
    held,
    ask(from: typeof Users, key: string) {
      const state = test.engine.entities.stateOf(from);
      const work = async () => {
        it.runs++;
        it.most = Math.max(it.most, ++it.busy);
        const turn = deferred<string>();
        held.push(turn);
        return turn.promise.finally(() => it.busy--);
      };
      const load = (context: LoadContext) => capped(state, context, work);
      return test.engine.reader.read(state, key, load);
    },
    async letGo() {
      while (held.length > 0) {
        held.shift()!.resolve('loaded');
        await new Promise(setImmediate);
      }
    },
  };
  return it;
}

describe('an origin', () => {
  it('never has more loads at once than it can take, of all its entities together', async () => {
    const shop = source();
    const calls = ['a', 'b', 'c'].flatMap((key) => [shop.ask(Users, key), shop.ask(Orders, key)]);
    await shop.letGo();
    expect(await Promise.all(calls)).toEqual(Array(6).fill('loaded'));
    expect([shop.most, shop.runs]).toEqual([3, 6]);
  });

  it('turns away whom the line has no room for, at once, with the time to try again', async () => {
    const shop = source();
    const calls = Array.from({ length: 9 }, (_, i) => shop.ask(Users, `k${i}`));
    const settled = Promise.allSettled(calls);
    await shop.letGo();
    const outcomes = await settled;
    expect(outcomes.slice(0, 7).map(({ status }) => status)).toEqual(Array(7).fill('fulfilled'));
    for (const outcome of outcomes.slice(7)) {
      expect(outcome).toMatchObject({
        reason: { code: 'CACHE_ORIGIN_BUSY', statusCode: 503, origin: 'database' },
      });
    }
    expect(shop.most).toBe(3);
  });

  it('predicts the time from what loads took and how many wait', async () => {
    const shop = source();
    const first = shop.ask(Users, 'first');
    shop.clock.advance(900);
    await shop.letGo();
    await first;
    const calls = Promise.allSettled(Array.from({ length: 8 }, (_, i) => shop.ask(Users, `k${i}`)));
    await shop.letGo();
    expect((await calls).at(-1)).toMatchObject({
      reason: { retryAfterMs: Math.ceil((5 / 3) * 900) },
    });
  });

  it('lets something stale be served instead, where the contract accepts that', async () => {
    const shop = source();
    const before = shop.ask(Orders, 'known');
    await shop.letGo();
    await before;
    shop.clock.advance(60_000);
    const others = Promise.allSettled(
      Array.from({ length: 7 }, (_, i) => shop.ask(Users, `k${i}`)),
    );
    expect(await shop.ask(Orders, 'known')).toBe('loaded');
    expect(shop.runs).toBe(1 + 3);
    await shop.letGo();
    await others;
  });

  it('lets nobody wait for ever: who waits past the load timeout leaves the line', async () => {
    const shop = source();
    const calls = Promise.allSettled(Array.from({ length: 5 }, (_, i) => shop.ask(Users, `k${i}`)));
    shop.clock.advance(2_000);
    for (const outcome of await calls) {
      expect(outcome).toMatchObject({ reason: { code: 'CACHE_LOAD_TIMEOUT' } });
    }
    await shop.letGo();
    const next = shop.ask(Users, 'next');
    await shop.letGo();
    expect(await next).toBe('loaded');
    expect(shop.runs).toBe(4);
  });

  it('lets loads inside loads run in the place they have, because all places could wait for each other', async () => {
    const { engine, read } = testEngine();
    const state = engine.entities.stateOf(Users);
    const inner = (key: string) =>
      engine.reader.read(state, key, (context) => capped(state, context, async () => key));
    const calls = Array.from({ length: 3 }, (_, i) =>
      read(Users, `outer${i}`, (context) =>
        capped(state, context, async () => {
          await new Promise(setImmediate);
          return inner(`inner${i}`);
        }),
      ),
    );
    expect(await Promise.all(calls)).toEqual(['inner0', 'inner1', 'inner2']);
  });

  it('is refused with other limits under one name, because chance would decide', () => {
    const { engine } = testEngine();
    engine.entities.register(Users);
    engine.entities.register(
      entity<string>('other', { ...contract, origin: origin('database', { maxConcurrent: 5 }) }),
    );
    expect(engine.entities.check().map(({ code }) => code)).toEqual(['CACHE_ORIGIN_CONTRADICTED']);
  });
});
