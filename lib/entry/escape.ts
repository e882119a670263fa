import { types } from 'node:util';
import { copyBytes, setField } from './copy.js';

/*
 * What JSON has no words for is written as a text or an array that begins with a mark:
 *
 *   ~u  undefined      ~n  NaN      ~z  -0      ~p  Infinity      ~m  -Infinity
 *   ~i  bigint, in hexadecimal digits           ~d  Date, in milliseconds, or NaN
 *   ~b  Buffer, in base64                       ~a  Uint8Array, in base64
 *   ["~M", key, value, …]  Map                  ["~S", item, …]  Set
 *
 * A text of the user's that begins with the mark gets another one in front of it, so nothing is written in two ways
 * and no name of a field means anything.
 */
const MARK = '~';
const MARK_CODE = MARK.charCodeAt(0);
const MAP = '~M';
const SET = '~S';

/** Bytes that are not what {@link escape} writes. */
export class Damaged extends Error {}

/** Whether JSON writes the number as it is. */
export function isInJson(value: number): boolean {
  return Number.isFinite(value) && (value !== 0 || !Object.is(value, -0));
}

/** A value that `JSON.stringify` writes without losing anything of the sealed one. */
export function escape(sealed: unknown): unknown {
  switch (typeof sealed) {
    case 'string':
      return sealed.charCodeAt(0) === MARK_CODE ? MARK + sealed : sealed;
    case 'number':
      return isInJson(sealed) ? sealed : escapeNumber(sealed);
    case 'undefined':
      return '~u';
    case 'bigint':
      // Hexadecimal: what decimal digits mean takes time that grows faster than their number.
      return `~i${sealed.toString(16)}`;
    case 'object':
      return sealed === null ? null : escapeObject(sealed);
    default:
      return sealed;
  }
}

function escapeNumber(value: number): string {
  if (value === 0) return '~z';
  return value > 0 ? '~p' : value < 0 ? '~m' : '~n';
}

function escapeObject(sealed: object): unknown {
  if (Array.isArray(sealed)) return sealed.map(escape);
  if (types.isDate(sealed)) return `~d${sealed.getTime()}`;
  if (types.isMap(sealed)) {
    return [MAP, ...Array.from(sealed).flatMap(([key, value]) => [escape(key), escape(value)])];
  }
  if (types.isSet(sealed)) return [SET, ...Array.from(sealed, escape)];
  if (types.isUint8Array(sealed)) {
    const { buffer, byteOffset, byteLength } = sealed;
    const base64 = Buffer.from(buffer, byteOffset, byteLength).toString('base64');
    return (Buffer.isBuffer(sealed) ? '~b' : '~a') + base64;
  }
  const escaped = {};
  for (const [field, value] of Object.entries(sealed)) setField(escaped, field, escape(value));
  return escaped;
}

/** Whether a text means something else than itself. */
export function isMarked(text: string): boolean {
  return text.charCodeAt(0) === MARK_CODE;
}

/**
 * What a marked text means. It is trusted with nothing: each value has one spelling, and every other is refused.
 *
 * @throws {Damaged}
 */
export function unescape(text: string): unknown {
  switch (text.charAt(1)) {
    case MARK:
      return text.slice(1);
    case 'u':
      return alone(text, undefined);
    case 'n':
      return alone(text, NaN);
    case 'z':
      return alone(text, -0);
    case 'p':
      return alone(text, Infinity);
    case 'm':
      return alone(text, -Infinity);
    case 'd':
      return date(text.slice(2));
    case 'i':
      return bigint(text.slice(2));
    case 'b':
      return bytes(text.slice(2));
    case 'a':
      return new Uint8Array(bytes(text.slice(2)));
    default:
      throw new Damaged('an unknown mark');
  }
}

function alone<T>(text: string, meaning: T): T {
  if (text.length === 2) return meaning;
  throw new Damaged('a mark with too much behind it');
}

function date(digits: string): Date {
  const date = new Date(Number(digits));
  if (String(date.getTime()) === digits) return date;
  throw new Damaged('no time');
}

function bigint(digits: string): bigint {
  if (!/^(0|-?[1-9a-f][\da-f]*)$/.test(digits)) throw new Damaged('no bigint');
  return digits.startsWith('-') ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`);
}

function bytes(base64: string): Uint8Array {
  const decoded = Buffer.from(base64, 'base64');
  if (decoded.toString('base64') === base64) return copyBytes(decoded);
  throw new Damaged('no base64');
}

/** Whether an array that begins with this means a Map or a Set. */
export function isCollectionMark(first: unknown): boolean {
  return first === MAP || first === SET;
}

/**
 * The Map or Set that an array means.
 *
 * @throws {Damaged}
 */
export function collection(
  mark: unknown,
  items: readonly unknown[],
): Map<unknown, unknown> | Set<unknown> {
  if (mark === SET) return whole(new Set(items), items.length);
  const map = new Map<unknown, unknown>();
  for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  return whole(map, items.length / 2);
}

function whole<T extends { readonly size: number }>(collection: T, size: number): T {
  if (collection.size === size) return collection;
  throw new Damaged('an item twice, or a key without a value');
}
