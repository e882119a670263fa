import { randomUUID } from 'node:crypto';
import type { Lock } from '../../coordination/distributed-lock.js';
import type { Clock } from '../../time/clock.js';
import type { LeaseAnswer } from '../cache-store.js';

/** Somebody waits for the end of what keeps him from loading. */
export type Wait = Pick<Extract<LeaseAnswer, { outcome: 'held' }>, 'woken' | 'leave'>;

/** The right to store an entry, among those of this process; who is elsewhere is kept out by its lock, if it has one. */
export class Hold {
  readonly token = randomUUID();
  /** By the wall clock, as all times of the store. */
  readonly grantedAt = Date.now();
  isOver = false;
  private readonly until: number;
  private readonly waiters = new Set<() => void>();
  private readonly cancel: () => void;
  private lock: Lock | undefined;
  private readonly lose = () => this.end();

  constructor(
    private readonly clock: Clock,
    leaseMs: number,
    private readonly release: (lock: Lock | undefined) => void,
  ) {
    this.until = clock.monotonic() + leaseMs;
    this.cancel = clock.after(leaseMs, this.lose);
  }

  get isLocked(): boolean {
    return this.lock !== undefined;
  }

  get remainingMs(): number {
    return Math.max(0, this.until - this.clock.monotonic());
  }

  wait(): Wait {
    let wake!: () => void;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    this.waiters.add(wake);
    return { woken, leave: () => void this.waiters.delete(wake) };
  }

  /** It ends with the lock, and the lock with it. */
  keepWith(lock: Lock | undefined): void {
    if (this.isOver) return this.release(lock);
    this.lock = lock;
    lock?.signal.addEventListener('abort', this.lose, { once: true });
  }

  /** Another hold of this process goes on under the lock. */
  giveLock(): Lock | undefined {
    const { lock } = this;
    lock?.signal.removeEventListener('abort', this.lose);
    this.lock = undefined;
    return lock;
  }

  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.cancel();
    // First, so that who is woken finds it free.
    this.release(this.giveLock());
    for (const wake of this.waiters) wake();
  }
}
