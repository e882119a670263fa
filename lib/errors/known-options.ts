import { CacheUsageError } from './cache.error.js';
import { closest } from './wording.js';

/**
 * Refuses options that nobody would ever look at, with the names that were meant where some are near.
 *
 * @throws {CacheUsageError} CACHE_ARGUMENT_INVALID
 */
export function checkNames(given: object, known: readonly string[], owner: string): void {
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const fixes = unknown.map((name) => {
    const meant = closest(name, known);
    return meant === undefined ? `remove \`${name}\`` : `write \`${meant}\` instead of \`${name}\``;
  });
  const quoted = unknown.map((name) => `\`${name}\``);
  throw new CacheUsageError(
    'CACHE_ARGUMENT_INVALID',
    `${owner} has no option${unknown.length > 1 ? 's' : ''} ${listed(quoted)}`,
    `${listed(fixes)}; the options are ${known.join(', ')}.`,
  );
}

/** As a sentence names several. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
