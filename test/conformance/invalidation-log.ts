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

/** Longer than any test. */
const KEEP_MS = 600_000;
const named = (id: string): EntryName => ({ entity: 'user', id });
const DEADLINE_MS = 20_000;

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + DEADLINE_MS; !holds();) {
    if (Date.now() > end) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Invalidates tags, and nothing else. */
const tagged = (way: InvalidationLog, ...tags: string[]) =>
  way.append({ entries: [], tags }, 'me', KEEP_MS);

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
    await one.way.append({ entries: [named('a'), named('b')], tags: [] }, 'one', KEEP_MS);
    await other.way.append({ entries: [named('c')], tags: [] }, 'other', KEEP_MS);
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
    await way.append({ entries: entries, tags: [] }, 'me', KEEP_MS);
    await until(() => heard.length === 1);
    expect(heard[0]!.entries).toEqual(entries);
    expect((await way.poll(end)).missed![0]!.entries).toEqual(entries);
  });

  it('ends, for all, where what was appended last does', async () => {
    const [one, other] = [await log.open(), await log.open()];
    const before = await endOf(one);
    expect(await endOf(other)).toEqual(before);
    await one.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
    const after = { ...before, seq: before.seq + 1 };
    expect(await endOf(other)).toEqual(after);
    expect(await endOf(one)).toEqual(after);
  });

  it('tells who asks what he has missed, and nothing if that is nothing', async () => {
    const [one, other] = [await log.open(), await log.open()];
    const before = await endOf(other);
    for (const id of ['a', 'b', 'c'])
      await one.append({ entries: [named(id)], tags: [] }, 'me', KEEP_MS);
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
    await one.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
    const before = await endOf(other);
    await log.lose();
    await one.append({ entries: [named('b')], tags: [] }, 'me', KEEP_MS);
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
        Array.from({ length: 25 }, (_, i) =>
          one.append({ entries: [named(`${n}:${i}`)], tags: [] }, 'me', KEEP_MS),
        ),
      ),
    );
    await until(() => heard.length === 100);
    expect(heard.map(({ seq }) => seq)).toEqual(
      Array.from({ length: 100 }, (_, i) => before.seq + i + 1),
    );
    expect((await way.poll(before)).missed).toEqual(heard);
  });

  it('says where it ends with what was appended', async () => {
    const way = await log.open();
    const before = await endOf(way);
    const end = await way.append({ entries: [named('a')], tags: ['t:tea'] }, 'me', KEEP_MS);
    expect(end).toEqual({ ...before, seq: before.seq + 1 });
    expect(await endOf(way)).toEqual(end);
  });

  it('tells all who listen which tags were invalidated, whatever they are called', async () => {
    const { way, heard } = await listening();
    const tags = ['t:tea', 'f:user', 't: {}%', 't:\uD800a', 't:"\\\n', `t:${'x'.repeat(1_000)}`];
    const before = await endOf(way);
    await way.append({ entries: [named('a')], tags }, 'me', KEEP_MS);
    await until(() => heard.length === 1);
    expect(heard[0]).toMatchObject({ entries: [named('a')], tags });
    expect((await way.poll(before)).missed).toEqual(heard);
    const { generations } = await way.generations(tags, KEEP_MS);
    expect(generations).toEqual(tags.map(() => before.seq + 1));
  });

  it('says of each tag when it was invalidated last, and where the log ends', async () => {
    const [one, other] = [await log.open(), await log.open()];
    await tagged(one, 't:tea');
    const tea = await tagged(other, 't:tea', 't:milk');
    await one.append({ entries: [named('a')], tags: [] }, 'me', KEEP_MS);
    const milk = await tagged(one, 't:milk');
    for (const way of [one, other]) {
      expect(await way.generations(['t:tea', 't:milk'], KEEP_MS)).toEqual({
        end: milk,
        generations: [tea.seq, milk.seq],
      });
    }
    expect(await other.generations([], KEEP_MS)).toEqual({ end: milk, generations: [] });
  });

  it('says of a tag that it does not know that it was invalidated just now, once', async () => {
    const [one, other] = [await log.open(), await log.open()];
    await tagged(one, 't:tea');
    const { end, generations } = await one.generations(['t:never', 't:tea'], KEEP_MS);
    expect(generations[0]).toBe(end.seq);
    await tagged(one, 't:tea');
    expect((await other.generations(['t:never'], KEEP_MS)).generations).toEqual([end.seq]);
  });

  it('knows no tag of an epoch that is over', async () => {
    const [one, other] = [await log.open(), await log.open()];
    for (let i = 0; i < 5; i++) await tagged(one, 't:tea');
    const before = await one.generations(['t:tea'], KEEP_MS);
    await log.lose();
    const after = await other.generations(['t:tea'], KEEP_MS);
    expect(after.end.epoch).not.toBe(before.end.epoch);
    expect(after.generations).toEqual([after.end.seq]);
  });
}
