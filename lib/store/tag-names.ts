/** Of a tag that values carry, among all that entries of a store are invalidated by together. */
export function nameOfTag(tag: string): string {
  return `t:${tag}`;
}

/** Of the tag that all entries of an entity carry. */
export function nameOfFamily(entity: string): string {
  return `f:${entity}`;
}

/** The tag that values carry, if it is one of those. */
export function tagIn(name: string): string | undefined {
  return name.startsWith('t:') ? name.slice(2) : undefined;
}

/** The entity, if it is the tag of one. */
export function familyIn(name: string): string | undefined {
  return name.startsWith('f:') ? name.slice(2) : undefined;
}
