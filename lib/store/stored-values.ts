import type { Policy, ReadThroughPolicy } from '../contract/policy.js';
import { decode, encode, type Reader } from '../entry/codec.js';
import { CacheRecord, type RecordExtras } from '../entry/record.js';
import type { Generations, StoredEntry } from './cache-store.js';

/** Of one value, encoded. */
const MOST_BYTES = 4 * 1024 * 1024;

/** What is kept of the values of one entity where others read it: bytes, and times of the store. */
export class StoredValues {
  private readonly schema: number;
  private readonly decoding: Reader;

  constructor({ schema, revive, read }: Policy) {
    this.schema = schema;
    this.decoding = {
      maxBytes: MOST_BYTES,
      revives: revive !== undefined,
      weighs: (read as ReadThroughPolicy).maxBytes < Infinity,
    };
  }

  entryOf(
    record: CacheRecord,
    grantedAt: number,
    generations: Generations | undefined,
  ): StoredEntry | 'too large' {
    const { value, loadedAt, softExpiry, loadMs, extras } = record;
    const payload = value === null ? undefined : encode(value, MOST_BYTES);
    if (payload === 'too large') return payload;
    return {
      payload,
      // From the grant on, not from now: a value that took long to load is not fresh for longer.
      loadedAt: grantedAt,
      softExpiry: grantedAt + (softExpiry - loadedAt),
      loadMs,
      schema: this.schema,
      version: extras?.version,
      generations,
    };
  }

  /** `ahead`: of the monotonic time before that of the store. `taggedAt`: where the tags of this process stand. */
  recordOf(
    stored: StoredEntry,
    ahead: number,
    taggedAt: number,
    onUnreadable?: () => void,
  ): CacheRecord | undefined {
    if (stored.schema !== this.schema) return undefined;
    const sealed =
      stored.payload === undefined
        ? ({ value: null, handOut: 'shared', bytes: 0 } as const)
        : decode(stored.payload, this.decoding);
    if (typeof sealed === 'string') {
      onUnreadable?.();
      return undefined;
    }
    const { bytes } = sealed;
    return new CacheRecord(
      sealed.value,
      sealed.handOut,
      Math.floor(stored.loadedAt + ahead),
      Math.floor(stored.softExpiry + ahead),
      stored.loadMs,
      extrasOf(stored, bytes, taggedAt),
    );
  }
}

/** Most need none. */
function extrasOf(
  { version, generations, isDoubtful = false }: StoredEntry,
  bytes: number,
  taggedAt: number,
): RecordExtras | undefined {
  const tags = generations?.tags.map(([tag]) => tag) ?? [];
  if (version === undefined && bytes === 0 && tags.length === 0 && !isDoubtful) return undefined;
  const extras = { bytes, tags, taggedAt, version };
  // Of its tags is known only that this process has not invalidated them.
  return isDoubtful ? { ...extras, taggedAt: 0, isDoubtful } : extras;
}
