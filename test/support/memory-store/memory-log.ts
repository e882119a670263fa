import { randomUUID } from 'node:crypto';
import {
  InvalidationLog,
  type Changes,
  type LogAnswer,
  type LogListener,
  type LogMessage,
  type LogPosition,
  type TagsAnswer,
} from '../../../lib/store/invalidation-log.js';

/** A log in the memory of this process, and what can happen to one. */
export class MemoryLog {
  private epoch: string = randomUUID();
  private seq = 0;
  private messages: LogMessage[] = [];
  private tags = new Map<string, number>();
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
    this.tags.clear();
    this.messages = this.messages.slice(0, Math.max(0, this.messages.length - lost));
    this.seq = Math.max(0, this.seq - lost);
  }

  /** So many are lost, and nothing shows it. */
  goBack(lost: number): void {
    this.seq -= lost;
    this.messages = this.messages.filter(({ seq }) => seq <= this.seq);
  }

  append(writer: string, { entries, tags }: Changes): LogPosition {
    const { epoch } = this;
    const message = { epoch, seq: ++this.seq, writer, entries: [...entries], tags: [...tags] };
    this.messages.push(message);
    for (const tag of tags) this.tags.set(tag, message.seq);
    for (const way of this.ways) way.send(message);
    return this.end;
  }

  /** As where they are evicted. */
  forgetTags(): void {
    this.tags.clear();
  }

  generations(names: readonly string[]): TagsAnswer {
    const { end } = this;
    for (const name of names) if (!this.tags.has(name)) this.tags.set(name, end.seq);
    return { end, generations: names.map((name) => this.tags.get(name)!) };
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
  /** How often it was asked about tags. */
  questions = 0;
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

  override append(changes: Changes, writer: string, _keepTagsMs: number): Promise<LogPosition> {
    this.writer = writer;
    if (this.answers === 'none') return Promise.reject(new Error('append: not connected'));
    return Promise.resolve(this.log.append(writer, changes));
  }

  override generations(tags: readonly string[], _keepTagsMs: number): Promise<TagsAnswer> {
    this.questions++;
    if (this.answers === 'none') return Promise.reject(new Error('generations: not connected'));
    return Promise.resolve(this.log.generations(tags));
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
