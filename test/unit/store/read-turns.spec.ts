import type { EntryName, StoredEntry } from '../../../lib/store/cache-store.js';
import { ReadTurns } from '../../../lib/store/read-turns.js';
import { ManualClock } from '../../support/manual-clock.js';

const settled = () => new Promise(setImmediate);
const named = (id: string): EntryName => ({ entity: 'profile', id });

/** What is asked of the store waits until the test answers it, the first first. */
function setUp() {
  const asked: string[][] = [];
  const open: {
    entries: readonly EntryName[];
    resolve: (all: StoredEntry[]) => void;
    reject: (error: unknown) => void;
  }[] = [];
  const since: number[] = [];
  const clock = new ManualClock();
  let ended = 0;
  const turns = new ReadTurns(
    (entries, from) => {
      asked.push(entries.map(({ id }) => id));
      since.push(from);
      return new Promise((resolve, reject) => open.push({ entries, resolve, reject }));
    },
    (answer) => answer,
    () => clock.monotonic(),
    () => ended++,
  );
  const find = (id: string) =>
    turns.find(named(id)).then(
      (stored) => stored as unknown,
      () => 'failed',
    );
  const answer = async () => {
    const { entries, resolve } = open.shift()!;
    resolve(entries.map(({ id }) => id as never));
    await settled();
  };
  const fail = async () => {
    open.shift()!.reject(new Error('connection reset'));
    await settled();
  };
  /** One turn each. */
  const inTurns = async (...ids: string[]) => {
    const found: Promise<unknown>[] = [];
    for (const id of ids) {
      found.push(find(id));
      await settled();
    }
    return found;
  };
  return { turns, ended: () => ended, asked, since, clock, find, answer, fail, inTurns };
}

describe('entries that are asked for', () => {
  it('in one turn travel together, and each gets its own', async () => {
    const { asked, find, answer, turns, ended } = setUp();
    const found = [find('1'), find('2'), find('1')];
    expect(turns.isIdle).toBe(false);
    await settled();
    expect(asked).toEqual([['1', '2', '1']]);
    await answer();
    expect(await Promise.all(found)).toEqual(['1', '2', '1']);
    expect(ended()).toBe(1);
    expect(turns.isIdle).toBe(true);
  });

  it('while four turns wait for their answers become one turn, which goes when one of those is answered', async () => {
    const { asked, answer, inTurns } = setUp();
    const found = await inTurns('1', '2', '3', '4', '5', '6', '7');
    expect(asked).toEqual([['1'], ['2'], ['3'], ['4']]);
    await answer();
    expect(asked.slice(4)).toEqual([['5', '6', '7']]);
    for (let i = 0; i < 4; i++) await answer();
    expect(await Promise.all(found)).toEqual(['1', '2', '3', '4', '5', '6', '7']);
    void (await inTurns('8', '9'));
    expect(asked.slice(5)).toEqual([['8'], ['9']]);
  });

  it('while four turns wait for their answers wait as long for theirs as if they had gone', async () => {
    const { clock, since, find, answer, inTurns } = setUp();
    void (await inTurns('1', '2', '3', '4'));
    clock.advance(10);
    void find('5');
    await settled();
    clock.advance(60);
    void find('6');
    await settled();
    await answer();
    expect(since).toEqual([...Array<number>(4).fill(1_000), 1_010]);
    clock.advance(10);
    void (await inTurns('7'));
    await answer();
    expect(since.slice(5)).toEqual([1_080]);
  });

  it('behind those that fail fail with them, and are not sent: they have waited long enough', async () => {
    const { asked, fail, answer, inTurns } = setUp();
    const found = await inTurns('1', '2', '3', '4', '5', '6');
    await fail();
    expect(await Promise.all([found[0], found[4], found[5]])).toEqual(Array(3).fill('failed'));
    expect(asked).toHaveLength(4);
    const later = await inTurns('7');
    expect(asked.slice(4)).toEqual([['7']]);
    for (let i = 0; i < 4; i++) await answer();
    expect(await later[0]).toBe('7');
    expect(await Promise.all(found.slice(1, 4))).toEqual(['2', '3', '4']);
  });
});
