import { show } from '../errors/wording.js';

export function isTag(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** What came in place of tags, as a message shows it; nothing if all of them are tags. */
export function noTagsIn(tags: unknown): string | undefined {
  if (!Array.isArray(tags)) return show(tags);
  const at = tags.findIndex((tag) => !isTag(tag));
  return at < 0 ? undefined : `${show(tags[at])} as number ${at + 1} of ${tags.length}`;
}
