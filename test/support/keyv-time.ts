import { jest } from '@jest/globals';
import type { SharedKeyv } from 'nestjs-cache-contract/cache-manager';
import type { DistributedLock } from '../../lib/coordination/distributed-lock.js';
import { MemoryLock } from '../../lib/coordination/memory-lock.js';
import type { EntryName } from '../../lib/store/cache-store.js';
import { KeyvStore } from '../../lib/store/keyv/keyv-store.js';
import { ManualClock } from './manual-clock.js';

/** Time that a test moves for stores in a Keyv: the wall clock too, which a Keyv goes by. */
export class KeyvTime extends ManualClock {
  private readonly start = Date.now();
  readonly unreadable: EntryName[] = [];
  readonly lock: DistributedLock = new MemoryLock(this);
  private readonly restore: () => void;

  constructor() {
    super();
    const wall = jest.spyOn(Date, 'now');
    wall.mockImplementation(() => this.start + this.monotonic());
    this.restore = () => wall.mockRestore();
  }

  store(keyv: SharedKeyv, lock = this.lock, namespace = 'shop'): KeyvStore {
    const onUnreadable = (entry: EntryName) => void this.unreadable.push(entry);
    const onRefused = () => undefined;
    return new KeyvStore(keyv, { namespace, clock: this, lock, onUnreadable, onRefused });
  }

  /** As {@link advance}; resolves when nothing more happens by itself. */
  async pass(ms: number): Promise<void> {
    this.advance(ms);
    await new Promise(setImmediate);
  }

  end(): void {
    this.restore();
  }
}
