import type { EntryName } from '../../../lib/store/cache-store.js';
import { bytes, USER, type Subject } from './subject.js';

const MEGABYTE = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 31) % 256);

/** Names that have to be kept apart, however a store writes them. */
const NAMES: EntryName[] = [
  ['user', '7'],
  ['user7', ''],
  ['use', 'r7'],
  ['user:7', '8'],
  ['user', '7:8'],
  ['user', '{7}'],
  ['{user}', '7'],
  ['user', '{7'],
  ['user', '}7{'],
  ['user', '%7'],
  ['user', '%257'],
  ['user', '7 '],
  ['user', ' 7'],
  ['user', '7\n'],
  ['user', '7\0'],
  ['user', '7\0\0'],
  ['user', '\u00e4'],
  ['user', 'a\u0308'],
  ['user', '😀'],
  // Only these begin a tuple's id and a hash's, and they are no text that UTF-8 knows.
  ['user', '\ud8007/8'],
  ['user', '\ud8017/8'],
  ['user', '\ufffd7/8'],
  ['user', 'x'.repeat(256)],
  ['user', 'x'.repeat(255) + 'y'],
].map(([entity, id]) => ({ entity: entity!, id: id! }));

/** What is stored, and for how long. */
export function describeEntries(subject: () => Subject): void {
  describe('an entry', () => {
    let at: Subject;
    beforeEach(() => void (at = subject()));

    it('is nothing before it is stored', async () => {
      expect(await at.store.read(USER)).toBeUndefined();
    });

    it('is read by every process as it was stored, however old', async () => {
      const stored = await at.put({ version: 3, freshFor: 5 });
      for (const from of [at.store, at.other]) expect(await from.read(USER)).toEqual(stored);
      await at.advance(20);
      expect(await at.other.read(USER)).toEqual(stored);
    });

    it('is read with what is known of its tags, where the store has a log', async () => {
      if (at.store.log === undefined) return;
      const tags = [
        ['tea', 7],
        ['{}% \ud800日本"\\\u0000', 2 ** 50],
        ['', 0],
      ] as const;
      for (const payload of [bytes('value'), undefined]) {
        const generations = { epoch: 'e-_p', family: 5, tags };
        const stored = await at.put({ payload, generations });
        for (const from of [at.store, at.other]) expect(await from.read(USER)).toEqual(stored);
        const answer = await at.answer('fresh', at.other);
        expect(answer.stored).toEqual(stored);
      }
    });

    it('is gone when the time to keep it is over', async () => {
      await at.put({ freshFor: 99 }, 5);
      await at.advance(4);
      expect(await at.store.read(USER)).toBeDefined();
      await at.advance(2);
      for (const from of [at.store, at.other]) expect(await from.read(USER)).toBeUndefined();
      await at.granted();
    });

    it.each([0, -5])(
      'that is to be kept for %i s replaces the one before and is gone',
      async (s) => {
        await at.put();
        const lease = await at.granted(at.store, { newerThan: at.store.now(USER) + at.second });
        expect(await at.fill(lease, {}, s)).toBe('stored');
        await at.advance(2);
        expect(await at.store.read(USER)).toBeUndefined();
        await at.granted(at.other);
      },
    );

    it('that lives longer than the one before is not removed in its stead', async () => {
      await at.put({}, 5);
      const stored = await at.put({}, 29);
      await at.advance(10);
      expect(await at.store.read(USER)).toEqual(stored);
    });

    it.each([
      ['nothing', undefined],
      ['no bytes', new Uint8Array()],
      ['every byte', Uint8Array.from({ length: 256 }, (_, i) => i)],
      [
        'bytes that end a line or a text',
        Uint8Array.of(0, 13, 10, 0, 0xff, 0xfe, 0xed, 0xa0, 0x80),
      ],
      ['a Buffer', Buffer.from('value')],
    ])('may hold %s', async (_what, payload) => {
      const stored = { ...(await at.put()), payload };
      expect(await at.fill(await at.claim(), stored)).toBe('stored');
      const read = (await at.other.read(USER))!;
      expect(read.payload && [...read.payload]).toEqual(payload && [...payload]);
      expect({ ...read, payload }).toEqual(stored);
    });

    it('may hold a megabyte', async () => {
      await at.put({ payload: MEGABYTE });
      const { payload } = (await at.other.read(USER))!;
      expect(Buffer.compare(payload!, MEGABYTE)).toBe(0);
    });

    it('comes with the answer to who asks for the lease as it does to who reads', async () => {
      const stored = await at.put({ payload: bytes('a\0b'), version: 9n, freshFor: 3 });
      expect((await at.answer('fresh', at.other)).stored).toEqual(stored);
      await at.advance(4);
      expect((await at.answer('granted', at.store, { staleFor: 4 })).stale).toEqual(stored);
      expect((await at.answer('held', at.other, { staleFor: 4 })).stale).toEqual(stored);
    });

    it.each([0, 0xffff])('has a schema of 16 bits: %i', async (schema) => {
      const lease = await at.claim();
      await at.fill(lease, { ...at.content(lease), schema });
      expect((await at.store.read(USER))!.schema).toBe(schema);
    });

    it('has bytes of its own: what is done to others does not reach it', async () => {
      const payload = bytes('value');
      await at.put({ payload });
      payload.fill(0);
      (await at.store.read(USER))!.payload!.fill(1);
      (await at.answer('fresh', at.store)).stored.payload!.fill(2);
      expect((await at.store.read(USER))!.payload).toEqual(bytes('value'));
    });

    it('is nobody else’s, whatever characters its name has', async () => {
      for (const name of NAMES) await at.put({ payload: bytes(JSON.stringify(name)) }, 99, name);
      const reads = await Promise.all(NAMES.map((name) => at.other.read(name)));
      const texts = reads.map((read) => new TextDecoder().decode(read!.payload));
      expect(texts).toEqual(NAMES.map((name) => JSON.stringify(name)));
      await at.invalidate(undefined, at.store, NAMES[0]);
      expect(await at.store.read(NAMES[0]!)).toBeUndefined();
      for (const name of NAMES.slice(1)) expect(await at.store.read(name)).toBeDefined();
    });

    it('is given to each of many that are read in one tick, of them all', async () => {
      const names = Array.from({ length: 30 }, (_, i) => ({ entity: `e${i % 3}`, id: `${i}` }));
      for (const [i, name] of names.entries()) {
        if (i % 4 !== 0) await at.put({ payload: bytes(name.id) }, 99, name);
      }
      const reads = await Promise.all([...names, ...names].map((name) => at.other.read(name)));
      const expected = names.map(({ id }, i) => (i % 4 === 0 ? undefined : bytes(id)));
      expect(reads.map((read) => read?.payload)).toEqual([...expected, ...expected]);
    });
  });
}
