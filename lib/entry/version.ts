import type { Version } from '../contract/entity.js';

/** A version as it is compared; nothing if it is none. A Date is taken as it stands now: it can be changed later. */
export function comparable(version: unknown): number | bigint | undefined {
  if (version instanceof Date) return comparable(version.getTime());
  if (typeof version === 'bigint') return version;
  return typeof version === 'number' && !Number.isNaN(version) ? version : undefined;
}

export type Comparable = Exclude<Version, Date>;
