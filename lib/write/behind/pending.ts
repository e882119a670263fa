import { CacheUsageError } from '../../errors/cache.error.js';
import { show } from '../../errors/wording.js';
import { copy } from '../../entry/copy.js';
import { seal, Unstorable } from '../../entry/seal.js';
import { isWhole } from './mutation.js';

/** As which type a whole number is given back. */
type Whole = 'number' | 'bigint';

/**
 * What a key has coming: mutations folded into one, in the order in which they were accepted.
 *
 * Whole numbers are kept as bigint, so that a sum is exact whatever its size.
 */
export type Pending =
  | { readonly op: 'set'; readonly value: unknown }
  | { readonly op: 'total'; readonly total: bigint; readonly as: Whole }
  | { readonly op: 'remove' }
  | { readonly op: 'add'; readonly by: bigint; readonly as: Whole };

interface Rules {
  readonly entity: string;
  readonly merge: 'lastWrite' | 'sum';
  readonly revive: ((plain: unknown) => unknown) | undefined;
}

/**
 * A mutation as the journal keeps it: its own copy, which nobody else can change.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID
 */
export function pendingOf(mutation: unknown, rules: Rules): Pending {
  const { op, value, by } = (mutation ?? {}) as { op?: unknown; value?: unknown; by?: unknown };
  // Readers cannot tell them apart, so nobody should have to write both.
  if (op === 'remove' || (op === 'set' && value === null && rules.merge === 'lastWrite'))
    return { op: 'remove' };
  if (op === 'add' && rules.merge === 'sum' && isWhole(by)) {
    return { op, by: BigInt(by), as: typeof by as Whole };
  }
  if (op === 'set' && rules.merge === 'sum' && isWhole(value)) {
    return { op: 'total', total: BigInt(value), as: typeof value as Whole };
  }
  if (op === 'set' && rules.merge === 'lastWrite' && value !== undefined) {
    return { op, value: sealed(value, rules) };
  }
  throw refused(mutation, op === 'set' ? value : by, rules);
}

function refused(mutation: unknown, operand: unknown, { entity, merge }: Rules): CacheUsageError {
  const { op } = (mutation ?? {}) as { op?: unknown };
  if (op === 'add' && merge === 'lastWrite') {
    return new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `add() needs an entity that merges by summing, and '${entity}' keeps the last write`,
      `write \`write: writeBehind({ merge: 'sum' })\` in the contract of '${entity}', or use set().`,
    );
  }
  if (op === 'add' || op === 'set') {
    const expected = merge === 'sum' ? 'a whole number' : 'a value other than undefined';
    return new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `${op}() of '${entity}' expected ${expected}, got ${merge === 'sum' ? show(operand) : 'undefined'}`,
      merge === 'sum'
        ? 'count in the smallest unit, and use a bigint beyond Number.MAX_SAFE_INTEGER; remove() says that there is nothing.'
        : 'use remove() to say that there is nothing.',
    );
  }
  return new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `a mutation of '${entity}' must be made by set(), remove() or add(), got ${show(mutation)}`,
    'return one of them from the method with @WriteBehind.',
  );
}

/** @throws {CacheUsageError} CACHE_ARGUMENT_INVALID also if it could not be given back: nobody could write it */
function sealed(value: unknown, { entity, revive }: Rules): unknown {
  const revives = revive !== undefined;
  let kept: unknown;
  try {
    kept = seal(value, revives).value;
  } catch (error) {
    if (!(error instanceof Unstorable)) throw error;
    const where = error.path === '' ? '' : ` at ${error.path}`;
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `set() of '${entity}' expected plain data, got ${error.found}${where}`,
      `give plain data (and Date, Map, Set, bigint, Uint8Array)${error.revivable && !revives ? `, or '${entity}' a \`revive\` that makes instances again` : ''}.`,
    );
  }
  try {
    if (revives) valueOf(kept, revive);
  } catch {
    throw new CacheUsageError(
      'CACHE_ARGUMENT_INVALID',
      `set() of '${entity}' got a value for which its \`revive\` throws`,
      'give what `revive` can make instances of, or let it take what is given.',
    );
  }
  return kept;
}

/** What is kept belongs to the journal: everybody else gets a copy, or an instance. */
export function valueOf(kept: unknown, revive: ((plain: unknown) => unknown) | undefined): unknown {
  if (typeof kept !== 'object' || kept === null) return kept;
  return revive === undefined ? copy(kept) : revive(copy(kept));
}

/** What is pending when `next` has been accepted after `before`. */
export function fold(before: Pending | undefined, next: Pending): Pending {
  if (next.op !== 'add' || before === undefined) return next;
  switch (before.op) {
    case 'add':
      return { op: 'add', by: before.by + next.by, as: next.as };
    case 'total':
      return { op: 'total', total: before.total + next.by, as: before.as };
    case 'remove':
      // The removal must not get lost: what was there before does not count any more.
      return { op: 'total', total: next.by, as: next.as };
    case 'set':
      throw new TypeError('an add after a set that is no number');
  }
}

/** A whole number in its own type; a bigint where a number could not hold it. */
export function exactly(whole: bigint, as: Whole): number | bigint {
  const number = Number(whole);
  return as === 'number' && Number.isSafeInteger(number) ? number : whole;
}

/** The value that readers see: `base` is what the source says, which has nothing of `pending` yet. */
export function shown(pending: Pending, base: unknown): unknown {
  switch (pending.op) {
    case 'set':
      return pending.value;
    case 'remove':
      return null;
    case 'total':
      return pending.as === 'number' ? Number(pending.total) : pending.total;
    case 'add':
      return sum(base, pending);
  }
}

/** Where there is nothing, an add begins at 0, as it does after a removal. */
function sum(base: unknown, { by, as }: Pending & { op: 'add' }): unknown {
  if (base === null || base === undefined) return as === 'number' ? Number(by) : by;
  if (typeof base === 'bigint') return base + by;
  if (Number.isSafeInteger(base)) return Number(BigInt(base as number) + by);
  return typeof base === 'number' ? base + Number(by) : undefined;
}
