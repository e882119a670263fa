import type { Comparable } from '../../entry/version.js';

/**
 * 96 bits; of two versions the greater has the greater code, also of a number and a bigint. Exact for every number, and
 * for bigints of less than 2^85; greater ones count as equal if they are as near as that.
 */
export type VersionCode = bigint;

/** Less than the code of any version. */
const NO_VERSION: VersionCode = 0n;

const SIGN = 2n ** 63n;
const MOST_REST = 2n ** 32n - 1n;

export function codeOf(version: Comparable | undefined): VersionCode {
  if (version === undefined) return NO_VERSION;
  if (typeof version === 'number') return orderOf(version) << 32n;
  const nearest = Number(version);
  const order = nearest > version ? orderOf(nearest) - 1n : orderOf(nearest);
  const number = numberOf(order);
  const rest = Number.isFinite(number) ? version - BigInt(number) : MOST_REST;
  return (order << 32n) + (rest > MOST_REST ? MOST_REST : rest);
}

/** What the code was made of, as far as it is exact. */
export function versionOf(code: VersionCode, isBigint: boolean): Comparable | undefined {
  if (code === NO_VERSION) return undefined;
  const number = numberOf(code >> 32n);
  // Bytes that no version has.
  if (Number.isNaN(number)) return undefined;
  if (!isBigint || !Number.isInteger(number)) return number;
  return BigInt(number) + (code & MOST_REST);
}

/** 64 bits that grow with the number; never 0. */
function orderOf(number: number): bigint {
  const bytes = Buffer.alloc(8);
  // The sum makes a zero of the negative zero.
  bytes.writeDoubleBE(number + 0);
  const bits = bytes.readBigUInt64BE();
  return bits < SIGN ? bits + SIGN : BigInt.asUintN(64, ~bits);
}

function numberOf(order: bigint): number {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(order >= SIGN ? order - SIGN : BigInt.asUintN(64, ~order));
  return bytes.readDoubleBE();
}
