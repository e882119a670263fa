import { readFileSync } from 'node:fs';
import { decode, encode } from '../../lib/entry/codec.js';
import { seal } from '../../lib/entry/seal.js';
import { described } from '../support/values.js';

/** Per release the payloads it wrote, in base64; only added to. The last release is this one, or writes like it. */
const releases: Record<string, Record<string, string>> = JSON.parse(
  readFileSync(new URL('payloads.json', import.meta.url), 'utf8'),
);

const values: Record<string, unknown> = {
  nothing: null,
  'a text': 'naïve 日本 \ud800 "\\\u2028',
  'a text with a mark': ['~', '~~u'],
  'a row': { id: 7, name: 'Ada', active: true, score: -1.5e300, team: null, '': [], '10': {} },
  'fields of Object.prototype': { ['__proto__']: { a: 1 }, constructor: 1, toJSON: 2 },
  'beyond JSON': { u: undefined, n: NaN, z: -0, p: Infinity, m: -Infinity, holes: [undefined, 1] },
  bigints: [0n, -255n, 2n ** 70n],
  'texts among what is beyond JSON': [undefined, '~', '~u', '~M', ['~S']],
  dates: [new Date(1_700_000_000_000), new Date(-1), new Date(NaN)],
  binary: [Buffer.from([0, 1, 255]), Uint8Array.of(7), Buffer.alloc(0)],
  collections: new Map<unknown, unknown>([
    ['set', new Set([1, '~', undefined])],
    [{ key: 1 }, new Map()],
    ['empty', new Set()],
  ]),
  'a row with dates': { id: 'u1', createdAt: new Date(0), deletedAt: undefined, tags: ['a'] },
};

const read = (base64: string) =>
  decode(Buffer.from(base64, 'base64'), { maxBytes: 1_000_000, revives: false, weighs: false });
const written = (value: unknown) =>
  (encode(seal(value, false).value, 1_000_000) as Buffer).toString('base64');

describe.each(Object.entries(releases))('payloads that %s wrote', (_, payloads) => {
  it.each(Object.entries(payloads))('are read: %s', (name, payload) => {
    const decoded = read(payload);
    if (typeof decoded === 'string') throw new Error(decoded);
    expect(described(decoded.value)).toBe(described(values[name]));
  });
});

it('a payload is written as by the release that is noted last', () => {
  const now = Object.fromEntries(Object.entries(values).map(([name, v]) => [name, written(v)]));
  expect(Object.values(releases).at(-1)).toEqual(now);
});
