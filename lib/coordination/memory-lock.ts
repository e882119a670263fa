import {
  CacheLockLostError,
  DistributedLock,
  lockTerms,
  type Lock,
  type LockOptions,
  type LockTerms,
} from './distributed-lock.js';
import type { Timing } from './origin-cap.js';

/** A name that is held, and who waits for it, in the order of the calls. Free names have none. */
interface Place {
  holder: Hold;
  readonly line: Set<() => void>;
}

/**
 * Locks among the callers of this process.
 *
 * Fences begin with the system time in microseconds, so that rows which remember one accept those of the next process
 * too, unless its clock is set back. They come from one counter, so that a free name leaves nothing behind.
 */
export class MemoryLock extends DistributedLock {
  private readonly places = new Map<string, Place>();
  private fence = BigInt(Date.now()) * 1_000n;

  constructor(private readonly timing: Timing) {
    super();
  }

  override async acquire(name: string, options: LockOptions = {}): Promise<Lock | undefined> {
    const terms = lockTerms(name, options);
    // A stalled process may come here before its timers have run. Who waits already is served first then.
    this.places.get(name)?.holder.check();
    terms.signal?.throwIfAborted();
    const place = this.places.get(name);
    if (place === undefined) {
      const holder = this.hold(name, terms);
      this.places.set(name, { holder, line: new Set() });
      return holder;
    }
    return terms.patienceMs === 0 ? undefined : this.turn(name, place, terms);
  }

  private turn(name: string, place: Place, terms: LockTerms): Promise<Lock | undefined> {
    const { patienceMs, signal } = terms;
    return new Promise((resolve, reject) => {
      const settle = () => {
        place.line.delete(enter);
        signal?.removeEventListener('abort', leave);
        stop?.();
      };
      const enter = () => {
        settle();
        place.holder = this.hold(name, terms);
        resolve(place.holder);
      };
      const leave = () => {
        settle();
        reject(signal?.reason);
      };
      const giveUp = () => {
        settle();
        resolve(undefined);
      };
      const stop = patienceMs === undefined ? undefined : this.timing.after(patienceMs, giveUp);
      signal?.addEventListener('abort', leave, { once: true });
      place.line.add(enter);
    });
  }

  private hold(name: string, { ttlMs }: LockTerms): Hold {
    return new Hold(name, ++this.fence, ttlMs, this.timing, () => this.pass(name));
  }

  /** The name goes to whoever waits longest, who need not ask for it again: there is no wake to be lost. */
  private pass(name: string): void {
    const [next] = this.places.get(name)!.line;
    if (next === undefined) this.places.delete(name);
    else next();
  }
}

class Hold implements Lock {
  private readonly loss = new AbortController();
  readonly signal = this.loss.signal;
  private ended = false;
  private renewedAt: number;
  private stop: () => void;

  constructor(
    readonly name: string,
    readonly fence: bigint,
    private readonly ttlMs: number,
    private readonly timing: Timing,
    private readonly pass: () => void,
  ) {
    this.renew();
  }

  release(): Promise<void> {
    this.end();
    return Promise.resolve();
  }

  /** Whether it is still held; if not, it is lost from here on. */
  check(): boolean {
    if (this.timing.monotonic() - this.renewedAt < this.ttlMs) return true;
    this.end();
    // Passed on first, because listeners may ask for it at once; the next holder's promise settles after them.
    this.loss.abort(new CacheLockLostError(this.name, this.ttlMs));
    return false;
  }

  private renew(): void {
    this.renewedAt = this.timing.monotonic();
    this.stop = this.timing.after(this.ttlMs / 3, () => {
      if (this.check()) this.renew();
    });
  }

  private end(): void {
    // Released before, or lost: the name is somebody else's business.
    if (this.ended) return;
    this.ended = true;
    this.stop();
    this.pass();
  }
}
