import type { EntryName } from '../entry-name.js';
import type { LogMessage } from '../invalidation-log.js';

/** What may come from a server is not trusted: a longer one is none of ours. */
const MOST_CHARACTERS = 1_000_000;

/** ASCII: what has no form in UTF-8 is written as JSON writes it. */
export function encodeEntries(entries: readonly EntryName[]): string {
  return JSON.stringify(entries.map(({ entity, id }) => [entity, id]));
}

/** Nothing if it is none of ours. */
export function decodeEntries(text: string): EntryName[] | undefined {
  if (text.length > MOST_CHARACTERS) return undefined;
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(said) || !said.every(isPair)) return undefined;
  return said.map(([entity, id]) => ({ entity, id }));
}

/** As it is published: `<epoch> <seq> <writer> <entries>`. */
export function decodeMessage(text: string): LogMessage | undefined {
  const [, epoch, digits, writer, rest] =
    /^(\S{1,64}) (\d{1,15}) (\S{1,64}) (.*)$/s.exec(text) ?? [];
  const entries = rest === undefined ? undefined : decodeEntries(rest);
  if (entries === undefined) return undefined;
  return { epoch: epoch!, seq: Number(digits), writer: writer!, entries };
}

function isPair(value: unknown): value is [entity: string, id: string] {
  return (
    Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string')
  );
}
