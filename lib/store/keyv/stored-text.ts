import type { Comparable } from '../../entry/version.js';
import type { EntryName, StoredEntry } from '../cache-store.js';

/** Part of what keys begin with, so that two releases that write differently do not read each other's entries. */
export const PROTOCOL = 1;
const FORMAT = `nestjs-cache-contract/${PROTOCOL}`;

/** Longer ones are neither stored nor read. */
export const MOST_CHARACTERS = 24 * 2 ** 20;
/** What decimal digits mean takes time that grows faster than their number. */
const MOST_DIGITS = 400;
/** The last moment a Date knows. */
const LAST_MS = 8.64e15;
const MOST_SCHEMA = 0xffff;

/**
 * An entry as text, whatever the Keyv makes of values: some compress them, some leave objects as they are. It names its
 * entry, because there are databases to which two keys are one.
 *
 * Nothing if it would be too long.
 */
export function encodeText({ entity, id }: EntryName, stored: StoredEntry): string | undefined {
  const { payload, loadedAt, softExpiry, loadMs, schema, version } = stored;
  const text = JSON.stringify({
    format: FORMAT,
    entity,
    id,
    loadedAt,
    softExpiry,
    loadMs,
    schema,
    version: version === undefined ? undefined : writtenVersion(version),
    payload: payload && Buffer.from(payload).toString('base64'),
  });
  return text.length > MOST_CHARACTERS ? undefined : text;
}

/** Nothing if it is none of ours, or of another entry, whatever it is. */
export function decodeText(text: unknown, { entity, id }: EntryName): StoredEntry | undefined {
  if (typeof text !== 'string' || text.length > MOST_CHARACTERS) return undefined;
  const found = parsed(text);
  if (found.format !== FORMAT || found.entity !== entity || found.id !== id) return undefined;
  const { loadedAt, softExpiry, loadMs, schema, payload } = found;
  if (!isTime(loadedAt) || !isTime(softExpiry) || !isTime(loadMs)) return undefined;
  if (!isTime(schema) || !Number.isInteger(schema) || schema > MOST_SCHEMA) return undefined;
  if (payload !== undefined && typeof payload !== 'string') return undefined;
  const version = found.version === undefined ? undefined : readVersion(found.version);
  if (version === undefined && found.version !== undefined) return undefined;
  return {
    payload: payload === undefined ? undefined : Buffer.from(payload, 'base64'),
    loadedAt,
    softExpiry,
    loadMs,
    schema,
    version,
  };
}

function parsed(text: string): { readonly [field: string]: unknown } {
  try {
    return (JSON.parse(text) ?? {}) as { readonly [field: string]: unknown };
  } catch {
    return {};
  }
}

/** JSON knows neither bigint nor infinity. */
function writtenVersion(version: Comparable): string {
  return typeof version === 'bigint' ? `${version}n` : `${version}`;
}

function readVersion(text: unknown): Comparable | undefined {
  if (typeof text !== 'string' || text.length > MOST_DIGITS) return undefined;
  if (/^-?\d+n$/.test(text)) return BigInt(text.slice(0, -1));
  const version = text.trim() === '' ? NaN : Number(text);
  return Number.isNaN(version) ? undefined : version;
}

function isTime(ms: unknown): ms is number {
  return typeof ms === 'number' && ms >= 0 && ms <= LAST_MS;
}
