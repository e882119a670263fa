/** Names one entry in a store. */
export interface EntryName {
  readonly entity: string;
  /** As `idOf` makes it of a key. It may contain every character, lone surrogates too. */
  readonly id: string;
}
