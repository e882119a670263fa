import type { CacheStore } from '../../lib/store/cache-store.js';
import { RelayedStore, type Command } from './relayed-store.js';

/** Whoever is under way and waits for the next step, which comes to one of them at a time. */
export class Steps {
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly random: () => number) {}

  step(): Promise<void> {
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** False if nobody waits for a step. */
  async next(): Promise<boolean> {
    const [go] = this.waiting.splice(Math.floor(this.random() * this.waiting.length), 1);
    go?.();
    await new Promise(setImmediate);
    return go !== undefined;
  }
}

/** Commands and answers that overtake each other. */
export class SlowStore extends RelayedStore {
  constructor(
    store: CacheStore,
    private readonly steps: Steps,
  ) {
    super(store);
  }

  protected override async send<T>(_: Command, run: () => Promise<T>): Promise<T> {
    await this.steps.step();
    const answer = run();
    // Failures come late as well.
    await Promise.allSettled([answer]);
    await this.steps.step();
    return answer;
  }
}
