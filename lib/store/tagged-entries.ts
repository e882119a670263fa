import type { Policy } from '../contract/policy.js';
import type { CacheRecord } from '../entry/record.js';
import type { Generations, StoredEntry } from './cache-store.js';
import type { LogPosition } from './invalidation-log.js';
import type { TagGenerations, Verdict } from './tag-generations.js';
import type { TagTable } from './tag-table.js';

/** The entries of one entity in a store, as far as they are invalidated together with others. */
export class TaggedEntries {
  constructor(
    private readonly generations: TagGenerations,
    /** Of this process: what it says of a record begins when that came here. */
    private readonly table: TagTable,
    private readonly policy: Policy,
    /** None of them is current, and the log is told so as soon as it can be. */
    readonly invalidateAll: () => void,
  ) {}

  /** Where the tags of this process stand. */
  get now(): number {
    return this.table.now;
  }

  /** Where the log stands before something is loaded. */
  stand(): LogPosition | undefined | Promise<LogPosition | undefined> {
    return this.generations.stand();
  }

  /** @throws whatever the log does, where it has to be asked */
  judge({ generations }: StoredEntry): Verdict | Promise<Verdict> {
    const { entity, copyLeaseMs } = this.policy;
    return this.generations.judge(generations, entity, copyLeaseMs);
  }

  /**
   * What is stored with a record; nothing if it is not to be stored.
   *
   * @throws whatever the log does, where it has to be asked
   */
  of(
    { extras }: CacheRecord,
    since: LogPosition | undefined,
  ): Generations | undefined | Promise<Generations | undefined> {
    if (since === undefined) return undefined;
    return this.generations.of(this.policy.entity, extras?.tags ?? [], since);
  }
}
