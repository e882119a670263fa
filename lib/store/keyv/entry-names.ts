import { createHash } from 'node:crypto';
import type { EntryName } from '../cache-store.js';
import { PROTOCOL } from './stored-text.js';

/** Databases behind a Keyv take keys of 255 characters, and the Keyv puts its own namespace in front. */
const MOST_CHARACTERS = 180;

/** A lock may remember each name it was ever asked for, as RedisLock does for its fences; so there are only so many. */
const LOCKS = 2 ** 16;

/** What entries are called in a Keyv, and the locks under which they are loaded. */
export class EntryNames {
  private readonly prefix: string;

  constructor(private readonly namespace: string) {
    this.prefix = `${namespace}/${PROTOCOL}`;
  }

  /**
   * Without a colon: a key that begins with the namespace of the Keyv and a colon is taken for one that has its namespace
   * already, where one key is read, and not where several are.
   */
  key({ entity, id }: EntryName): string {
    const key = `${this.prefix}/${escaped(entity)}/${escaped(id)}`;
    if (key.length <= MOST_CHARACTERS) return key;
    return `${this.prefix}/#${hash(`${entity.length} ${entity}${id}`).toString('hex')}`;
  }

  /** Two entries that share one are loaded one after the other where two processes do. */
  lock(entry: EntryName): string {
    return `${this.namespace}/lease/${hash(this.key(entry)).readUInt32LE() % LOCKS}`;
  }

  /** Of no entry. */
  get probe(): string {
    return `${this.prefix}/#probe`;
  }
}

const ESCAPED = /[^\w.@-]/g;

/** One code unit at a time: the id of a tuple begins with a lone surrogate, which no database knows. */
function escaped(name: string): string {
  return name.replace(
    ESCAPED,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`,
  );
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text, 'utf16le').digest();
}
