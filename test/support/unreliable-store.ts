import {
  CacheStore,
  type EntryName,
  type FillOutcome,
  type Lease,
  type LeaseAnswer,
  type LeaseTerms,
  type StoredEntry,
} from '../../lib/store/cache-store.js';

/** Half of all that is sent arrives and is answered. */
const FATES = [
  ...Array<'fine'>(4).fill('fine'),
  'lost',
  'answer lost',
  'late',
  'sent twice',
] as const;

/**
 * A store behind a bad connection: commands are lost, or their answers are, or they take effect long after they were
 * given up, or for a second time. Every command settles at once, so that a history can go on.
 */
export class UnreliableStore extends CacheStore {
  private readonly underWay: (() => Promise<unknown>)[] = [];

  /** `random`: at least 0, less than 1. */
  constructor(
    private readonly store: CacheStore,
    private readonly random: () => number,
  ) {
    super();
  }

  override now(entry: EntryName): number {
    return this.store.now(entry);
  }

  override read(entry: EntryName): Promise<StoredEntry | undefined> {
    return this.send(() => this.store.read(entry));
  }

  override lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    return this.send(() => this.store.lease(entry, terms));
  }

  override fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    return this.send(() => this.store.fill(lease, stored, keepMs));
  }

  override fail(lease: Lease, coolDownMs: number): Promise<void> {
    return this.send(() => this.store.fail(lease, coolDownMs));
  }

  override claim(entry: EntryName, leaseMs: number): Promise<Lease> {
    return this.send(() => this.store.claim(entry, leaseMs));
  }

  override invalidate(...args: Parameters<CacheStore['invalidate']>): Promise<void> {
    return this.send(() => this.store.invalidate(...args));
  }

  override close(): Promise<void> {
    return this.store.close();
  }

  /** Some of what is late arrives now, in any order. */
  async deliver(): Promise<void> {
    while (this.underWay.length > 0 && this.random() < 0.5) {
      const [command] = this.underWay.splice(Math.floor(this.random() * this.underWay.length), 1);
      await command!();
    }
  }

  private async send<T>(command: () => Promise<T>): Promise<T> {
    await this.deliver();
    const fate = FATES[Math.floor(this.random() * FATES.length)]!;
    if (fate === 'late' || fate === 'sent twice') this.underWay.push(command);
    if (fate === 'fine' || fate === 'sent twice') return command();
    if (fate === 'answer lost') await command();
    throw new Error(`no answer: ${fate}`);
  }
}

/** Chances that come again in the same order in each run of a test. */
export function repeatableRandom(seed = 1): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
