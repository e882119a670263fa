import type { EntryName } from '../entry-name.js';
import type { Changes, LogMessage } from '../invalidation-log.js';

/** What may come from a server is not trusted: a longer one is none of ours. */
const MOST_CHARACTERS = 1_000_000;

/** A pair for each entry, a text for each tag. ASCII: what has no form in UTF-8 is written as JSON writes it. */
export function encodeChanges({ entries, tags }: Changes): string {
  return JSON.stringify([...entries.map(({ entity, id }) => [entity, id]), ...tags]);
}

/** Nothing if it is none of ours. */
export function decodeChanges(text: string): Changes | undefined {
  if (text.length > MOST_CHARACTERS) return undefined;
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(said)) return undefined;
  const entries: EntryName[] = [];
  const tags: string[] = [];
  for (const change of said as readonly unknown[]) {
    if (typeof change === 'string') tags.push(change);
    else if (isPair(change)) entries.push({ entity: change[0], id: change[1] });
    else return undefined;
  }
  return { entries, tags };
}

/** As it is published: `<epoch> <seq> <writer> <changes>`. */
export function decodeMessage(text: string): LogMessage | undefined {
  const [, epoch, digits, writer, rest] =
    /^(\S{1,64}) (\d{1,15}) (\S{1,64}) (.*)$/s.exec(text) ?? [];
  const changes = rest === undefined ? undefined : decodeChanges(rest);
  if (changes === undefined) return undefined;
  return { epoch: epoch!, seq: Number(digits), writer: writer!, ...changes };
}

function isPair(value: unknown): value is [entity: string, id: string] {
  return (
    Array.isArray(value) && value.length === 2 && value.every((part) => typeof part === 'string')
  );
}
