import { LuaScript } from '../../connection/lua-script.js';
import type { RedisConnection } from '../../connection/redis-connection.js';
import { Subscription } from '../../connection/subscription.js';
import { newToken } from '../../coordination/redis/lock-commands.js';
import type { EntryName } from '../entry-name.js';
import {
  InvalidationLog,
  type LogAnswer,
  type LogListener,
  type LogMessage,
  type LogPosition,
} from '../invalidation-log.js';
import type { EntryKeys } from './entry-keys.js';
import { decodeEntries, decodeMessage, encodeEntries } from './log-message.js';
import type { StoreCommands } from './store-commands.js';

const APPEND = new LuaScript('append-log', import.meta.url);
const POLL = new LuaScript('poll-log', import.meta.url);

/** Roughly: who has missed more drops what he has. */
const MOST_KEPT = 1_000;
/** Who was away for longer has nothing left that is current. */
const KEPT_MS = 3_600_000;

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

  override async append(entries: readonly EntryName[], writer: string): Promise<void> {
    await this.commands.run(
      APPEND,
      [this.keys.log, this.keys.logMessages],
      [this.keys.logChannel, writer, encodeEntries(entries), newToken(), MOST_KEPT, KEPT_MS],
    );
  }

  override async poll(heard: LogPosition | undefined): Promise<LogAnswer> {
    // It may have given up meanwhile.
    this.subscription?.open();
    const [, , epochBytes, seqBytes, missed] = await this.commands.run<
      [code: 1, micros: number, epoch: Buffer, seq: Buffer, missed: Missed[]]
    >(
      POLL,
      [this.keys.log, this.keys.logMessages],
      [heard?.epoch ?? '', heard?.seq ?? 0, newToken(), 2 * MOST_KEPT, KEPT_MS],
    );
    const epoch = epochBytes.toString();
    const end = { epoch, seq: Number(seqBytes.toString()) };
    return { end, missed: this.decoded(missed, epoch) };
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
      const entries = decodeEntries(text.toString());
      if (entries === undefined) return undefined;
      messages.push({
        epoch,
        seq: parseInt(id.toString(), 10),
        writer: writer.toString(),
        entries,
      });
    }
    return messages;
  }
}
