import fc from 'fast-check';
import type { EntityKey, KeyPart } from 'nestjs-cache-contract';
import { idOf, isOwnId, MAX_ID_LENGTH } from '../../lib/entry/key.js';
import { holds } from '../support/property.js';

const id = (key: EntityKey) => idOf(key, 'thing');

// Parts that look like each other's encodings are what collides in careless schemes.
const tricky = fc.constantFrom(
  'a',
  'b',
  '/',
  '%',
  '%2F',
  '%25',
  'a/b',
  'null',
  'true',
  '1',
  '%null',
  ',',
  ':',
  '\u0000',
);
const text = fc.oneof(
  tricky,
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const part: fc.Arbitrary<KeyPart> = fc.oneof(
  text,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
  fc.bigInt(),
  fc.boolean(),
  fc.constant(null),
);
const tuple = fc.array(part, { minLength: 1, maxLength: 4 }) as unknown as fc.Arbitrary<EntityKey>;
const scalar = fc.oneof(
  text.filter((t) => t !== ''),
  fc.integer(),
  fc.bigInt(),
);
const key: fc.Arbitrary<EntityKey> = fc.oneof(scalar, tuple);

/** What a key is, by the rule: scalar or tuple, part by part, by text; null is only null. */
const meaning = (k: EntityKey) =>
  JSON.stringify(
    Array.isArray(k)
      ? (k as readonly KeyPart[]).map((p) => (p === null ? null : String(p)))
      : `scalar ${String(k)}`,
  );

describe('keys', () => {
  it('gives two keys one id exactly if they are equal part by part, by text', async () => {
    await holds(
      fc.property(key, key, (a, b) => {
        expect(id(a) === id(b)).toBe(meaning(a) === meaning(b));
      }),
      5_000,
    );
  });

  it('keeps long keys apart and every id bounded', async () => {
    const long = fc.tuple(
      fc.string({ minLength: 1, maxLength: 3 }),
      fc.integer({ min: 200, max: 600 }),
    );
    await holds(
      fc.property(long, long, fc.boolean(), ([a, m], [b, n], asTuple) => {
        const [x, y] = [a.repeat(m), b.repeat(n)];
        const [one, other] = asTuple ? [id([x, 'p']), id([y, 'p'])] : [id(x), id(y)];
        expect(one === other).toBe(x === y);
        expect(one.length).toBeLessThanOrEqual(MAX_ID_LENGTH);
      }),
    );
  });

  it.each([
    ['the 32-bit hash of bb and cA', 'bb', 'cA'],
    ['a separator inside a part', ['a/b', 'c'], ['a', 'b/c']],
    ['an escape inside a part', ['a%2Fb'], ['a/b']],
    ['parts that join to one text', ['1', '11'], ['11', '1']],
    ['a tuple and its text', ['a', 'b'], 'a/b'],
    ['a one-part tuple and its part', ['a'], 'a'],
    ['null and the word null', ['a', null], ['a', 'null']],
    ['a longer tuple', ['a', 'b'], ['a', 'b', '']],
    [
      'a long text and the text of its hash',
      'x'.repeat(300),
      id('x'.repeat(300)).replace(/^\ud801/, ''),
    ],
  ] as [string, EntityKey, EntityKey][])('does not confuse %s', (_, a, b) => {
    expect(id(a)).not.toBe(id(b));
  });

  it('compares by text: a number and its digits are one key', () => {
    expect(id(42)).toBe(id('42'));
    expect(id(42n)).toBe(id('42'));
    expect(id(['t', 7])).toBe(id(['t', '7']));
  });

  it.each([
    ['an empty text', ''],
    ['an empty tuple', []],
    ['NaN', NaN],
    ['-0', -0],
    ['Infinity', Infinity],
    ['a lone surrogate', 'a\ud800'],
    ['a lone surrogate in a tuple', ['t', '\udfff']],
    ['undefined', undefined],
    ['null', null],
    ['an object', { id: 1 }],
    ['an object in a tuple', ['t', { id: 1 }]],
    ['undefined in a tuple', ['t', undefined]],
    // eslint-disable-next-line no-sparse-arrays
    ['a hole in a tuple', [, 'u']],
    ['the id of a tuple', '\ud800a/b'],
    ['a nested tuple', ['t', ['u']]],
    ['a boolean', true],
    ['a symbol', Symbol('s')],
  ])('refuses %s, and says so without showing the key', (_, bad) => {
    let message = '';
    try {
      id(bad as EntityKey);
    } catch (error) {
      expect(error).toMatchObject({ code: 'CACHE_KEY_INVALID' });
      message = (error as Error).message;
    }
    expect(message).toMatch(/a key of 'thing' must be /);
    expect(message).toContain('Fix:');
  });

  it('looks a text up as it is exactly if that is its id, so no text finds the entry of a tuple or a long key', async () => {
    await holds(
      fc.property(key, (k) => {
        const spelt = id(k);
        if (isOwnId(k)) expect(spelt).toBe(k);
        if (typeof k !== 'string' && typeof k !== 'number' && typeof k !== 'bigint') {
          expect(isOwnId(spelt)).toBe(false);
        }
      }),
      2_000,
    );
    expect(isOwnId(id('x'.repeat(300)))).toBe(false);
    expect(isOwnId('\ud83d\ude00')).toBe(true);
  });
});
