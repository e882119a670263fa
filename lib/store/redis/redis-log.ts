import { LuaScript } from '../../connection/lua-script.js';
import type { RedisConnection } from '../../connection/redis-connection.js';
import { Subscription } from '../../connection/subscription.js';
import { newToken } from '../../coordination/redis/lock-commands.js';
import {
  InvalidationLog,
  type Changes,
  type LogAnswer,
  type LogListener,
  type LogMessage,
  type LogPosition,
  type TagsAnswer,
} from '../invalidation-log.js';
import type { EntryKeys } from './entry-keys.js';
import { wholeMs } from './leases.js';
import { decodeChanges, decodeMessage, encodeChanges } from './log-message.js';
import type { StoreCommands } from './store-commands.js';

const APPEND = new LuaScript('append-log', import.meta.url);
const POLL = new LuaScript('poll-log', import.meta.url);
const READ_TAGS = new LuaScript('read-tags', import.meta.url);

/** Roughly: who has missed more drops what he has. */
const MOST_KEPT = 1_000;
/** Who was away for longer has nothing left that is current. */
const KEPT_MS = 3_600_000;

/** A code, the time, and where the log ends. */
type End = [code: 1, micros: number, epoch: Buffer, seq: Buffer];

type Missed = [id: Buffer, fields: [w: Buffer, writer: Buffer, m: Buffer, entries: Buffer]];

/** A stream that says what has changed, and a channel on which that is told at once. */
export class RedisLog extends InvalidationLog {
  private subscription: Subscription | undefined;

  constructor(
    private readonly commands: StoreCommands,
    private readonly subscriber: RedisConnection,
    private readonly keys: EntryKeys,
  ) {
    super();
  }

  override async append(
    changes: Changes,
    writer: string,
    keepTagsMs: number,
  ): Promise<LogPosition> {
    const { log, logMessages, logChannel } = this.keys;
    const [, , epoch, seq] = await this.commands.run<End>(
      APPEND,
      [log, logMessages, ...changes.tags.map((tag) => this.keys.tag(tag))],
      [
        logChannel,
        writer,
        encodeChanges(changes),
        newToken(),
        MOST_KEPT,
        KEPT_MS,
        wholeMs(keepTagsMs),
      ],
    );
    return positionOf(epoch, seq);
  }

  override async generations(tags: readonly string[], keepTagsMs: number): Promise<TagsAnswer> {
    const [, , epoch, seq, generations] = await this.commands.run<[...End, generations: Buffer[]]>(
      READ_TAGS,
      [this.keys.log, this.keys.logMessages, ...tags.map((tag) => this.keys.tag(tag))],
      [newToken(), KEPT_MS, wholeMs(keepTagsMs)],
    );
    return { end: positionOf(epoch, seq), generations: generations.map(numberIn) };
  }

  override async poll(heard: LogPosition | undefined): Promise<LogAnswer> {
    // It may have given up meanwhile.
    this.subscription?.open();
    const [, , epoch, seq, missed] = await this.commands.run<[...End, missed: Missed[]]>(
      POLL,
      [this.keys.log, this.keys.logMessages],
      [heard?.epoch ?? '', heard?.seq ?? 0, newToken(), 2 * MOST_KEPT, KEPT_MS],
    );
    const end = positionOf(epoch, seq);
    return { end, missed: this.decoded(missed, end.epoch) };
  }

  override listen(listener: LogListener): void {
    const onListening = () => listener.onListening();
    const onMessage = (text: string) => {
      const message = decodeMessage(text);
      // What cannot be read is missed; so it is asked for, and what cannot be read then either is not repaired.
      if (message === undefined) onListening();
      else listener.onMessage(message);
    };
    const { subscriber, keys } = this;
    this.subscription = new Subscription(subscriber, keys.logChannel, onMessage, onListening);
    this.subscription.open();
  }

  private decoded(missed: Missed[], epoch: string): LogMessage[] | undefined {
    const messages: LogMessage[] = [];
    for (const [id, [, writer, , text]] of missed) {
      const changes = decodeChanges(text.toString());
      if (changes === undefined) return undefined;
      const seq = parseInt(id.toString(), 10);
      messages.push({ epoch, seq, writer: writer.toString(), ...changes });
    }
    return messages;
  }
}

function positionOf(epoch: Buffer, seq: Buffer): LogPosition {
  return { epoch: epoch.toString(), seq: numberIn(seq) };
}

function numberIn(digits: Buffer): number {
  return Number(digits.toString());
}
