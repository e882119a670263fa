import { TO_BE_TOLD } from '../contract/kept-in.js';
import type { Policy } from '../contract/policy.js';
import { noTagsIn } from '../entry/tag.js';
import { nameOf } from '../errors/wording.js';
import type { EntityState } from '../store/entity-state.js';

/** Each is a key of its own where processes share entries, and is looked at with every read. */
const MOST_TAGS = 1_000;

/** Why a value is not stored: nobody could invalidate it by its tags, or all others would pay for them. */
export interface Untaggable {
  readonly code: 'CACHE_VALUE_UNSTORABLE' | 'CACHE_CALLBACK_FAILED';
  readonly why: string;
}

/** The tags of a value; `given`: by its loader. */
export function tagsOf(
  { policy, remote }: EntityState,
  value: unknown,
  given: readonly string[] = [],
): readonly string[] | Untaggable {
  const said = value === null ? undefined : saidBy(policy, value);
  if (said !== undefined && !Array.isArray(said)) return said;
  const tags = said === undefined ? given : [...given, ...(said as readonly string[])];
  const why =
    tags.length > MOST_TAGS
      ? `it carries ${tags.length} tags, and ${MOST_TAGS} are the most. Fix: give a tag to what is invalidated together, not to each part of it.`
      : tags.length > 0 && remote !== undefined && !policy.isTold
        ? `it carries tags, and its entries in the store '${policy.store}' can only be invalidated one by one. Fix: leave out currentLoad().tags(), or ${TO_BE_TOLD}.`
        : undefined;
  return why === undefined ? tags : { code: 'CACHE_VALUE_UNSTORABLE', why };
}

/** What the contract says of a value, if it does. */
function saidBy(
  { entity, tags: ask }: Policy,
  value: unknown,
): readonly string[] | Untaggable | undefined {
  let what: string;
  try {
    const tags: unknown = ask?.(value);
    const came = tags === undefined ? undefined : noTagsIn(tags);
    if (came === undefined) return tags as readonly string[] | undefined;
    what = `must return an array of texts that are not empty, got ${came}`;
  } catch (error) {
    what = `threw ${nameOf(error)}`;
  }
  const why = `\`tags\` of '${entity}' ${what}, and nobody could invalidate it by them. Fix: look at \`tags\` in the contract of '${entity}'.`;
  return { code: 'CACHE_CALLBACK_FAILED', why };
}
