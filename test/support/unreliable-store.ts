import type { CacheStore } from '../../lib/store/cache-store.js';
import { RelayedStore, type Command } from './relayed-store.js';

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
export class UnreliableStore extends RelayedStore {
  private readonly underWay: (() => Promise<unknown>)[] = [];

  /** `random`: at least 0, less than 1. */
  constructor(
    store: CacheStore,
    private readonly random: () => number,
  ) {
    super(store);
  }

  /** Some of what is late arrives now, in any order. */
  async deliver(): Promise<void> {
    while (this.underWay.length > 0 && this.random() < 0.5) {
      const [command] = this.underWay.splice(Math.floor(this.random() * this.underWay.length), 1);
      await command!();
    }
  }

  protected override async send<T>(_: Command, run: () => Promise<T>): Promise<T> {
    await this.deliver();
    const fate = FATES[Math.floor(this.random() * FATES.length)]!;
    if (fate === 'late' || fate === 'sent twice') this.underWay.push(run);
    if (fate === 'fine' || fate === 'sent twice') return run();
    if (fate === 'answer lost') await run();
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
