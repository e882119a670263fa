import type {
  Changes,
  InvalidationLog,
  LogAnswer,
  LogListener,
  LogPosition,
  TagsAnswer,
} from './invalidation-log.js';
import { isSoundMessage, isSoundPoll, isSoundPosition, isSoundTags } from './sound-answers.js';

/** An answer that takes longer is not waited for: the next one is asked for then. */
const MOST_POLL_MS = 900;

interface Terms<T> {
  readonly mostMs?: number;
  readonly isSound?: (answer: T) => boolean;
}

/** A log that costs who asks it no more than the deadline of its store. */
export class GuardedLog {
  constructor(
    private readonly log: InvalidationLog,
    private readonly within: <T>(ask: () => Promise<T>, terms?: Terms<T>) => Promise<T>,
  ) {}

  append(changes: Changes, writer: string, keepTagsMs: number): Promise<LogPosition> {
    const isSound = isSoundPosition;
    return this.within(() => this.log.append(changes, writer, keepTagsMs), { isSound });
  }

  poll(heard: LogPosition | undefined): Promise<LogAnswer> {
    const terms = { mostMs: MOST_POLL_MS, isSound: isSoundPoll };
    return this.within(() => this.log.poll(heard), terms);
  }

  generations(tags: readonly string[], keepTagsMs: number): Promise<TagsAnswer> {
    const isSound = (answer: TagsAnswer) => isSoundTags(answer, tags.length);
    return this.within(() => this.log.generations(tags, keepTagsMs), { isSound });
  }

  listen(listener: LogListener): void {
    this.log.listen({
      onListening: () => listener.onListening(),
      // What is none counts as lost.
      onMessage: (message) => isSoundMessage(message) && listener.onMessage(message),
    });
  }
}
