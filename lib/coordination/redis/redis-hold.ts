import { NoAnswerError } from '../../connection/redis.error.js';
import type { Clock } from '../../time/clock.js';
import { CacheLockLostError, type Lock } from '../distributed-lock.js';
import type { LockCommands } from './lock-commands.js';

/** How much earlier than Redis a holder stops to believe: their clocks may run apart, and he needs time to stop. */
const MARGIN_MS = 50;
const MARGIN_OF_TTL = 0.01;

/** Renewals without an answer are sent again so many times within a third of the ttl. */
const TRIES_PER_THIRD = 4;

/**
 * A lock that this process holds. It believes in it only until the ttl that Redis has confirmed is nearly over, counted
 * from before it asked: so a Redis that is out of reach, or hangs, is noticed before anybody else can get the lock.
 */
export class RedisHold implements Lock {
  private readonly loss = new AbortController();
  readonly signal: AbortSignal = this.loss.signal;
  private validUntil: number;
  private ended: Promise<void> | undefined;
  private stopRenewal: () => void;
  private stopValidity: () => void;

  constructor(
    readonly name: string,
    readonly fence: bigint,
    private readonly token: string,
    private readonly ttlMs: number,
    /** Monotonic, from before it was asked for. */
    sentAt: number,
    private readonly commands: LockCommands,
    private readonly clock: Clock,
    /** It is not held any longer; what it resolves to has told Redis so, if Redis can be told. */
    private readonly giveBack: (hold: RedisHold, token: string) => Promise<void>,
  ) {
    this.confirm(sentAt);
    this.renewIn(sentAt + ttlMs / 3 - clock.monotonic());
    this.watch();
  }

  release(): Promise<void> {
    return this.end();
  }

  /** Loses it if nobody can be sure of it any longer. */
  check(): void {
    if (this.clock.monotonic() >= this.validUntil) this.lose();
  }

  /** Tells the holder first, so that nobody else has it while he believes in it. */
  lose(): void {
    if (this.ended !== undefined) return;
    this.loss.abort(new CacheLockLostError(this.name, this.ttlMs));
    void this.end();
  }

  private end(): Promise<void> {
    if (this.ended === undefined) {
      this.stopRenewal();
      this.stopValidity();
      this.ended = this.giveBack(this, this.token);
    }
    return this.ended;
  }

  private confirm(sentAt: number): void {
    this.validUntil = sentAt + this.ttlMs - (this.ttlMs * MARGIN_OF_TTL + MARGIN_MS);
  }

  private watch(): void {
    const remaining = Math.max(0, this.validUntil - this.clock.monotonic());
    this.stopValidity = this.clock.after(remaining, () => {
      // An answer that came while the process was busy is read before the turn is over.
      setImmediate(() => {
        if (this.ended !== undefined) return;
        this.check();
        if (this.ended === undefined) this.watch();
      });
    });
  }

  private renewIn(ms: number): void {
    this.stopRenewal = this.clock.after(Math.max(0, ms), () => void this.renew());
  }

  private async renew(): Promise<void> {
    const sentAt = this.clock.monotonic();
    const third = this.ttlMs / 3;
    let next = third;
    try {
      const worthMs = Math.max(0, this.validUntil - sentAt);
      const held = await this.commands.renew(this.name, this.token, this.ttlMs, worthMs);
      if (held) this.confirm(sentAt);
      else this.lose();
    } catch (error) {
      // Refused for good: the validity ends it, as it would if Redis said nothing.
      if (error instanceof NoAnswerError) next = third / TRIES_PER_THIRD;
    }
    if (this.ended === undefined) this.renewIn(sentAt + next - this.clock.monotonic());
  }
}
