import { createHash } from 'node:crypto';
import type { EntityKey } from '../contract/entity.js';
import { CacheUsageError } from '../errors/cache.error.js';
import { show } from '../errors/wording.js';

/** Longer ids are replaced by their SHA-256, so that nobody can fill the memory with long keys. */
export const MAX_ID_LENGTH = 256;

// A scalar's id is the scalar's own text, which makes the lookup of a string key free of work.
// The ids of tuples and hashes begin with a lone surrogate, which no scalar may contain: they cannot meet.
const TUPLE = '\ud800';
const HASH = '\ud801';
const HASH_CODE = HASH.charCodeAt(0);

/**
 * The id of an entry in its entity's tables. Two keys have one id exactly if they are equal part by part, by text.
 *
 * @throws {CacheUsageError} CACHE_KEY_INVALID
 */
export function idOf(key: EntityKey, entity: string): string {
  const id = Array.isArray(key) ? tupleId(key, entity) : scalarId(key, entity);
  return id.length > MAX_ID_LENGTH
    ? HASH + createHash('sha256').update(id, 'utf16le').digest('base64url')
    : id;
}

/** Whether a text is its own id: short, and none of the ids that only a tuple or a hash may have. O(1). */
export function isOwnId(key: unknown): key is string {
  return (
    typeof key === 'string' && key.length <= MAX_ID_LENGTH && (key.charCodeAt(0) | 1) !== HASH_CODE
  );
}

/** A key that nobody else can change. */
export function ownKey(key: EntityKey): EntityKey {
  return Array.isArray(key) ? (Object.freeze([...key]) as unknown as EntityKey) : key;
}

/** @throws {CacheUsageError} CACHE_KEY_INVALID */
export function idsOf(keys: readonly EntityKey[], entity: string): string[] {
  if (!Array.isArray(keys)) {
    throw new CacheUsageError(
      'CACHE_KEY_INVALID',
      `\`keys\` must return an array of keys of '${entity}', got ${discreet(keys)}`,
      'return an array, or use `key` for a single one.',
    );
  }
  return keys.map((key: EntityKey) => idOf(key, entity));
}

function scalarId(key: unknown, entity: string): string {
  const of = `a key of '${entity}'`;
  if (key === '') throw refused(of, 'non-empty', key);
  const id = textOf(key, of);
  if (id === undefined) {
    throw refused(of, 'a string, a number, a bigint or a tuple of such parts', key);
  }
  return id;
}

/** A one-part tuple is not its part: `'a'` and `['a']` are keys of different entities in practice. */
function tupleId(parts: readonly unknown[], entity: string): string {
  if (parts.length === 0) throw refused(`a key of '${entity}'`, 'non-empty', parts);
  return TUPLE + Array.from(parts, (part, index) => partId(part, index, entity)).join('/');
}

function partId(part: unknown, index: number, entity: string): string {
  if (part === null) return '%null'; // no text becomes this: a literal `%` is written `%25`
  if (typeof part === 'boolean') return String(part);
  const of = `part ${index + 1} of a key of '${entity}'`;
  const text = textOf(part, of);
  if (text === undefined) {
    throw refused(of, 'a string, a number, a bigint, a boolean or null', part);
  }
  return text.replace(/[%/]/g, (sign) => (sign === '%' ? '%25' : '%2F'));
}

function textOf(part: unknown, of: string): string | undefined {
  switch (typeof part) {
    case 'string':
      if (part.isWellFormed()) return part;
      throw refused(of, 'well-formed text', part, ' with a lone surrogate');
    case 'number':
      if (Number.isFinite(part) && !Object.is(part, -0)) return String(part);
      throw refused(of, 'a finite number other than -0', part);
    case 'bigint':
      return String(part);
    default:
      return undefined;
  }
}

function refused(of: string, expected: string, got: unknown, detail = ''): CacheUsageError {
  return new CacheUsageError(
    'CACHE_KEY_INVALID',
    `${of} must be ${expected}, got ${discreet(got)}${detail}`,
    'look at what is passed as the key, or at the key function of the decorator.',
  );
}

/** The text of a key may name a person; what is wrong with it can be said without it. */
function discreet(got: unknown): string {
  return typeof got === 'string' ? `a string of ${got.length} characters` : show(got);
}
