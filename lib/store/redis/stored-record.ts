import type { Generations, StoredEntry } from '../cache-store.js';
import {
  decodeGenerations,
  encodeGenerations,
  MOST_GENERATIONS_BYTES,
} from './stored-generations.js';
import { isOther, ServerHistory } from './server-history.js';
import { codeOf, versionOf, type VersionCode } from './version-code.js';

/**
 * How an entry lies in Redis, little endian:
 *
 * | bytes | what                                                                      |
 * | ----- | ------------------------------------------------------------------------- |
 * | 0     | 0xC1                                                                      |
 * | 1     | flags                                                                     |
 * | 2–3   | schema                                                                    |
 * | 4–7   | loadMs, whole                                                             |
 * | 8–15  | loadedAt, double                                                          |
 * | 16–23 | softExpiry, double                                                        |
 * | 24–35 | code of the version, in three parts, the most significant first           |
 * | 36–43 | history of the server that granted the lease, the begin of master_replid  |
 * | 44–   | where the flag says so: length of what follows, 4 bytes; the generations  |
 * | then  | payload                                                                   |
 *
 * A change of it needs a new {@link PROTOCOL}. The scripts know it too. They compare versions part by part, because
 * numbers are exact up to 2^53 there, and texts are compared as the locale wants.
 */
const HISTORY_AT = 36;
const HEADER_BYTES = 44;
const MAGIC = 0xc1;

/** Part of what keys begin with, so that two releases that write differently do not read each other's records. */
export const PROTOCOL = 1;

/** Longer ones are neither stored nor read. */
export const MOST_RECORD_BYTES = 16 * 2 ** 20;

/** The source said that there is nothing. */
const NOTHING = 1;
const BIGINT = 2;
/** Its tags are told before the payload. */
const TAGGED = 4;
const ALL_FLAGS = NOTHING | BIGINT | TAGGED;
const LENGTH_BYTES = 4;

/** The last moment a Date knows. */
const LAST_MS = 8.64e15;
const MOST_LOAD_MS = 2 ** 32 - 1;

/** Nothing if it would be too long. Times before 1970 count as 1970. */
export function encodeRecord(stored: StoredEntry, history: Buffer): Buffer | undefined {
  const { payload, version, generations } = stored;
  const tagged = generations && encodeGenerations(generations);
  if (tagged !== undefined && tagged.length > MOST_GENERATIONS_BYTES) return undefined;
  const begin = HEADER_BYTES + (tagged === undefined ? 0 : LENGTH_BYTES + tagged.length);
  const length = begin + (payload?.byteLength ?? 0);
  if (length > MOST_RECORD_BYTES) return undefined;
  const record = Buffer.alloc(length);
  record[0] = MAGIC;
  record[1] =
    (payload === undefined ? NOTHING : 0) |
    (typeof version === 'bigint' ? BIGINT : 0) |
    (tagged === undefined ? 0 : TAGGED);
  record.writeUInt16LE(stored.schema, 2);
  record.writeUInt32LE(within(MOST_LOAD_MS, Math.round(stored.loadMs)), 4);
  record.writeDoubleLE(within(LAST_MS, stored.loadedAt), 8);
  record.writeDoubleLE(within(LAST_MS, stored.softExpiry), 16);
  encodeVersion(codeOf(version)).copy(record, 24);
  history.copy(record, HISTORY_AT);
  if (tagged !== undefined) {
    record.writeUInt32LE(tagged.length, HEADER_BYTES);
    record.set(tagged, HEADER_BYTES + LENGTH_BYTES);
  }
  if (payload !== undefined) record.set(payload, begin);
  return record;
}

/** Nothing if it is none of ours, whatever it is. */
export function decodeRecord(found: Buffer | DoubtfulRecord): StoredEntry | undefined {
  if (!(found instanceof DoubtfulRecord)) return decodeBytes(found);
  const stored = decodeBytes(found.bytes);
  return stored && { ...stored, isDoubtful: true };
}

function decodeBytes(record: Buffer): StoredEntry | undefined {
  const { length } = record;
  if (length < HEADER_BYTES || length > MOST_RECORD_BYTES || record[0] !== MAGIC) {
    return undefined;
  }
  const flags = record[1]!;
  if (flags > ALL_FLAGS) return undefined;
  const tagged = (flags & TAGGED) === 0 ? undefined : taggedIn(record);
  const begin = tagged?.end ?? HEADER_BYTES;
  if ((flags & TAGGED) !== 0 && tagged === undefined) return undefined;
  const isNothing = (flags & NOTHING) !== 0;
  if (isNothing && length > begin) return undefined;
  const loadedAt = record.readDoubleLE(8);
  const softExpiry = record.readDoubleLE(16);
  if (!isTime(loadedAt) || !isTime(softExpiry)) return undefined;
  return {
    payload: isNothing ? undefined : record.subarray(begin),
    loadedAt,
    softExpiry,
    loadMs: record.readUInt32LE(4),
    schema: record.readUInt16LE(2),
    version: versionIn(record, (flags & BIGINT) !== 0),
    generations: tagged?.generations,
  };
}

/** Nothing if there are none that can be read. */
function taggedIn(
  record: Buffer,
): { readonly generations: Generations; readonly end: number } | undefined {
  const begin = HEADER_BYTES + LENGTH_BYTES;
  if (record.length < begin) return undefined;
  const end = begin + record.readUInt32LE(HEADER_BYTES);
  if (end > record.length || end - begin > MOST_GENERATIONS_BYTES) return undefined;
  const generations = decodeGenerations(record.subarray(begin, end));
  return generations && { generations, end };
}

/** A record of another history than that of its server: it may have been invalidated, and that be lost. */
export class DoubtfulRecord {
  constructor(readonly bytes: Buffer) {}
}

/** Nearly all are of the history of their server, and stay as they are. */
export function judged(record: Buffer, history: ServerHistory | Buffer): Buffer | DoubtfulRecord {
  const isDoubtful =
    history instanceof ServerHistory
      ? history.isOther(record, HISTORY_AT)
      : isOther(record, HISTORY_AT, history);
  return isDoubtful ? new DoubtfulRecord(record) : record;
}

/** As records and scripts have it. */
export function encodeVersion(code: VersionCode): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(Number(code >> 64n), 0);
  bytes.writeUInt32LE(Number((code >> 32n) & 0xffff_ffffn), 4);
  bytes.writeUInt32LE(Number(code & 0xffff_ffffn), 8);
  return bytes;
}

function versionIn(record: Buffer, isBigint: boolean): StoredEntry['version'] {
  const [high, middle, low] = [
    record.readUInt32LE(24),
    record.readUInt32LE(28),
    record.readUInt32LE(32),
  ];
  // Most have none.
  if (high === 0 && middle === 0 && low === 0) return versionOf(0n, isBigint);
  return versionOf((BigInt(high) << 64n) | (BigInt(middle) << 32n) | BigInt(low), isBigint);
}

function isTime(ms: number): boolean {
  return ms >= 0 && ms <= LAST_MS;
}

function within(most: number, value: number): number {
  return Math.min(Math.max(value, 0), most);
}
