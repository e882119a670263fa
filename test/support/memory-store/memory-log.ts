import { randomUUID } from 'node:crypto';
import type { EntryName } from '../../../lib/store/cache-store.js';
import {
  InvalidationLog,
  type LogAnswer,
  type LogListener,
  type LogMessage,
  type LogPosition,
} from '../../../lib/store/invalidation-log.js';

/** A log in the memory of this process, and what can happen to one. */
export class MemoryLog {
  private epoch: string = randomUUID();
  private seq = 0;
  private messages: LogMessage[] = [];
  private readonly ways: LogWay[] = [];

  /** How one process gets to it. */
  way(): LogWay {
    const way = new LogWay(this);
    this.ways.push(way);
    return way;
  }

  get end(): LogPosition {
    return { epoch: this.epoch, seq: this.seq };
  }

  /** Messages are forgotten, as where there are too many. */
  trim(): void {
    this.messages = [];
  }

  /** What was appended last is lost, and may never have been: the log goes on elsewhere, with another history. */
  failOver(lost: number): void {
    this.epoch = randomUUID();
    this.messages = this.messages.slice(0, Math.max(0, this.messages.length - lost));
    this.seq = Math.max(0, this.seq - lost);
  }

  /** So many are lost, and nothing shows it. */
  goBack(lost: number): void {
    this.seq -= lost;
    this.messages = this.messages.filter(({ seq }) => seq <= this.seq);
  }

  append(writer: string, entries: readonly EntryName[]): void {
    const message = { epoch: this.epoch, seq: ++this.seq, writer, entries: [...entries] };
    this.messages.push(message);
    for (const way of this.ways) way.send(message);
  }

  after(heard: LogPosition | undefined): LogAnswer {
    const { end } = this;
    if (heard?.epoch !== end.epoch) return { end, missed: undefined };
    return { end, missed: this.messages.filter(({ seq }) => seq > heard.seq) };
  }
}

/** The way of one process to the log, where a test decides what happens on it. */
export class LogWay extends InvalidationLog {
  /** As which its process appends. */
  writer = '';
  /** What becomes of what is asked. */
  answers: 'all' | 'none' = 'all';
  polls = 0;
  /** Messages on their way here: the test delivers, repeats or drops them. */
  underWay: LogMessage[] = [];
  /** Whether they wait for the test. */
  isHeldUp = false;
  private listener: LogListener | undefined;

  constructor(private readonly log: MemoryLog) {
    super();
  }

  send(message: LogMessage): void {
    this.underWay.push(message);
    if (!this.isHeldUp) this.deliver();
  }

  /** What is under way arrives, in this order. */
  deliver(messages = this.underWay): void {
    this.underWay = this.underWay.filter((message) => !messages.includes(message));
    for (const message of messages) this.listener?.onMessage(message);
  }

  /** Connected again. */
  listenAgain(): void {
    this.listener?.onListening();
  }

  override append(entries: readonly EntryName[], writer: string): Promise<void> {
    this.writer = writer;
    if (this.answers === 'none') return Promise.reject(new Error('append: not connected'));
    this.log.append(this.writer, entries);
    return Promise.resolve();
  }

  override poll(heard: LogPosition | undefined): Promise<LogAnswer> {
    this.polls++;
    if (this.answers === 'none') return Promise.reject(new Error('poll: not connected'));
    return Promise.resolve(this.log.after(heard));
  }

  override listen(listener: LogListener): void {
    this.listener = listener;
    listener.onListening();
  }
}
