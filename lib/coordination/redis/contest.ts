import { NoAnswerError } from '../../connection/redis.error.js';
import type { Clock } from '../../time/clock.js';
import { newToken, NONE, type LockCommands } from './lock-commands.js';
import type { Wakes } from './wakes.js';

/** When Redis gives no answer, and no new connection says that it is back. */
const RETRY_MS = 1_000;
/** So that processes whose wake was lost do not come all at once. */
const SPREAD_MS = 50;

/** A caller who wants a lock. */
export interface Contender {
  readonly ttlMs: number;
  /** Whether he goes away if it is not free. */
  readonly now: boolean;
  grant(token: string, fence: bigint, sentAt: number): void;
  /** `silence`: why Redis did not even say whether it is held. */
  giveUp(silence: NoAnswerError | undefined): void;
  fail(reason: unknown): void;
}

/**
 * Those of this process who want one name, in the order of their calls. The first of them asks Redis for all, so that
 * a wake is for somebody who still wants it: he asks once, and again when woken, or when the ttl he was told is over.
 */
export class Contest {
  private readonly line = new Set<Contender>();
  private asking = false;
  private stop: (() => void) | undefined;
  /** Woken since the last attempt was sent. */
  private woken = false;
  /** In line at Redis as far as known; also if an attempt that would have put it there got no answer. */
  private enlisted = false;
  /** Why there was no answer the last time. */
  silence: NoAnswerError | undefined;
  /** Token that may hold the lock although nobody has been given it. */
  private unsure = NONE;

  constructor(
    private readonly name: string,
    private readonly commands: LockCommands,
    private readonly wakes: Wakes,
    private readonly clock: Clock,
    /** Nobody is left: the token is to be given back if there is one, and the place in line if `enlisted`. */
    private readonly onEmpty: (token: string, enlisted: boolean) => void,
  ) {}

  enter(contender: Contender): void {
    this.line.add(contender);
    if (this.line.size === 1) this.ask();
  }

  leave(contender: Contender): void {
    this.line.delete(contender);
    this.endIfEmpty();
  }

  /** It is worth asking again. */
  wake(): void {
    this.woken = true;
    this.ask();
  }

  /** Nobody is served any longer. */
  close(reason: unknown): void {
    const line = [...this.line];
    this.line.clear();
    for (const contender of line) contender.fail(reason);
    this.endIfEmpty();
  }

  private ask(): void {
    if (this.asking) return;
    this.asking = true;
    this.stop?.();
    void this.askOnce().then((pauseMs) => {
      this.asking = false;
      if (this.line.size === 0) this.endIfEmpty();
      else if (this.woken || pauseMs === 0) this.ask();
      else this.stop = this.clock.after(pauseMs, () => this.ask());
    });
  }

  /** Resolves to how long to wait before asking again; 0 means that the next one asks at once. */
  private async askOnce(): Promise<number> {
    const [first] = this.line;
    if (first === undefined) return 0;
    const channel = first.now ? undefined : this.wakes.listeningOn;
    const token = newToken();
    const previous = this.unsure;
    [this.woken, this.unsure] = [false, token];
    this.enlisted ||= channel !== undefined;
    const sentAt = this.clock.monotonic();
    try {
      const answer = await this.commands.acquire(
        this.name,
        token,
        previous,
        first.ttlMs,
        channel ?? NONE,
      );
      this.silence = undefined;
      if ('remainingMs' in answer) {
        this.unsure = NONE;
        if (channel === undefined && !first.now) this.wakes.open();
        return this.turnedAway(first, answer.remainingMs + this.clock.random() * SPREAD_MS);
      }
      if (channel !== undefined) this.enlisted = false;
      // Whoever asked may have gone away meanwhile: then it is for the next one, who takes over the token.
      if (!this.line.has(first)) return 0;
      this.unsure = NONE;
      this.line.delete(first);
      first.grant(token, answer.fence, sentAt);
      return 0;
    } catch (error) {
      if (error instanceof NoAnswerError) {
        this.silence = error;
        return this.turnedAway(first, RETRY_MS);
      }
      this.line.delete(first);
      first.fail(error);
      return 0;
    }
  }

  private turnedAway(first: Contender, pauseMs: number): number {
    // Whoever comes after him may be one who waits, and would not be in line yet.
    if (this.line.has(first) && !first.now) return Math.max(1, pauseMs);
    if (this.line.delete(first)) first.giveUp(this.silence);
    return 0;
  }

  private endIfEmpty(): void {
    if (this.line.size > 0 || this.asking) return;
    this.stop?.();
    this.onEmpty(this.unsure, this.enlisted || this.woken);
  }
}
