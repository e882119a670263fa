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
import { weigh } from './estimate.js';
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

/** What the entity that reads wants to know, and can bear. */
export interface Reader {
  /** Of a payload and what stands before it. */
  readonly maxBytes: number;
  /** Whether it makes instances of plain data, which are then everybody's own. */
  readonly revives: boolean;
  /** Whether it counts what its values weigh; otherwise they weigh 0. */
  readonly weighs: boolean;
}

/**
 * The value of a payload, as {@link seal} makes them: nobody else holds any of it, and it is frozen where that is what
 * protects it. Cheaper than sealing what `JSON.parse` returns, because there is nothing to copy.
 *
 * The bytes are trusted with nothing. Whatever they are, this returns, in time and memory proportional to their number.
 *
 * @param start where the payload begins
 */
export function decode(bytes: Uint8Array, reader: Reader, start = 0): Sealed | Unreadable {
  if (bytes.byteLength > reader.maxBytes) return 'too large';
  const format = bytes[start];
  if (format === undefined) return 'damaged';
  if (format !== PLAIN && format !== ESCAPED && format !== COPIED) return 'unknown format';
  try {
    const written: unknown = JSON.parse(textOf(bytes, start + 1));
    const freezes = format !== COPIED && !reader.revives;
    const value = format === PLAIN ? plain(written, freezes) : rich(written, freezes, format);
    const isObject = typeof value === 'object' && value !== null;
    const handOut =
      reader.revives && isObject ? 'revived' : format === COPIED ? 'copied' : 'shared';
    return { value, handOut, bytes: reader.weighs ? weigh(value) : 0 };
  } catch {
    // Errors of JSON.parse and of escape.ts: all of them mean that nobody wrote these bytes.
    return 'damaged';
  }
}

function textOf(bytes: Uint8Array, start: number): string {
  const { buffer, byteOffset, byteLength } = bytes;
  const asBuffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(buffer, byteOffset, byteLength);
  return asBuffer.toString('utf8', start);
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

/** What `JSON.parse` returned, and nobody else holds: it is frozen where it stands. */
function plain(parsed: unknown, freezes: boolean): unknown {
  if (typeof parsed === 'object' && parsed !== null) protect(parsed, 0, freezes);
  return parsed;
}

function protect(parsed: object, depth: number, freezes: boolean): void {
  if (depth > MAX_DEPTH) throw new Damaged('nested deeper than what is written');
  const items: unknown[] = Array.isArray(parsed) ? parsed : Object.values(parsed);
  for (const item of items) {
    if (typeof item === 'object' && item !== null) protect(item, depth + 1, freezes);
  }
  if (freezes) Object.freeze(parsed);
}

function rich(parsed: unknown, freezes: boolean, format: number): unknown {
  const reading = new Reading(freezes);
  const value = reading.read(parsed, 0);
  // One that says less than it holds would be shared unprotected.
  if (reading.unfreezable === (format === COPIED)) return value;
  throw new Damaged('not of its format');
}

/** The same with marks, which give way to what they mean. */
class Reading {
  unfreezable = false;

  constructor(private readonly freezes: boolean) {}

  read(parsed: unknown, depth: number): unknown {
    if (typeof parsed === 'string') return isMarked(parsed) ? this.meaning(parsed) : parsed;
    return typeof parsed === 'object' && parsed !== null ? this.object(parsed, depth) : parsed;
  }

  private meaning(text: string): unknown {
    const value = unescape(text);
    if (typeof value === 'object') this.unfreezable = true;
    return value;
  }

  private object(parsed: object, depth: number): unknown {
    if (depth > MAX_DEPTH) throw new Damaged('nested deeper than what is written');
    const read = Array.isArray(parsed)
      ? this.items(parsed as unknown[], depth + 1)
      : this.fields(parsed as { [field: string]: unknown }, depth + 1);
    return this.freezes ? Object.freeze(read) : read;
  }

  private fields(fields: { [field: string]: unknown }, depth: number): object {
    for (const name of Object.keys(fields)) {
      const parsed = fields[name];
      const value = this.read(parsed, depth);
      // The field is there already, as its object's own, so this is safe for `__proto__` as well.
      if (value !== parsed) fields[name] = value;
    }
    return fields;
  }

  private items(items: unknown[], depth: number): object {
    const first = items[0];
    const means = isCollectionMark(first);
    for (let index = means ? 1 : 0; index < items.length; index++) {
      const value = this.read(items[index], depth);
      if (value !== items[index]) items[index] = value;
    }
    if (!means) return items;
    this.unfreezable = true;
    return collection(first, items.slice(1));
  }
}
