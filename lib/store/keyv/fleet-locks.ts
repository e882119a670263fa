import type { DistributedLock, Lock } from '../../coordination/distributed-lock.js';
import type { Wait } from './hold.js';

/** What locks can be asked for. */
const LEAST_TTL_MS = 100;
const MOST_TTL_MS = 3_600_000;

/** The locks under which processes load, so that one does. */
export class FleetLocks {
  private readonly waits = new Set<AbortController>();
  private readonly releases = new Set<Promise<void>>();
  /** What this process has, or asks for just now, by name. */
  private readonly own = new Map<string, ReturnType<FleetLocks['take']>>();
  private readonly names = new Map<Lock, string>();

  constructor(private readonly lock: DistributedLock) {}

  /**
   * Now or not at all. Nothing where the lock is at fault: it only saves double work, so each loads for himself then. Nor
   * where this process has it, for another entry: that would wait for itself where one is loaded within the other.
   */
  async take(name: string, leaseMs: number): Promise<Lock | 'held elsewhere' | undefined> {
    const own = this.own.get(name);
    if (own !== undefined) return (await own) === 'held elsewhere' ? 'held elsewhere' : undefined;
    const asked = this.ask(name, leaseMs);
    this.own.set(name, asked);
    const lock = await asked;
    if (typeof lock === 'object') this.names.set(lock, name);
    else this.own.delete(name);
    return lock;
  }

  private async ask(name: string, leaseMs: number): Promise<Lock | 'held elsewhere' | undefined> {
    try {
      const lock = await this.lock.acquire(name, { ttl: ttlOf(leaseMs), patience: 0 });
      return lock ?? 'held elsewhere';
    } catch {
      return undefined;
    }
  }

  /** Waits until it is free, for about as long as its holder may have it. */
  wait(name: string, leaseMs: number): Wait {
    const left = new AbortController();
    this.waits.add(left);
    const patience = ttlOf(leaseMs);
    const woken = this.lock
      .acquire(name, { ttl: patience, patience, signal: left.signal })
      // Given back at once: who is woken looks first whether there is anything left to load.
      .then((lock) => this.release(lock))
      // Whoever is told so asks again, and is told then.
      .catch(() => undefined)
      .finally(() => this.waits.delete(left));
    return { woken, leave: () => left.abort() };
  }

  release(lock: Lock | undefined): Promise<void> {
    if (lock === undefined) return Promise.resolve();
    const name = this.names.get(lock);
    if (name !== undefined) this.own.delete(name);
    this.names.delete(lock);
    const released = lock.release().catch(() => undefined);
    this.releases.add(released);
    return released.finally(() => this.releases.delete(released));
  }

  /** Nobody waits any longer, and what was given back is. */
  async close(): Promise<void> {
    for (const left of this.waits) left.abort();
    await Promise.all(this.releases);
  }
}

function ttlOf(leaseMs: number): number {
  return Math.min(Math.max(Math.ceil(leaseMs), LEAST_TTL_MS), MOST_TTL_MS);
}
