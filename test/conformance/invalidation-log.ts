import type { EntryName } from '../../lib/store/cache-store.js';
import type { InvalidationLog, LogMessage, LogPosition } from '../../lib/store/invalidation-log.js';

/** What a test needs of a log. */
export interface LogUnderTest {
  /** The way of one more process to it. */
  open(): Promise<InvalidationLog>;
  /** All that is known of it is gone. */
  lose(): Promise<void>;
  close(): Promise<void>;
}

const named = (id: string): EntryName => ({ entity: 'user', id });
const DEADLINE_MS = 20_000;

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + DEADLINE_MS; !holds();) {
    if (Date.now() > end) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** What each log of invalidations has to do. */
export function invalidationLogConformance(start: () => Promise<LogUnderTest>): void {
  let log: LogUnderTest;
  beforeEach(async () => {
    log = await start();
  });
  afterEach(() => log.close());

  /** A process that listens, and what it has heard. */
  const listening = async () => {
    const way = await log.open();
    const heard: LogMessage[] = [];
    let isListening = false;
    way.listen({
      onMessage: (message) => void heard.push(message),
      onListening: () => (isListening = true),
    });
    await until(() => isListening);
    return { way, heard };
  };
  const endOf = async (way: InvalidationLog, heard?: LogPosition) => (await way.poll(heard)).end;

  it('tells all who listen what was appended, in its order, and by whom', async () => {
    const [one, other] = [await listening(), await listening()];
    await one.way.append([named('a'), named('b')], 'one');
    await other.way.append([named('c')], 'other');
    for (const { heard } of [one, other]) {
      await until(() => heard.length === 2);
      expect(heard.map(({ writer, entries }) => [writer, entries])).toEqual([
        ['one', [named('a'), named('b')]],
        ['other', [named('c')]],
      ]);
      expect(heard[1]).toMatchObject({ epoch: heard[0]!.epoch, seq: heard[0]!.seq + 1 });
    }
  });

  it('carries ids of every kind', async () => {
    const { way, heard } = await listening();
    const entries = ['', ' ', '{}%', '\uD800a', '\u0000', '日本', 'x'.repeat(10_000), '"\\\n'].map(
      named,
    );
    const end = await endOf(way);
    await way.append(entries, 'me');
    await until(() => heard.length === 1);
    expect(heard[0]!.entries).toEqual(entries);
    expect((await way.poll(end)).missed![0]!.entries).toEqual(entries);
  });

  it('ends, for all, where what was appended last does', async () => {
    const [one, other] = [await log.open(), await log.open()];
    const before = await endOf(one);
    expect(await endOf(other)).toEqual(before);
    await one.append([named('a')], 'me');
    const after = { ...before, seq: before.seq + 1 };
    expect(await endOf(other)).toEqual(after);
    expect(await endOf(one)).toEqual(after);
  });

  it('tells who asks what he has missed, and nothing if that is nothing', async () => {
    const [one, other] = [await log.open(), await log.open()];
    const before = await endOf(other);
    for (const id of ['a', 'b', 'c']) await one.append([named(id)], 'me');
    const { end, missed } = await other.poll(before);
    expect(missed!.map(({ seq, epoch, entries }) => [epoch, seq, entries])).toEqual(
      ['a', 'b', 'c'].map((id, i) => [before.epoch, before.seq + i + 1, [named(id)]]),
    );
    expect(missed!.at(-1)).toMatchObject({ ...end, writer: 'me' });
    expect((await other.poll({ ...before, seq: before.seq + 2 })).missed).toHaveLength(1);
    expect((await other.poll(end)).missed ?? []).toEqual([]);
  });

  it('begins a new epoch when it was lost, also if as much has been appended since', async () => {
    const [one, other] = [await log.open(), await log.open()];
    await one.append([named('a')], 'me');
    const before = await endOf(other);
    await log.lose();
    await one.append([named('b')], 'me');
    const { end, missed } = await other.poll(before);
    expect(end.epoch).not.toBe(before.epoch);
    expect(missed ?? []).toEqual([]);
    await log.lose();
    // Who asks finds nothing, and that is an epoch as well.
    expect((await endOf(other, end)).epoch).not.toBe(end.epoch);
  });

  it('counts the messages of many who append at once, each once', async () => {
    const ways = await Promise.all(Array.from({ length: 4 }, () => log.open()));
    const { way, heard } = await listening();
    const before = await endOf(way);
    await Promise.all(
      ways.flatMap((one, n) =>
        Array.from({ length: 25 }, (_, i) => one.append([named(`${n}:${i}`)], 'me')),
      ),
    );
    await until(() => heard.length === 100);
    expect(heard.map(({ seq }) => seq)).toEqual(
      Array.from({ length: 100 }, (_, i) => before.seq + i + 1),
    );
    expect((await way.poll(before)).missed).toEqual(heard);
  });
}
