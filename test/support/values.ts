import fc from 'fast-check';

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    '~',
    '~~',
    '~u',
    '~M',
    '~d0',
    '\ud800',
    '\udc00x',
    '\0',
    '\u2028',
    'é',
    '日本',
  ),
);
const scalar = fc.oneof(
  text,
  fc.integer(),
  fc.double(),
  fc.constantFrom(-0, NaN, Infinity, -Infinity, 2 ** 53, 5e-324),
  fc.boolean(),
  fc.bigInt(),
  fc.bigInt({ min: -(2n ** 300n), max: 2n ** 300n }),
  fc.constant(null),
  fc.constant(undefined),
);
const field = fc.oneof(
  text,
  fc.constantFrom('__proto__', 'constructor', 'toString', 'toJSON', 'length', '0', '10', '-1'),
);
// With a prototype, as loaders return them.
const fields = (value: fc.Arbitrary<unknown>) =>
  fc
    .uniqueArray(fc.tuple(field, value), { maxLength: 4, selector: ([name]) => name })
    .map((entries) => Object.fromEntries(entries));

/** Everything that may be kept, with all that is rare in it; trees, with nothing in two places. */
export const { data } = fc.letrec<{ data: unknown }>((tie) => ({
  data: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar,
    fc.date(),
    fc.uint8Array({ maxLength: 4 }),
    fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie('data'), { maxLength: 4 }),
    fields(tie('data')),
    fc.uniqueArray(scalar, { maxLength: 3 }).map((items) => new Set(items)),
    fc.array(fc.tuple(scalar, tie('data')), { maxLength: 3 }).map((items) => new Map(items)),
  ),
}));

/**
 * A text that two values share exactly if nobody can tell them apart: of one type, with the same items and fields in
 * the same order. Comparing values misses the order of fields, and takes no invalid date for equal to another.
 */
export function described(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value !== 'object' || value === null)
    return Object.is(value, -0) ? '-0' : String(value);
  if (Buffer.isBuffer(value)) return `Buffer(${value.toString('hex')})`;
  const list = (items: Iterable<unknown>) => Array.from(items, described).join();
  switch (Object.prototype.toString.call(value)) {
    case '[object Array]':
      return `[${list(value as unknown[])}]`;
    case '[object Date]':
      return `Date(${(value as Date).getTime()})`;
    case '[object Map]':
      return `Map(${list(value as Map<unknown, unknown>)})`;
    case '[object Set]':
      return `Set(${list(value as Set<unknown>)})`;
    case '[object Uint8Array]':
      return `Uint8Array(${Buffer.from(value as Uint8Array).toString('hex')})`;
    default:
      return `{${list(Object.entries(value).flat())}}`;
  }
}

/** Whether nothing in it can be changed, but for what freezing does not protect. */
export function isFrozenThrough(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return Object.isFrozen(value) && Object.values(value).every(isFrozenThrough);
}
