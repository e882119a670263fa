import type { CacheStore, EntryName, StoredEntry } from '../../lib/store/cache-store.js';

/** What a store has of all of them, also where it has sent some on. */
export async function readAll(
  store: Pick<CacheStore, 'readAll'>,
  entries: readonly EntryName[],
): Promise<(StoredEntry | undefined)[]> {
  return Promise.all((await store.readAll(entries)).map(async (answer) => answer));
}
