import type { FillOutcome, Lease, LeaseAnswer } from './cache-store.js';
import type { LogAnswer, LogPosition, TagsAnswer } from './invalidation-log.js';

// A store may be of somebody else. What it answers is looked at once, where it arrives: whoever acts on it would throw, or
// ask for ever. What cannot be meant counts as no answer. Entries are looked at by those who decode them.

/** One for each that was asked for. */
export function isSoundRead(answer: unknown, asked: number): boolean {
  return Array.isArray(answer) && answer.length === asked;
}

export function isSoundLease(answer: unknown): boolean {
  const said = (answer ?? {}) as Partial<Record<keyof Held, unknown>> & {
    readonly lease?: unknown;
    readonly stored?: unknown;
  };
  switch (said.outcome as LeaseAnswer['outcome']) {
    case 'granted':
      return isSoundGrant(said.lease);
    case 'fresh':
      return isObject(said.stored);
    case 'cooling':
      return isObject(said.stale);
    case 'held':
      return (
        (said.forMs as number) >= 0 &&
        typeof said.leave === 'function' &&
        typeof (said.woken as Partial<Promise<void>> | undefined)?.then === 'function'
      );
    case 'refused':
      return true;
    default:
      return false;
  }
}

export function isSoundGrant(answer: unknown): boolean {
  const { entry, grantedAt } = (answer ?? {}) as Partial<Lease>;
  return typeof entry?.id === 'string' && Number.isFinite(grantedAt);
}

const FILLED: readonly unknown[] = ['stored', 'voided', 'older version'] satisfies FillOutcome[];

export function isSoundFill(answer: unknown): boolean {
  return FILLED.includes(answer);
}

export function isSoundPosition(answer: unknown): boolean {
  const { epoch, seq } = (answer ?? {}) as Partial<LogPosition>;
  return typeof epoch === 'string' && Number.isSafeInteger(seq);
}

export function isSoundPoll(answer: unknown): boolean {
  const { end, missed = [] } = (answer ?? {}) as Partial<LogAnswer>;
  return isSoundPosition(end) && Array.isArray(missed) && missed.every(isSoundMessage);
}

export function isSoundMessage(message: unknown): boolean {
  const { entries, tags } = (message ?? {}) as {
    readonly entries?: unknown;
    readonly tags?: unknown;
  };
  return (
    isSoundPosition(message) &&
    Array.isArray(entries) &&
    entries.every(isObject) &&
    Array.isArray(tags) &&
    tags.every((tag) => typeof tag === 'string')
  );
}

/** One number for each tag that was asked for. */
export function isSoundTags(answer: unknown, asked: number): boolean {
  const { end, generations } = (answer ?? {}) as Partial<TagsAnswer>;
  return (
    isSoundPosition(end) &&
    Array.isArray(generations) &&
    generations.length === asked &&
    generations.every((one: unknown) => Number.isSafeInteger(one) && isWithin(one, end!.seq))
  );
}

function isWithin(generation: unknown, seq: number): boolean {
  return (generation as number) >= 0 && (generation as number) <= seq;
}

type Held = Extract<LeaseAnswer, { outcome: 'held' }>;

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
