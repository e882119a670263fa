import { describeEntries } from './store/entries.js';
import { describeHistories } from './store/histories.js';
import { describeLeases } from './store/leases.js';
import { Subject, type StoreHarness } from './store/subject.js';
import { describeWrites } from './store/writes.js';

/** What every implementation of `CacheStore` promises. */
export function describeCacheStore(implementation: string, harness: StoreHarness): void {
  describe(implementation, () => {
    let subject: Subject;
    beforeEach(async () => void (subject = await Subject.of(harness)));
    for (const part of [describeEntries, describeLeases, describeWrites]) part(() => subject);
    describeHistories(harness);
  });
}
