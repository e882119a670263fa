import fc from 'fast-check';
import { entity, external, readThrough, type Defined } from 'nestjs-cache-contract';
import { deferred, testEngine } from '../support/engine.js';
import { holds } from '../support/property.js';
import { data, described } from '../support/values.js';

const Things = entity<Defined>('thing', {
  maxStaleness: '1m',
  read: readThrough({ ttl: '1m' }),
  write: external(),
});

const value = data.filter((v) => v !== undefined);

/** Changes everything that can be changed; says what could not. */
function vandalise(target: unknown): void {
  if (typeof target !== 'object' || target === null) return;
  const attempt = (change: () => void) => {
    try {
      change();
    } catch {
      // Frozen: that is one way of protecting it.
    }
  };
  if (target instanceof Map || Object.prototype.toString.call(target) === '[object Map]') {
    const map = target as Map<unknown, unknown>;
    for (const item of map.values()) vandalise(item);
    map.set('vandal', 1);
    return;
  }
  if (Object.prototype.toString.call(target) === '[object Set]')
    return void (target as Set<unknown>).add('vandal');
  if (Object.prototype.toString.call(target) === '[object Date]')
    return void (target as Date).setTime(1);
  if (ArrayBuffer.isView(target)) return void (target as Uint8Array).fill(7);
  for (const key of Object.keys(target)) {
    vandalise((target as Record<string, unknown>)[key]);
    attempt(() => ((target as Record<string, unknown>)[key] = 'vandal'));
    attempt(() => delete (target as Record<string, unknown>)[key]);
  }
  attempt(() => ((target as Record<string, unknown>).vandal = 1));
}

describe('values', () => {
  it('are equal from the loader, a joined flight and the local tier', async () => {
    await holds(
      fc.asyncProperty(value, async (original) => {
        const { read, peek } = testEngine();
        const wanted = described(original);
        const source = deferred<unknown>();
        const loaded = read(Things, 'a', () => source.promise);
        const joined = read(Things, 'a', () => Promise.reject(new Error('not joined')));
        source.resolve(original);
        const answers = [
          await loaded,
          await joined,
          await read(Things, 'a', () => Promise.reject(new Error('no hit'))),
          await peek(Things, 'a'),
        ];
        for (const answer of answers) {
          expect(described(answer)).toBe(wanted);
        }
      }),
      1_000,
    );
  });

  it('are changed for nobody else by a caller, or a loader, that changes what it holds', async () => {
    await holds(
      fc.asyncProperty(value, async (original) => {
        const { read } = testEngine();
        const wanted = described(original);
        const mine = await read(Things, 'a', async () => original);
        const yours = await read(Things, 'a', async () => 'not asked');
        vandalise(original);
        vandalise(mine);
        expect(described(yours)).toBe(wanted);
        vandalise(yours);
        const theirs = await read(Things, 'a', async () => 'not asked');
        expect(described(theirs)).toBe(wanted);
      }),
      1_000,
    );
  });
});
