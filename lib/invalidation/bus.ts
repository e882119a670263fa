import type { LogAnswer, LogMessage, LogPosition } from '../store/invalidation-log.js';
import type { GuardedLog } from '../store/guarded-log.js';
import type { Background } from '../time/background.js';
import type { Clock } from '../time/clock.js';
import type { Copies } from './copies.js';

/** An answer that says that something is missing is asked for again at once, but not for ever. */
const MOST_REPAIRS_IN_A_ROW = 10;

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
  private repairs = 0;
  private stop: (() => void) | undefined;
  private closed = false;

  constructor(
    private readonly log: GuardedLog,
    private readonly copies: Copies,
    private readonly clock: Clock,
    private readonly background: Background,
  ) {}

  open(): void {
    this.log.listen({
      onMessage: (message) => this.hear(message),
      onListening: () => this.poll(),
    });
    this.poll();
  }

  close(): void {
    this.closed = true;
    this.stop?.();
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
    // This process has done it before it told the others.
    if (message.writer !== this.log.writer) this.copies.forget(message.entries);
  }

  /** Now, or as soon as the answer that is under way has come. */
  private poll(): void {
    if (this.closed) return;
    if (this.polling) {
      this.pollAgain = true;
      return;
    }
    this.stop?.();
    this.polling = true;
    const askedAt = this.clock.monotonic();
    this.log
      .poll(this.heard)
      .then(
        (answer) => this.learn(answer, askedAt),
        // Not renewed: after a while the copies are not used.
        () => (this.pollAgain = false),
      )
      .finally(() => this.rest());
  }

  private rest(): void {
    this.polling = false;
    if (this.closed) return;
    const again = this.pollAgain && ++this.repairs <= MOST_REPAIRS_IN_A_ROW;
    this.pollAgain = false;
    if (again) return this.poll();
    this.repairs = 0;
    this.stop = this.background.after(this.copies.pollMs, () => this.poll());
  }

  private learn({ end, missed }: LogAnswer, askedAt: number): void {
    const { heard } = this;
    if (heard?.epoch !== end.epoch) return this.begin(end);
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
    this.copies.drop(isFirst ? 'at the start' : 'something was missed');
    this.pollAgain = true;
  }
}
