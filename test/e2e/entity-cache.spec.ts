import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import {
  Cached,
  EntityCache,
  entity,
  invalidate,
  onCacheEvent,
  readThrough,
} from 'nestjs-cache-contract';
import { start } from './apps/start.js';

const contract = {
  maxStaleness: '1h',
  read: readThrough({ ttl: '30m' }),
  write: invalidate(),
} as const;
const Answers = entity<number>('answer', contract);
const Totals = entity<number>('total', contract);
const Names = entity<string | null>('name', contract);

@Injectable()
class Service {
  loads = 0;
  @Cached(Answers)
  async find(_id: string): Promise<number> {
    return ++this.loads;
  }
  @Cached(Totals)
  async total(_id: string): Promise<number> {
    return ++this.loads;
  }
}
async function startBoth() {
  const app = await start({ providers: [Service] });
  return { cache: app.get(EntityCache), service: app.get(Service) };
}

it('gets what a decorated method stored and the other way round, because both are the same call', async () => {
  const { cache, service } = await startBoth();
  expect(await service.find('a')).toBe(1);
  expect(await cache.get(Answers, 'a', async () => 99)).toBe(1);
  expect(await cache.get(Answers, 'b', async () => 99)).toBe(99);
  expect(await service.find('b')).toBe(99);
});

it('peeks without asking the source, so nothing is known before the first load', async () => {
  const { cache, service } = await startBoth();
  expect(await cache.peek(Answers, 'a')).toBeUndefined();
  await service.find('a');
  expect([await cache.peek(Answers, 'a'), service.loads]).toEqual([1, 1]);
  await cache.get(Names, 'a', async () => null);
  expect(await cache.peek(Names, 'a')).toBeNull();
});

it('invalidates one entry and no other', async () => {
  const { cache, service } = await startBoth();
  await Promise.all([service.find('a'), service.find('b'), service.total('a')]);
  expect(await cache.invalidate(Answers, 'a')).toBe('acknowledged');
  expect([
    await cache.peek(Answers, 'a'),
    await cache.peek(Answers, 'b'),
    await cache.peek(Totals, 'a'),
  ]).toEqual([undefined, 2, 3]);
});

it('invalidates all entries of one entity and none of another', async () => {
  const { cache, service } = await startBoth();
  await Promise.all([service.find('a'), service.find('b'), service.total('a')]);
  expect(await cache.invalidateFamily(Answers)).toBe('acknowledged');
  expect([
    await cache.peek(Answers, 'a'),
    await cache.peek(Answers, 'b'),
    await cache.peek(Totals, 'a'),
  ]).toEqual([undefined, undefined, 3]);
});

it('asks the source within context({ bypass }), however deep, and leaves what is stored alone', async () => {
  const { cache, service } = await startBoth();
  expect([await service.find('a'), await service.total('a')]).toEqual([1, 2]);
  const seen = await cache.context({ bypass: [Answers] }, async () => {
    await Promise.resolve();
    const inner = await cache.context({ bypass: [] }, () => service.find('a'));
    return [
      await service.find('a'),
      inner,
      await service.total('a'),
      await cache.peek(Answers, 'a'),
    ];
  });
  expect(seen).toEqual([4, 3, 2, undefined]);
  expect(await service.find('a')).toBe(1);
});

it('adds to the bypass around it, because an inner context knows less of what it is for', async () => {
  const { cache, service } = await startBoth();
  expect([await service.find('a'), await service.total('a')]).toEqual([1, 2]);
  const both = () => Promise.all([service.find('a'), service.total('a')]);
  const seen = await cache.context({ bypass: [Answers] }, () =>
    cache.context({ bypass: [Totals] }, both),
  );
  expect(seen).toEqual([3, 4]);
  expect(await both()).toEqual([1, 2]);
});

it('tells the contract in force, with every default filled in and how stale answers can be', async () => {
  const { cache } = await startBoth();
  const inForce = cache.contract(Answers);
  expect(inForce).toMatchObject({
    entity: 'answer',
    maxStalenessMs: { normal: 3_600_000, incident: 3_600_000 },
    prefer: 'origin',
    read: { kind: 'read-through', ttlMs: 1_800_000, loadTimeoutMs: 3_000, maxEntries: 1_000 },
  });
  expect(inForce.worstStaleness.length).toBeGreaterThan(0);
  expect(cache.of(Answers).contract()).toEqual(inForce);
});

it('offers the same calls for one entity', async () => {
  const { cache, service } = await startBoth();
  const answers = cache.of(Answers);
  expect([await answers.get('a', async () => 7), await service.find('a')]).toEqual([7, 7]);
  expect(await answers.peek('a')).toBe(7);
  expect([await answers.invalidate('a'), await answers.peek('a')]).toEqual([
    'acknowledged',
    undefined,
  ]);
  await answers.get('b', async () => 8);
  expect([await answers.invalidateFamily(), await answers.peek('b')]).toEqual([
    'acknowledged',
    undefined,
  ]);
});

it('rejects instead of throwing on what cannot be meant, because its calls promise a promise', async () => {
  const { cache } = await startBoth();
  const load = async () => 1;
  await expect(cache.get(Answers, '', load)).rejects.toMatchObject({ code: 'CACHE_KEY_INVALID' });
  await expect(cache.invalidate(Answers, '')).rejects.toMatchObject({ code: 'CACHE_KEY_INVALID' });
  await expect(cache.peek(undefined as unknown as typeof Answers, 'a')).rejects.toMatchObject({
    code: 'CACHE_ENTITY_EXPECTED',
  });
});

it('tells of a bypass and its reason, because it costs the source a call', async () => {
  const { cache, service } = await startBoth();
  const reasons: string[] = [];
  const stop = onCacheEvent('bypass', ({ entity, reason }) => reasons.push(`${entity}: ${reason}`));
  await cache.context({ bypass: [Answers] }, () => service.find('a'));
  stop();
  expect(reasons).toEqual(['answer: context']);
});
