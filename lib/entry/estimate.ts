import { types } from 'node:util';

/*
 * How many bytes a value takes in memory, about, and rounded up: an estimate that is too low would let a table grow
 * past its bound. In one place, because a value weighs the same whether it was loaded or read from a store.
 */

/** Objects with more fields than this are dictionaries to V8, and weigh accordingly. */
const MANY_FIELDS = 16;

/** Numbers, booleans and `undefined`. */
export const SCALAR = 16;
/** An object without what it contains. */
export const OBJECT = 64;
/** An item of an array, without the item itself. */
export const ITEM = 8;
/** An item of a Set, or a key and value of a Map, without themselves. */
export const LOOKUP = 48;

export const ofText = (text: string) => 24 + 2 * text.length;
export const ofBigint = (value: bigint) => 24 + value.toString(16).length;
export const ofBytes = (bytes: Uint8Array) => 128 + bytes.byteLength;
export const ofField = (name: string, fields: number) =>
  fields > MANY_FIELDS ? 64 + 2 * name.length : 8;

/** What a value weighs that {@link seal} made, with what it holds twice counted twice. */
export function weigh(sealed: unknown): number {
  switch (typeof sealed) {
    case 'string':
      return ofText(sealed);
    case 'bigint':
      return ofBigint(sealed);
    case 'object':
      return sealed === null ? 0 : weighObject(sealed);
    default:
      return SCALAR;
  }
}

function weighObject(sealed: object): number {
  if (Array.isArray(sealed)) return OBJECT + ITEM * sealed.length + weighAll(sealed);
  if (types.isDate(sealed)) return OBJECT;
  if (types.isMap(sealed)) {
    return OBJECT + LOOKUP * sealed.size + weighAll(sealed.keys()) + weighAll(sealed.values());
  }
  if (types.isSet(sealed)) return OBJECT + LOOKUP * sealed.size + weighAll(sealed);
  if (types.isUint8Array(sealed)) return OBJECT + ofBytes(sealed);
  const names = Object.keys(sealed);
  const fields = names.reduce((bytes, name) => bytes + ofField(name, names.length), OBJECT);
  return fields + weighAll(Object.values(sealed));
}

function weighAll(items: Iterable<unknown>): number {
  let bytes = 0;
  for (const item of items) bytes += weigh(item);
  return bytes;
}
