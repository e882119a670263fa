import type { GuardedLog } from '../store/guarded-log.js';
import type { LogAnswer, LogMessage, LogPosition } from '../store/invalidation-log.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import type { Copies } from './copies.js';

/** What somebody says may make this process ask, but not more often than that between two ticks. */
const MOST_POLLS_A_TICK = 20;
/** So many answers in a row that did not come, and it is told that there are none. */
const MOST_FAILURES = 5;

/**
 * Follows the log of a store, so that the copies which this process has of its entries are known to be current.
 *
 * A copy may be used while the last answer that found nothing missing was asked for not longer ago than its lease. So
 * that holds even if every message is lost. A repair renews no lease: only the answer after it does. What cannot be
 * repaired without a gap ends in all copies being dropped, also those that are still on their way here.
 */
export class Bus {
  private heard: LogPosition | undefined;
  private polling = false;
  private pollAgain = false;
  /** Since the last tick. */
  private polls = 0;
  private failures = 0;
  private stop: (() => void) | undefined;
  private closed = false;

  constructor(
    private readonly log: GuardedLog,
    /** Names this process among those that write the log. */
    private readonly writer: string,
    private readonly copies: Copies,
    private readonly clock: Clock,
    private readonly background: Background,
  ) {}

  open(): void {
    this.log.listen({
      onMessage: (message) => this.hear(message),
      onListening: () => this.poll(),
    });
    this.tick();
  }

  close(): void {
    this.closed = true;
    this.stop?.();
  }

  /** From one question to the next, however long an answer takes. */
  private tick(): void {
    if (this.closed) return;
    this.polls = 0;
    this.stop = this.background.after(this.copies.pollMs, () => this.tick());
    this.poll();
  }

  private hear(message: LogMessage): void {
    const { heard } = this;
    // What came before the first answer is not missed: that answer, or the next one, knows of it.
    if (heard === undefined) return;
    if (message.epoch === heard.epoch && message.seq <= heard.seq) return;
    if (message.epoch === heard.epoch && message.seq === heard.seq + 1) this.apply(message);
    else this.poll();
  }

  private apply(message: LogMessage): void {
    this.heard = message;
    this.copies.hear(message, message.writer === this.writer);
  }

  /** Now, or as soon as the answer that is under way has come. */
  private poll(): void {
    if (this.polling) {
      this.pollAgain = true;
      return;
    }
    if (this.closed || this.polls >= MOST_POLLS_A_TICK) return;
    this.polls++;
    this.polling = true;
    const [askedAt, { heard }] = [this.clock.monotonic(), this];
    this.log
      .poll(heard)
      .then(
        (answer) => {
          this.failures = 0;
          this.learn(answer, askedAt, heard);
        },
        () => this.failed(),
      )
      .finally(() => {
        this.polling = false;
        const { pollAgain } = this;
        this.pollAgain = false;
        if (pollAgain) this.poll();
      });
  }

  /** Not renewed: after a while the copies are not used. */
  private failed(): void {
    this.pollAgain = false;
    if (++this.failures === MOST_FAILURES) this.copies.unheard();
  }

  private learn({ end, missed }: LogAnswer, askedAt: number, asked: LogPosition | undefined): void {
    const { heard } = this;
    if (heard === undefined || heard.epoch !== end.epoch) return this.begin(end);
    // It ended later when it was asked: something is lost that should have ended its epoch.
    if (asked !== undefined && end.seq < asked.seq) return this.begin(end);
    // Messages may have come while the answer was on its way.
    if (end.seq <= heard.seq) return this.copies.renew(askedAt);
    this.pollAgain = true;
    for (const message of missed ?? []) {
      if (message.seq === this.heard!.seq + 1 && message.epoch === end.epoch) this.apply(message);
    }
    if (this.heard!.seq < end.seq) this.begin(end);
  }

  /** Nothing that is here is known to be current. */
  private begin(end: LogPosition): void {
    const isFirst = this.heard === undefined;
    this.heard = end;
    this.copies.drop(isFirst ? 'at the start' : 'something was missed', end);
    this.pollAgain = true;
  }
}
