import fc from 'fast-check';
import { decode, encode } from '../../lib/entry/codec.js';
import { seal } from '../../lib/entry/seal.js';
import { holds } from '../support/property.js';
import { data, described, isFrozenThrough } from '../support/values.js';

const MAX_BYTES = 1_000_000;
const reader = { maxBytes: MAX_BYTES, revives: false, weighs: true };
const payload = (value: unknown) => encode(seal(value, false).value, MAX_BYTES) as Buffer;
const read = (bytes: Uint8Array) => decode(bytes, reader);

describe('a value read from a remote store', () => {
  it('is what was loaded: equal in every item, type and order, as heavy, and handed out the same way', async () => {
    await holds(
      fc.property(data, fc.boolean(), (value, revives) => {
        const sealed = seal(value, revives);
        const bytes = encode(sealed.value, MAX_BYTES) as Buffer;
        const decoded = decode(bytes, { ...reader, revives });
        if (typeof decoded === 'string') throw new Error(decoded);
        expect(described(decoded.value)).toBe(described(sealed.value));
        expect(decoded.bytes).toBe(sealed.bytes);
        expect(decoded.handOut).toBe(sealed.handOut);
        if (decoded.handOut === 'shared') expect(isFrozenThrough(decoded.value)).toBe(true);
      }),
      3_000,
    );
  });

  it('is written the same way by who read it', async () => {
    await holds(
      fc.property(data, (value) => {
        const bytes = payload(value);
        const decoded = read(bytes) as { value: unknown };
        expect(payload(decoded.value).equals(bytes)).toBe(true);
      }),
      1_000,
    );
  });
});

const pieces = [
  ...[
    '',
    '',
    '',
    '"',
    ',',
    ':',
    '[',
    ']',
    '{',
    '}',
    '\\',
    '~',
    '-',
    '0',
    'f',
    '1e400',
    'null',
    '{}',
  ],
  ...['["~M",', '["~S",', '"~M"', '"~u"', '"~d1"', '"~bAA=="', '"~iff"', '"~zz"', '"\\u007eu"'],
  ...['{"__proto__":', ',"__proto__":{}', '"\\ud800"', '\0', '\xff', '\xe2\x82'],
].map((piece) => Buffer.from(piece, 'latin1'));

/** Removes up to three bytes somewhere, puts a piece there, and sometimes claims another format; all told by a number. */
function damaged(bytes: Buffer, choice: number): Buffer {
  const place = (choice >>> 12) % (bytes.length + 1);
  const result = Buffer.concat([
    bytes.subarray(0, place),
    pieces[(choice >>> 6) % pieces.length]!,
    bytes.subarray(Math.min(place + (choice & 3), bytes.length)),
  ]);
  const format = (choice >>> 2) & 15;
  if (format < 5 && result.length > 0) result[0] = format;
  return result;
}

/** Whether it was read; what was read is a value like one that was loaded, its own protection included. */
function isValue(bytes: Uint8Array): boolean {
  const decoded = read(bytes);
  if (typeof decoded === 'string') return false;
  const sealed = seal(decoded.value, false);
  const same =
    described(sealed.value) === described(decoded.value) &&
    sealed.handOut === decoded.handOut &&
    sealed.bytes === decoded.bytes &&
    (decoded.handOut === 'copied' || isFrozenThrough(decoded.value));
  if (!same) throw new Error(`${described(decoded.value)} as ${decoded.handOut}, ${decoded.bytes}`);
  return true;
}

describe('bytes that nobody wrote', () => {
  afterEach(() => {
    expect(Reflect.ownKeys(Object.prototype)).toHaveLength(12);
  });

  it('are a value like any other, or refused, when 100,000 payloads were damaged', async () => {
    const count = { values: 0, refused: 0 };
    const choices = fc.uint32Array({ minLength: 100, maxLength: 100 });
    await holds(
      fc.property(data, choices, (value, choices) => {
        const whole = payload(value);
        for (const choice of choices) {
          const once = damaged(whole, choice);
          const bytes = choice % 3 === 0 ? damaged(once, Math.imul(choice, 48271) >>> 0) : once;
          count[isValue(bytes) ? 'values' : 'refused']++;
        }
      }),
      1_000,
    );
    expect(count.values + count.refused).toBe(100_000);
    expect(count.values).toBeGreaterThan(5_000);
    expect(count.refused).toBeGreaterThan(5_000);
  });

  it('are a value like any other, or refused, when they are random', async () => {
    await holds(
      fc.property(fc.nat({ max: 5 }), fc.uint8Array({ maxLength: 40 }), (format, rest) => {
        isValue(Uint8Array.of(format, ...rest));
      }),
      10_000,
    );
  });
});
