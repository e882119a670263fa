import { decode, encode, type Unreadable } from '../../../lib/entry/codec.js';
import { seal } from '../../../lib/entry/seal.js';
import { described, isFrozenThrough } from '../../support/values.js';

const MAX_BYTES = 1_000_000;
const reader = { maxBytes: MAX_BYTES, revives: false, weighs: false };
const upTo = (maxBytes: number) => ({ ...reader, maxBytes });

function written(value: unknown): Buffer {
  const bytes = encode(seal(value, false).value, MAX_BYTES);
  if (bytes === 'too large') throw new Error(bytes);
  return bytes;
}

/** Bytes as somebody else might write them. */
const payload = (format: number, text: string) =>
  Buffer.concat([Buffer.of(format), Buffer.from(text)]);

function valueOf(bytes: Uint8Array): any {
  const decoded = decode(bytes, reader);
  if (typeof decoded === 'string') throw new Error(decoded);
  return decoded.value;
}

describe('a value that went through a remote store', () => {
  it.each<[string, unknown]>([
    ['numbers that JSON does not have', [NaN, -0, 0, Infinity, -Infinity]],
    ['undefined, in fields, in items and in holes', { a: undefined, b: [undefined, , 1] }], // eslint-disable-line no-sparse-arrays
    ['bigints of any size', [0n, -1n, 2n ** 64n, -(2n ** 4096n), 255n]],
    ['dates, invalid ones too', [new Date(0), new Date(-1), new Date(8.64e15), new Date(NaN)]],
    ['Map and Set, with keys of any kind', new Map<unknown, unknown>([[{ a: 1 }, new Set([[1]])]])],
    ['collections that are empty', [new Map(), new Set(), [], {}, '']],
    ['binary, each of its kind', [Buffer.from([0, 255]), Uint8Array.of(1, 2), Buffer.alloc(0)]],
    ['lone surrogates', ['\ud800', '\udfff\ud800', '😀']],
    ['texts that look like what the codec writes', ['~', '~~', '~u', '~d0', ['~M', 1], ['~S']]],
    ['fields that look like it', { '~u': 1, '~M': undefined, '': 2 }],
    ['text beyond ASCII', { naïve: '日本', x: undefined }],
  ])('has %s', (_, value) => {
    expect(described(valueOf(written(value)))).toBe(described(seal(value, false).value));
  });

  it('has a field named __proto__ as its own, and no other prototype', () => {
    for (const item of [{ polluted: 1 }, new Date(0), undefined]) {
      const value = valueOf(written({ ['__proto__']: item }));
      expect(Object.keys(value)).toEqual(['__proto__']);
      expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
      expect(value.polluted).toBeUndefined();
    }
  });

  it('has its binary in memory of its own, so that nobody reaches what else was read', () => {
    const { buffer, bytes } = valueOf(
      written({ buffer: Buffer.from('ab'), bytes: Uint8Array.of(1) }),
    );
    expect([buffer.buffer.byteLength, bytes.buffer.byteLength]).toEqual([2, 1]);
  });

  it('has an object twice that it held in two places', () => {
    const shared = { a: 1 };
    expect(described(valueOf(written([shared, shared])))).toBe(described([{ a: 1 }, { a: 1 }]));
  });

  it('is as deep as a value may be that is kept, and no deeper', () => {
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    expect(described(valueOf(written(JSON.parse(nested(201)))))).toBe(nested(201));
    expect(() => seal(JSON.parse(nested(202)), false)).toThrow('nested deeper');
    expect(decode(payload(1, nested(202)), reader)).toBe('damaged');
    expect(decode(payload(1, nested(400_000)), reader)).toBe('damaged');
    expect(decode(payload(2, nested(202)), reader)).toBe('damaged');
  });
});

describe('what is read', () => {
  it('is frozen through and through if everybody gets the same', () => {
    const decoded = decode(written({ a: [{ b: undefined }], c: 1n }), reader);
    expect(decoded).toMatchObject({ handOut: 'shared' });
    expect(isFrozenThrough((decoded as { value: unknown }).value)).toBe(true);
  });

  it('is not frozen if everybody gets a copy, so that one who alone gets it needs none', () => {
    const decoded: any = decode(written({ at: new Date(0), items: [{}] }), reader);
    expect(decoded.handOut).toBe('copied');
    decoded.value.items[0].added = 1;
    expect(decoded.value.items).toEqual([{ added: 1 }]);
  });

  it('is weighed only where somebody counts', () => {
    expect(decode(written('abc'), reader)).toMatchObject({ bytes: 0 });
    expect(decode(written('abc'), { ...reader, weighs: true })).toMatchObject({ bytes: 30 });
  });

  it('is what instances are made of, if the entity makes any', () => {
    expect(decode(written({ a: 1 }), { ...reader, revives: true })).toMatchObject({
      handOut: 'revived',
    });
    expect(decode(written('a'), { ...reader, revives: true })).toMatchObject({ handOut: 'shared' });
  });

  it('may stand behind a header, in a larger buffer', () => {
    const bytes = encode(['é'], MAX_BYTES, 40) as Buffer;
    expect(bytes.subarray(0, 40).equals(Buffer.alloc(40))).toBe(true);
    expect(bytes.subarray(40).equals(written(['é']))).toBe(true);
    const inside = Buffer.concat([Buffer.from('[['), bytes]).subarray(2);
    expect(decode(inside, reader, 40)).toMatchObject({ value: ['é'] });
    expect(decode(new Uint8Array(inside), reader, 40)).toMatchObject({ value: ['é'] });
  });
});

describe('a payload that is too large', () => {
  it('is not written, header included, counted in bytes of UTF-8', () => {
    expect(encode('éé', 7)).toHaveLength(7);
    expect(encode('éé', 6)).toBe('too large');
    expect(encode('éé', 17, 10)).toHaveLength(17);
    expect(encode('éé', 16, 10)).toBe('too large');
  });

  it('is not read, whatever is in it', () => {
    expect(decode(written('abc'), upTo(6))).toMatchObject({ value: 'abc' });
    expect(decode(written('abc'), upTo(5))).toBe('too large');
    expect(decode(Buffer.alloc(6, 99), upTo(5))).toBe('too large');
  });

  it.each<[string, unknown, number]>([
    ['numbers', 1, 40],
    // Fewer levels: V8 has no text that would hold them all.
    ['long texts', 'x'.repeat(1_000_000), 12],
    ['long names', { ['x'.repeat(1_000_000)]: 1 }, 12],
    ['binary', new Uint8Array(1_000_000), 12],
  ])(
    'is seen before it is written, where objects that share objects repeat %s',
    (_, leaf, levels) => {
      let lists = leaf;
      let maps = leaf;
      for (let level = 0; level < levels; level++) {
        lists = [[lists], lists];
        maps = new Map([['left', [maps, new Set([{ again: maps }])]]]);
      }
      expect(encode(seal(lists, false).value, MAX_BYTES)).toBe('too large');
      expect(encode(seal(maps, false).value, MAX_BYTES)).toBe('too large');
    },
  );

  it('is so at 64 MiB whatever the caller accepts', () => {
    expect(encode(new Uint8Array(64 * 1024 * 1024), Infinity)).toBe('too large');
  });
});

describe('a payload that is not readable', () => {
  it.each<[Unreadable, string, number, string]>([
    ['unknown format', 'of a later release', 4, '{}'],
    ['unknown format', 'without a format', 0x7b, '}'],
    ['damaged', 'cut off', 1, '{"a":'],
    ['damaged', 'empty but for the format', 1, ''],
    ['damaged', 'with something behind it', 1, '{}1'],
    ['damaged', 'with an unknown mark', 2, '"~x"'],
    ['damaged', 'with a mark that says nothing', 2, '"~"'],
    ['damaged', 'with a mark that says too much', 2, '"~uu"'],
    ['damaged', 'with a date that is none', 3, '"~dnow"'],
    ['damaged', 'with a date without a number', 3, '"~d"'],
    ['damaged', 'with a date beyond the last', 3, '"~d8640000000000001"'],
    ['damaged', 'with a date between milliseconds', 3, '"~d1.5"'],
    ['damaged', 'with an infinite date', 3, '"~dInfinity"'],
    ['damaged', 'with a bigint that is none', 2, '"~ixyz"'],
    ['damaged', 'with a bigint without digits', 2, '"~i"'],
    ['damaged', 'with a bigint of zeros', 2, '"~i-0"'],
    ['damaged', 'with binary that is none', 3, '"~b!!!!"'],
    ['damaged', 'with a key without its value', 3, '["~M",1,2,3]'],
    ['damaged', 'with a key twice', 3, '["~M",1,2,1,3]'],
    ['damaged', 'with an item twice', 3, '["~S",1,1]'],
    ['damaged', 'with a Map that is no array', 3, '{"a":"~M"}'],
    ['damaged', 'with a Map that begins too late', 3, '[1,"~S"]'],
    // It would be shared unprotected, or copied for nothing.
    ['damaged', 'with a date that its format denies', 2, '["~d0"]'],
    ['damaged', 'with a Set that its format denies', 2, '["~S"]'],
    ['damaged', 'without the date that its format promises', 3, '["~u"]'],
  ])('is %s: one %s', (why, _, format, text) => {
    expect(decode(payload(format, text), reader)).toBe(why);
  });

  it('is damaged: one of no bytes', () => {
    expect(decode(Buffer.alloc(0), reader)).toBe('damaged');
    expect(decode(Buffer.from('[]'), reader, 2)).toBe('damaged');
  });

  it('has no marks if its format has none', () => {
    expect(valueOf(payload(1, '["~M","~d0"]'))).toEqual(['~M', '~d0']);
    expect(written(['~M', '~d0'])).toEqual(payload(1, '["~M","~d0"]'));
  });
});
