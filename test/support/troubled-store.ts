import {
  CacheStore,
  type EntryName,
  type FillOutcome,
  type Lease,
  type LeaseAnswer,
  type LeaseTerms,
  type StoredEntry,
} from '../../lib/store/cache-store.js';

export type Command = 'read' | 'lease' | 'fill' | 'fail' | 'claim' | 'invalidate';

/**
 * - `'held up'`: waits for {@link TroubledStore.deliver} on its way there;
 * - `'answered late'`: has taken effect, and its answer waits for that;
 * - `'lost'`: never arrives, and is never answered;
 * - `'rejected'`: is answered with an error at once;
 * - `'thrown'`: the same, before there is a promise.
 */
export type Trouble = 'held up' | 'answered late' | 'lost' | 'rejected' | 'thrown';

const ALL: readonly Command[] = ['read', 'lease', 'fill', 'fail', 'claim', 'invalidate'];

/** The way of one process to a store that others share, where a test decides what happens on it. */
export class TroubledStore extends CacheStore {
  /** Everything that was asked, in order. */
  readonly asked: Command[] = [];
  closed = 0;
  private readonly troubles = new Map<Command, Trouble>();
  private readonly late: (() => void)[] = [];

  constructor(private readonly store: CacheStore) {
    super();
  }

  /** From now on; all commands if none are named. */
  has(trouble: Trouble, commands = ALL): void {
    for (const command of commands) this.troubles.set(command, trouble);
  }

  recovers(): void {
    this.troubles.clear();
  }

  /** What is late arrives now, the first first, and what comes of it is seen to its end. */
  async deliver(most = Infinity): Promise<void> {
    for (const go of this.late.splice(0, most)) go();
    await new Promise(setImmediate);
  }

  override now(entry: EntryName): number {
    return this.store.now(entry);
  }

  override read(entry: EntryName): Promise<StoredEntry | undefined> {
    return this.send('read', () => this.store.read(entry));
  }

  override lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    return this.send('lease', () => this.store.lease(entry, terms));
  }

  override fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    return this.send('fill', () => this.store.fill(lease, stored, keepMs));
  }

  override fail(lease: Lease, coolDownMs: number): Promise<void> {
    return this.send('fail', () => this.store.fail(lease, coolDownMs));
  }

  override claim(entry: EntryName, leaseMs: number): Promise<Lease> {
    return this.send('claim', () => this.store.claim(entry, leaseMs));
  }

  override invalidate(...args: Parameters<CacheStore['invalidate']>): Promise<void> {
    return this.send('invalidate', () => this.store.invalidate(...args));
  }

  override close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }

  private send<T>(command: Command, run: () => Promise<T>): Promise<T> {
    this.asked.push(command);
    switch (this.troubles.get(command)) {
      case 'lost':
        return new Promise(() => undefined);
      case 'rejected':
        return Promise.reject(new Error(`${command}: connection reset`));
      case 'thrown':
        throw new Error(`${command}: not connected`);
      case 'held up':
        return this.turn().then(run);
      case 'answered late':
        return this.after(run());
      default:
        return run();
    }
  }

  private turn(): Promise<void> {
    return new Promise((resolve) => this.late.push(resolve));
  }

  private async after<T>(answer: Promise<T>): Promise<T> {
    await this.turn();
    return answer;
  }
}
