import { refusal } from '../../lib/store/refusal.js';
import { RelayedStore, type Command } from './relayed-store.js';

/**
 * - `'held up'`: waits for {@link TroubledStore.deliver} on its way there;
 * - `'answered late'`: has taken effect, and its answer waits for that;
 * - `'lost'`: never arrives, and is never answered;
 * - `'rejected'`: is answered with an error at once;
 * - `'thrown'`: the same, before there is a promise;
 * - `'refused'`: is answered by a store that is there, and takes nothing.
 */
export type Trouble = 'held up' | 'answered late' | 'lost' | 'rejected' | 'thrown' | 'refused';

const ALL: readonly Command[] = ['read', 'lease', 'fill', 'fail', 'claim', 'invalidate'];

/** The way of one process to a store that others share, where a test decides what happens on it. */
export class TroubledStore extends RelayedStore {
  /** Everything that was asked, in order. */
  readonly asked: Command[] = [];
  closed = 0;
  private readonly troubles = new Map<Command, Trouble>();
  private readonly late: (() => void)[] = [];

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

  override close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }

  protected override send<T>(command: Command, run: () => Promise<T>): Promise<T> {
    this.asked.push(command);
    switch (this.troubles.get(command)) {
      case 'lost':
        return new Promise(() => undefined);
      case 'rejected':
        return Promise.reject(new Error(`${command}: connection reset`));
      case 'refused':
        return Promise.reject(refusal(new Error(`${command}: full`)));
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
