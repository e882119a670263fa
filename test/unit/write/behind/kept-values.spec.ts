import {
  add,
  counter,
  entity,
  EntityCache,
  readThrough,
  set,
  writeBehind,
} from 'nestjs-cache-contract';
import type { FlushBatch } from '../../../../lib/write/behind/flush-batch.js';
import { testEngine } from '../../../support/engine.js';
import { Shop, ShopLedger } from '../../../support/sqlite-shop.js';

class Note {
  constructor(readonly text: string) {}
  get shout() {
    return `${this.text}!`;
  }
}

function open(withLedger = true) {
  /** What `revive` throws for, as code does that was written after what it reads. */
  const unknown = new Set<string>();
  const Notes = entity<Note, string>('note', {
    maxStaleness: '1m',
    read: readThrough({ ttl: '20s' }),
    write: writeBehind(),
    revive: (plain) => {
      const { text } = plain as Note;
      if (unknown.has(text)) throw new TypeError(`no note reads ${text}`);
      return new Note(text);
    },
  });
  const Views = entity<number, number>('view', {
    ...counter(),
    write: writeBehind({ merge: 'sum' }),
  });
  const { engine } = testEngine();
  const entities = new EntityCache(engine);
  const ledger = withLedger ? new ShopLedger(new Shop()) : undefined;
  const flushed: unknown[] = [];
  for (const entity of [Notes, Views]) {
    engine.behindOf(entity).bind({
      ledger,
      flush: ({ entries }: FlushBatch<typeof Notes>) => {
        flushed.push(...entries);
        return { rejected: entries.map(({ key }) => ({ key, reason: 'closed' })) };
      },
    });
  }
  return { notes: entities.of(Notes), views: entities.of(Views), unknown, flushed };
}

describe('a value for which `revive` throws', () => {
  it('is refused when it is set, because nobody could write it, and nothing of it remains', async () => {
    const { notes, unknown, flushed } = open();
    unknown.add('bad');
    expect(await notes.get('a', async () => new Note('old'))).toEqual(new Note('old'));
    await expect(notes.mutate('a', set(new Note('bad')))).rejects.toMatchObject({
      code: 'CACHE_ARGUMENT_INVALID',
      message: expect.stringContaining(
        "set() of 'note' got a value for which its `revive` throws",
      ) as string,
    });
    expect(notes.journal().status()).toMatchObject({ accepted: 0, pending: 0 });
    expect(await notes.peek('a')).toEqual(new Note('old'));
    await notes.journal().flush();
    expect(flushed).toEqual([]);
  });

  it.each([true, false])(
    'is shown as it is kept where it is a dead letter, and hides no other (ledger: %p)',
    async (withLedger) => {
      const { notes, unknown } = open(withLedger);
      for (const text of ['first', 'second', 'third'])
        await notes.mutate(text, set(new Note(text)));
      await notes.journal().flush();
      unknown.add('second');
      const letters = await notes.journal().deadLetters();
      expect(letters.map(({ key, value }) => [key, value.text, value.shout])).toEqual([
        ['first', 'first', 'first!'],
        ['second', 'second', undefined],
        ['third', 'third', 'third!'],
      ]);
      expect(await notes.journal().discard(letters[1]!.id)).toBe(true);
      expect((await notes.journal().deadLetters()).length).toBe(2);
    },
  );
});

describe.each([true, false])('the dead letters of a counter (ledger: %p)', (withLedger) => {
  it('can be answered as JSON, with amounts as they were given', async () => {
    const { views } = open(withLedger);
    await views.mutate(1, add(3));
    await views.mutate(2, add(-4));
    await views.mutate(3, set(5));
    await views.journal().flush();
    const shown: unknown = JSON.parse(JSON.stringify(await views.journal().deadLetters()));
    expect(shown).toEqual([
      expect.objectContaining({ key: 1, op: 'add', by: 3, reason: 'closed' }),
      expect.objectContaining({ key: 2, op: 'add', by: -4, reason: 'closed' }),
      expect.objectContaining({ key: 3, op: 'set', value: 5, reason: 'closed' }),
    ]);
  });

  it('have ids that can be a part of a path as they are, each of its own', async () => {
    const { views } = open(withLedger);
    for (const key of [1, 2, 3]) await views.mutate(key, add(1));
    await views.journal().flush();
    const ids = (await views.journal().deadLetters()).map(({ id }) => id);
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(id).toMatch(/^[\w.:-]+$/);
  });
});
