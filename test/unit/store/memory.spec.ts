import v8 from 'node:v8';
import vm from 'node:vm';
import { readAll } from '../../support/read-all.js';
import { entity, invalidate, readThrough } from 'nestjs-cache-contract';
import { fleet, settled } from '../../support/fleet.js';

const Rows = entity<{ text: string }>('row', {
  maxStaleness: { normal: '5s', incident: '1m' },
  read: readThrough({ ttl: '1m', jitter: 0, loadTimeout: '3s' }),
  write: invalidate(),
});

describe('what a store has answered', () => {
  it('is kept in memory by nobody but its callers, also before the deadline would have ended', async () => {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    const { processes } = fleet(2);
    const [first, second] = processes;
    const keys = Array.from({ length: 100 }, (_, i) => `${i}`);
    for (const key of keys) await first!.read(Rows, key, async () => ({ text: key }));
    const seen: Record<'payloads' | 'values', WeakRef<object>[]> = { payloads: [], values: [] };
    const { way } = second!;
    const read = way.readAll.bind(way);
    way.readAll = async (entries) => {
      const all = await readAll({ readAll: read }, entries);
      for (const stored of all) seen.payloads.push(new WeakRef(stored!.payload!));
      return all;
    };
    const values = await Promise.all(keys.map((key) => second!.peek(Rows, key)));
    for (const value of values.splice(0)) seen.values.push(new WeakRef(value as object));
    const alive = (refs: WeakRef<object>[]) =>
      refs.filter((ref) => ref.deref() !== undefined).length;
    // Only so often as it takes: a collection is slow beside other tests.
    const isHeld = () => Object.values(seen).some((refs) => alive(refs) >= 50);
    for (let tries = 0; tries < 10 && isHeld(); tries++) {
      await settled();
      collect();
    }
    for (const refs of Object.values(seen)) {
      // The rest may be on the stack of somebody yet.
      expect([refs.length, alive(refs) < 50]).toEqual([100, true]);
    }
    // So long it lives, as do those who might have held on to it.
    expect(await second!.peek(Rows, '7')).toEqual({ text: '7' });
  }, 60_000);
});
