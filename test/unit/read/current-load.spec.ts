import {
  currentLoad,
  entity,
  external,
  onCacheEvent,
  readThrough,
  staleWhileRevalidate,
  type Defined,
} from 'nestjs-cache-contract';
import { testEngine } from '../../support/engine.js';

const Things = entity<Defined>('thing', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '10s', negativeTtl: '4s', jitter: 0 }),
  write: external(),
});

const settled = () => new Promise(setImmediate);

describe('currentLoad().stale', () => {
  it('is the value held until now, so that a loader can ask whether it has changed', async () => {
    const { clock, read } = testEngine();
    await read(Things, 'a', async () => 'v1');
    clock.advance(10_000);
    const revalidating = async ({ stale }: { stale: unknown }) => {
      await Promise.resolve();
      return [stale, currentLoad().stale];
    };
    expect(await read(Things, 'a', revalidating)).toEqual(['v1', 'v1']);
  });

  it('is there for a refresh behind a reader as well', async () => {
    const { clock, read } = testEngine();
    const Feeds = entity<Defined>('feed', {
      maxStaleness: '1h',
      read: staleWhileRevalidate({ ttl: '10s', staleFor: '1m', jitter: 0 }),
      write: external(),
    });
    await read(Feeds, 'a', async () => 'v1');
    clock.advance(10_000);
    await read(Feeds, 'a', async ({ stale }) => `${stale as string}, unchanged`);
    await settled();
    expect(await read(Feeds, 'a', async () => 'not asked')).toBe('v1, unchanged');
  });

  it('is undefined when there is none: never loaded, of another key, or invalidated', async () => {
    const { read, invalidate } = testEngine();
    const seen: unknown[] = [];
    const look = async ({ stale }: { stale: unknown }) => (seen.push(stale), 'value');
    await read(Things, 'a', look);
    await read(Things, 'b', look);
    void invalidate(Things, 'a');
    await read(Things, 'a', look);
    expect(seen).toEqual([undefined, undefined, undefined]);
  });

  it('is undefined after an error that meant absence, because an error is no value', async () => {
    const { clock, read } = testEngine();
    const missing = new Error('missing');
    const Rows = entity<Defined>('row', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '10s', jitter: 0 }),
      write: external(),
      absentWhen: (error) => error === missing,
    });
    await read(Rows, 'a', () => Promise.reject(missing)).catch(() => undefined);
    clock.advance(10_000);
    expect(await read(Rows, 'a', async ({ stale }) => stale === undefined)).toBe(true);
  });

  it('is frozen, because until the load ends others are served the same object', async () => {
    const { clock, read } = testEngine();
    const held = (await read(Things, 'a', async () => ({ tags: ['x'] }))) as { tags: string[] };
    clock.advance(10_000);
    let seen: unknown;
    await read(Things, 'a', async ({ stale }) => void (seen = stale));
    expect(seen).toBe(held);
    expect([Object.isFrozen(held), Object.isFrozen(held.tags)]).toEqual([true, true]);
  });

  it('is a copy of what freezing does not protect, so that a loader cannot change what is held', async () => {
    const { clock, read, peek } = testEngine();
    const Feeds = entity<Defined>('feed', {
      maxStaleness: '1h',
      read: staleWhileRevalidate({ ttl: '10s', staleFor: '1m', jitter: 0 }),
      write: external(),
    });
    await read(Feeds, 'a', async () => new Map([['x', 1]]));
    clock.advance(10_000);
    await read(Feeds, 'a', async ({ stale }) => {
      (stale as Map<string, number>).set('x', 2);
      throw new Error('and then it fails');
    });
    await settled();
    expect(await peek(Feeds, 'a')).toEqual(new Map([['x', 1]]));
  });
});

describe('currentLoad().skip()', () => {
  it('gives the value to all who wait and stores it for nobody', async () => {
    const { read, peek } = testEngine();
    const outcomes: string[] = [];
    const end = onCacheEvent('fill', ({ outcome }) => outcomes.push(outcome));
    let loads = 0;
    const load = async () => {
      await Promise.resolve();
      currentLoad().skip();
      return ++loads;
    };
    expect(await Promise.all([read(Things, 'a', load), read(Things, 'a', load)])).toEqual([1, 1]);
    end();
    expect(await peek(Things, 'a')).toBeUndefined();
    expect(await read(Things, 'a', load)).toBe(2);
    expect(outcomes).toEqual(['skipped']);
  });

  it('keeps absence from being stored too, said as null or as an error', async () => {
    const { read } = testEngine();
    const missing = new Error('missing');
    const Rows = entity<Defined>('row', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '10s', jitter: 0 }),
      write: external(),
      absentWhen: (error) => error === missing,
    });
    expect(await read(Rows, 'null', async ({ skip }) => (skip(), null))).toBeNull();
    await expect(read(Rows, 'error', ({ skip }) => (skip(), Promise.reject(missing)))).rejects.toBe(
      missing,
    );
    expect(await read(Rows, 'null', async () => 'created')).toBe('created');
    expect(await read(Rows, 'error', async () => 'created')).toBe('created');
  });

  it('leaves in its place what a refresh did not replace', async () => {
    const { clock, read, peek } = testEngine();
    const Feeds = entity<Defined>('feed', {
      maxStaleness: '1h',
      read: staleWhileRevalidate({ ttl: '10s', staleFor: '1m', jitter: 0 }),
      write: external(),
    });
    await read(Feeds, 'a', async () => 'complete');
    clock.advance(10_000);
    await read(Feeds, 'a', async ({ skip }) => (skip(), 'partial'));
    await settled();
    expect(await peek(Feeds, 'a')).toBe('complete');
  });

  it('is said of one load and not of the next', async () => {
    const { read, peek } = testEngine();
    await read(Things, 'a', async ({ skip }) => (skip(), 'partial'));
    await read(Things, 'a', async () => 'complete');
    expect(await peek(Things, 'a')).toBe('complete');
  });

  it('is said of the load it is called in, not of the one around it', async () => {
    const { read, peek } = testEngine();
    await read(Things, 'outer', async () => {
      await read(Things, 'inner', async () => (currentLoad().skip(), 'partial'));
      return 'complete';
    });
    expect([await peek(Things, 'outer'), await peek(Things, 'inner')]).toEqual([
      'complete',
      undefined,
    ]);
  });
});

describe('currentLoad().ttl()', () => {
  it.each([
    ['shorter than the contract’s', '3s', 3_000],
    ['in milliseconds', 2_500, 2_500],
    ['longer, which the contract does not allow', '1h', 10_000],
  ] as const)('sets how long this value is fresh: %s', async (_, ttl, ms) => {
    const { clock, read, peek } = testEngine();
    await read(Things, 'a', async () => {
      await Promise.resolve();
      currentLoad().ttl(ttl);
      return 'value';
    });
    clock.advance(ms - 1);
    expect(await peek(Things, 'a')).toBe('value');
    clock.advance(1);
    expect(await peek(Things, 'a')).toBeUndefined();
  });

  it('goes by the shortest when several speak, because each knows of a bound', async () => {
    const { clock, read, peek } = testEngine();
    await read(Things, 'a', async ({ ttl }) => (ttl('3s'), ttl('5s'), 'value'));
    clock.advance(3_000);
    expect(await peek(Things, 'a')).toBeUndefined();
  });

  it('shortens what absence is believed for, and lengthens it no more than anything', async () => {
    const { clock, read } = testEngine();
    await read(Things, 'short', async ({ ttl }) => (ttl('1s'), null));
    await read(Things, 'long', async ({ ttl }) => (ttl('9s'), null));
    clock.advance(1_000);
    expect(await read(Things, 'short', async () => 'created')).toBe('created');
    clock.advance(2_999);
    expect(await read(Things, 'long', async () => 'created')).toBeNull();
    clock.advance(1);
    expect(await read(Things, 'long', async () => 'created')).toBe('created');
  });

  it('is subject to jitter as well, because values told so together would expire together', async () => {
    const { clock, read, peek } = testEngine();
    const Spread = entity<Defined>('spread', {
      maxStaleness: '1m',
      read: readThrough({ ttl: '10s', jitter: 0.5 }),
      write: external(),
    });
    clock.chance = 0.5;
    await read(Spread, 'a', async ({ ttl }) => (ttl('4s'), 'value'));
    clock.advance(2_999);
    expect(await peek(Spread, 'a')).toBe('value');
    clock.advance(1);
    expect(await peek(Spread, 'a')).toBeUndefined();
  });

  it.each([[-1], [NaN], [Infinity], ['10'], ['1h30m'], [undefined], [null]])(
    'fails the load on %p, with an error that says what to write',
    async (malformed) => {
      const { read, peek } = testEngine();
      const load = async () => (currentLoad().ttl(malformed as number), 'value');
      await expect(read(Things, 'a', load)).rejects.toMatchObject({
        code: 'CACHE_ARGUMENT_INVALID',
        message: expect.stringContaining("'30s'"),
      });
      expect(await peek(Things, 'a')).toBeUndefined();
    },
  );
});

describe('currentLoad() outside a load', () => {
  it('says that nothing is held and takes what it is told, so that a loader works however it is called', () => {
    const { stale, signal, skip, ttl, tags } = currentLoad();
    expect([stale, signal.aborted]).toEqual([undefined, false]);
    expect([skip(), ttl('1s'), tags('a', 'b')]).toEqual([undefined, undefined, undefined]);
  });

  it('refuses a malformed ttl as in a load, so that a mistake shows wherever the loader is tested', () => {
    expect(() => currentLoad().ttl('soon' as '1s')).toThrow(
      expect.objectContaining({ code: 'CACHE_ARGUMENT_INVALID' }),
    );
  });

  it('is outside again when the load has returned', async () => {
    const { read } = testEngine();
    let inside: unknown;
    await read(Things, 'a', async () => (inside = currentLoad()));
    expect(currentLoad()).not.toBe(inside);
  });
});
