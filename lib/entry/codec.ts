import { types } from 'node:util';
import {
  collection,
  Damaged,
  escape,
  isCollectionMark,
  isInJson,
  isMarked,
  unescape,
} from './escape.js';
import * as estimate from './estimate.js';
import { MAX_DEPTH, type Sealed } from './seal.js';

/*
 * A payload is one byte that names its format, and JSON in UTF-8. The formats of this release, which every later one
 * reads:
 */
/** JSON as it is. */
const PLAIN = 1;
/** With what JSON has no words for, see escape.ts. */
const ESCAPED = 2;
/** The same, with a Date, Map, Set or binary in it: not worth freezing. */
const COPIED = 3;

/** Texts are written and read in one piece; V8 has none much longer than this may become with all its escapes. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * Why a payload is not a value.
 *
 * - `too large`: longer than the reader accepts; nothing of it was looked at.
 * - `unknown format`: written by a later release, or by something else.
 * - `damaged`: not what {@link encode} writes.
 */
export type Unreadable = 'too large' | 'unknown format' | 'damaged';

/**
 * What {@link seal} made, as bytes for a remote store. An object that the value holds twice is written twice.
 *
 * @param maxBytes of the whole result; at most 64 MiB
 * @param reserved zero bytes in front, for the caller to write on
 */
export function encode(sealed: unknown, maxBytes: number, reserved = 0): Buffer | 'too large' {
  const most = Math.min(maxBytes, MOST_BYTES) - reserved - 1;
  const survey = new Survey(most);
  if (!survey.visit(sealed)) return 'too large';
  const text = JSON.stringify(survey.format === PLAIN ? sealed : escape(sealed));
  const length = Buffer.byteLength(text);
  if (length > most) return 'too large';
  const bytes = Buffer.allocUnsafe(reserved + 1 + length).fill(0, 0, reserved);
  bytes[reserved] = survey.format;
  bytes.write(text, reserved + 1);
  return bytes;
}

/**
 * The value of a payload, as {@link seal} makes them: nobody else holds any of it, and it is frozen where that is what
 * protects it. Cheaper than sealing what `JSON.parse` returns, because there is nothing to copy.
 *
 * The bytes are trusted with nothing. Whatever they are, this returns, in time and memory proportional to their number.
 *
 * @param maxBytes of the whole array
 * @param revives whether the reader makes instances of plain data, which are then everybody's own
 * @param start where the payload begins
 */
export function decode(
  bytes: Uint8Array,
  maxBytes: number,
  revives: boolean,
  start = 0,
): Sealed | Unreadable {
  if (bytes.byteLength > maxBytes) return 'too large';
  const format = bytes[start];
  if (format === undefined) return 'damaged';
  if (format !== PLAIN && format !== ESCAPED && format !== COPIED) return 'unknown format';
  try {
    const written: unknown = JSON.parse(textOf(bytes, start + 1));
    const reading = new Reading(format !== PLAIN, format !== COPIED && !revives);
    const value = reading.read(written, 0);
    // One that says less than it holds would be shared unprotected.
    if (reading.unfreezable !== (format === COPIED)) return 'damaged';
    const isObject = typeof value === 'object' && value !== null;
    const handOut = revives && isObject ? 'revived' : reading.unfreezable ? 'copied' : 'shared';
    return { value, handOut, bytes: reading.bytes };
  } catch {
    // Errors of JSON.parse and of escape.ts: all of them mean that nobody wrote these bytes.
    return 'damaged';
  }
}

function textOf({ buffer, byteOffset, byteLength }: Uint8Array, start: number): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('utf8', start);
}

/** What a value needs to be written. */
class Survey {
  format = PLAIN;

  /** @param left a value that shares its objects can be small in memory and endless in writing */
  constructor(private left: number) {}

  /** Whether there is room, as far as can be told without writing it. */
  visit(sealed: unknown): boolean {
    this.left -= 1;
    switch (typeof sealed) {
      case 'string':
        this.left -= sealed.length;
        break;
      case 'number':
        if (!isInJson(sealed)) this.needs(ESCAPED);
        break;
      case 'undefined':
      case 'bigint':
        this.needs(ESCAPED);
        break;
      case 'object':
        return sealed === null || this.visitObject(sealed);
    }
    return this.left >= 0;
  }

  private visitObject(sealed: object): boolean {
    if (Array.isArray(sealed)) return sealed.every((item) => this.visit(item));
    if (types.isDate(sealed)) {
      this.needs(COPIED);
    } else if (types.isMap(sealed)) {
      this.needs(COPIED);
      for (const [key, value] of sealed) {
        if (!this.visit(key) || !this.visit(value)) return false;
      }
    } else if (types.isSet(sealed)) {
      this.needs(COPIED);
      for (const item of sealed) if (!this.visit(item)) return false;
    } else if (types.isUint8Array(sealed)) {
      this.needs(COPIED);
      this.left -= sealed.byteLength;
    } else {
      for (const name of Object.keys(sealed)) {
        this.left -= name.length;
        if (!this.visit((sealed as { [field: string]: unknown })[name])) return false;
      }
    }
    return this.left >= 0;
  }

  private needs(format: number): void {
    this.format = Math.max(this.format, format);
  }
}

/** One walk through what `JSON.parse` returned, which nobody else holds: it is changed where it stands. */
class Reading {
  bytes = 0;
  unfreezable = false;

  constructor(
    private readonly escaped: boolean,
    private readonly freezes: boolean,
  ) {}

  read(written: unknown, depth: number): unknown {
    switch (typeof written) {
      case 'string':
        return this.escaped && isMarked(written) ? this.marked(written) : this.text(written);
      case 'object':
        return written === null ? null : this.object(written, depth);
      default:
        this.bytes += estimate.SCALAR;
        return written;
    }
  }

  private text(text: string): string {
    this.bytes += estimate.ofText(text);
    return text;
  }

  private marked(text: string): unknown {
    const value = unescape(text);
    if (typeof value === 'string') return this.text(value);
    if (typeof value === 'object') {
      this.unfreezable = true;
      this.bytes += estimate.OBJECT;
      if (types.isUint8Array(value)) this.bytes += estimate.ofBytes(value);
    } else {
      this.bytes += typeof value === 'bigint' ? estimate.ofBigint(value) : estimate.SCALAR;
    }
    return value;
  }

  private object(written: object, depth: number): unknown {
    if (depth > MAX_DEPTH) throw new Damaged('nested deeper than what is written');
    this.bytes += estimate.OBJECT;
    const read = Array.isArray(written)
      ? this.items(written as unknown[], depth + 1)
      : this.fields(written as { [field: string]: unknown }, depth + 1);
    return this.freezes ? Object.freeze(read) : read;
  }

  private fields(fields: { [field: string]: unknown }, depth: number): object {
    const names = Object.keys(fields);
    for (const name of names) {
      this.bytes += estimate.ofField(name, names.length);
      const written = fields[name];
      const value = this.read(written, depth);
      // The field is there already, as its object's own, so this is safe for `__proto__` as well.
      if (value !== written) fields[name] = value;
    }
    return fields;
  }

  private items(items: unknown[], depth: number): object {
    const first = items[0];
    const isCollection = this.escaped && isCollectionMark(first);
    for (let index = isCollection ? 1 : 0; index < items.length; index++) {
      const value = this.read(items[index], depth);
      if (value !== items[index]) items[index] = value;
    }
    if (!isCollection) {
      this.bytes += estimate.ITEM * items.length;
      return items;
    }
    const read = collection(first, items.slice(1));
    this.unfreezable = true;
    this.bytes += estimate.LOOKUP * read.size;
    return read;
  }
}
