/** A value as an error message shows it: short, with its type, never the content of an object. */
export function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      // There may be a password in it.
      if (value.includes('://')) return 'a url (string)';
      return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}' (string)`;
    case 'number':
      return `${Object.is(value, -0) ? '-0' : value} (number)`;
    case 'bigint':
      return `${value}n (bigint)`;
    case 'boolean':
      return `${value} (boolean)`;
    case 'function':
      return 'a function';
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? `an array of ${value.length}` : 'an object';
    default:
      return typeof value;
  }
}

/** The same where any text may have a password in it. */
export function showNoText(value: unknown): string {
  return typeof value === 'string' ? 'a text' : show(value);
}

/** The word a person probably meant, or nothing if none is near. */
export function closest(word: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.min(3, Math.ceil(word.length / 2));
  for (const candidate of words) {
    const edits = distance(word.toLowerCase(), candidate.toLowerCase());
    if (edits <= least) [best, least] = [candidate, edits - 1];
  }
  return best;
}

/** Levenshtein: how many letters must change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, swap));
    }
    row = next;
  }
  return row[b.length]!;
}

/** What was thrown. Not its message: that may quote what a log should not hold. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
