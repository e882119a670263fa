import { LuaScript } from '../../connection/lua-script.js';
import { checkedNamespace } from '../../connection/namespace.js';
import { CacheRedisError, NoAnswerError } from '../../connection/redis.error.js';
import { reasonOf } from '../../connection/unreachable.js';
import { openNodes } from '../../connection/open-nodes.js';
import type { RedisNodes } from '../../connection/redis-nodes.js';
import type { RedisSource } from '../../connection/redis-source.js';
import { newToken } from '../../coordination/redis/lock-commands.js';
import type { Comparable } from '../../entry/version.js';
import { SystemClock, type Clock } from '../../time/clock.js';
import {
  CacheStore,
  type CheckOutcome,
  type EntryName,
  type FillOutcome,
  type Lease,
  type LeaseAnswer,
  type LeaseTerms,
  type ReadAnswer,
  type StoredEntry,
} from '../cache-store.js';
import { refusal } from '../refusal.js';
import { checkCapabilities } from './capabilities.js';
import { lossOf } from './durability.js';
import { EntryKeys } from './entry-keys.js';
import { Leases, wholeMs, type RedisLease } from './leases.js';
import { RedisLog } from './redis-log.js';
import { NO_HISTORY } from './server-history.js';
import { ServerTime } from './server-time.js';
import { StoreCommands } from './store-commands.js';
import { StoreNode, type Found } from './store-node.js';
import { decodeRecord, encodeRecord, encodeVersion, MOST_RECORD_BYTES } from './stored-record.js';
import { codeOf } from './version-code.js';
import { Waiters } from './waiters.js';

const FILL = new LuaScript('fill', import.meta.url);
const FAIL = new LuaScript('fail', import.meta.url);
const CLAIM = new LuaScript('claim', import.meta.url);
const INVALIDATE = new LuaScript('invalidate', import.meta.url);

export type RedisStoreOptions = RedisSource & {
  /**
   * What all its keys and channels in Redis begin with. Processes that share entries need the same.
   *
   * @default 'cache'
   * @range letters, digits, `-`, `_` and `.`, at most 64
   */
  readonly namespace?: string;
  /**
   * Whether {@link RedisStore.check} bears that Redis is out of reach.
   *
   * @default true
   */
  readonly startWithout?: boolean;
  /** Called for every record that was found and is none of ours; it counts as absent. */
  readonly onUnreadable?: (entry: EntryName) => void;
  /** Called for what Redis refuses, and will go on to. */
  readonly onRefused?: (error: CacheRedisError) => void;
};

/**
 * Entries that all processes share which use one Redis, version 7.0 or later, or one cluster of them.
 *
 * Its time is that of the server which has the entry. Before its first answer `now` is the wall clock of this process;
 * whatever else is asked is answered after that.
 */
export class RedisStore extends CacheStore {
  override readonly log: RedisLog;
  private readonly namespace: string;
  private readonly startWithout: boolean;
  private readonly keys: EntryKeys;
  private readonly nodes: RedisNodes<StoreNode>;
  private readonly commands: StoreCommands;
  /** For what no server has said anything about. */
  private readonly guess: ServerTime;
  private readonly waiters: Waiters;
  private readonly leases: Leases;
  private readonly onUnreadable: (entry: EntryName) => void;
  private readonly onRefused: (error: CacheRedisError) => void;
  /** It was out of reach when it was checked: to be checked with the next connection. */
  private unchecked = false;

  /**
   * Connects when it is first asked for something, so that an application starts without Redis. `options` have been
   * checked.
   */
  constructor(options: RedisStoreOptions, clock: Clock = new SystemClock()) {
    super();
    const {
      namespace = 'cache',
      startWithout = true,
      onUnreadable = () => {},
      onRefused = () => {},
      ...source
    } = options;
    this.startWithout = startWithout;
    this.namespace = checkedNamespace(namespace, 'redisStore');
    this.keys = new EntryKeys(this.namespace);
    this.onUnreadable = onUnreadable;
    this.onRefused = onRefused;
    this.guess = new ServerTime(clock);
    this.nodes = openNodes(source, 'redisStore', clock, (connection, onSilent) => {
      const node = new StoreNode(connection, clock, onSilent);
      connection.onReady(() => void this.checkLate());
      return node;
    });
    this.commands = new StoreCommands(this.nodes, onRefused);
    this.waiters = new Waiters(this.nodes.subscriber, this.keys.wakes);
    this.log = new RedisLog(this.commands, this.nodes.subscriber, this.keys);
    this.leases = new Leases(this.commands, this.keys, this.waiters, (record, entry) =>
      this.decoded(record, entry),
    );
  }

  override now(entry: EntryName): number {
    const { only } = this.nodes;
    return ((only ?? this.nodes.nodeOf(this.keys.record(entry)))?.time ?? this.guess).now();
  }

  override placeOf(entry: EntryName): string {
    return this.nodes.only === undefined ? this.nodes.placeOf(this.keys.record(entry)) : '';
  }

  /**
   * Whether this Redis can do what is needed, and this user may.
   *
   * @returns why it gives no answer, if that is borne; it is checked again with the first connection then. Or how it may
   *   lose what it acknowledges
   * @throws {CacheRedisError} CACHE_REDIS_TOO_OLD, CACHE_REDIS_NOT_ALLOWED, CACHE_REDIS_REFUSED
   * @throws {NoAnswerError} if it is out of reach, and that is not borne
   */
  override async check(): Promise<CheckOutcome> {
    let outcome: CheckOutcome = 'ready';
    try {
      await this.checkNow();
      const mayLose = await lossOf(this.nodes);
      if (mayLose !== undefined) outcome = { mayLose };
    } catch (error) {
      if (!(error instanceof NoAnswerError)) throw error;
      const { problem, fix } = reasonOf(error);
      if (!this.startWithout) {
        const otherwise =
          'Or start without it, and use it as soon as it is there: `startWithout: true`.';
        throw new NoAnswerError(`Redis is out of reach: ${problem}. Fix: ${fix} ${otherwise}`, {
          cause: error,
        });
      }
      outcome = { outOfReach: `${problem}. Fix: ${fix}` };
      this.unchecked = true;
    }
    // So that who waits for the very first load can be woken.
    this.waiters.open();
    return outcome;
  }

  private checkNow(): Promise<void> {
    return checkCapabilities(this.nodes, this.namespace, () => this.keys.probe(newToken()));
  }

  private async checkLate(): Promise<void> {
    if (!this.unchecked) return;
    this.unchecked = false;
    try {
      await this.checkNow();
    } catch (error) {
      if (error instanceof CacheRedisError) this.onRefused(error);
      else this.unchecked = true;
    }
  }

  override async read(entry: EntryName): Promise<StoredEntry | undefined> {
    return (await this.readAll([entry]))[0];
  }

  override async readAll(entries: readonly EntryName[]): Promise<ReadAnswer[]> {
    const keys = entries.map((entry) => this.keys.record(entry));
    const answers = await this.commands.read(keys);
    return answers.map((answer, index) => {
      const entry = entries[index]!;
      if (!(answer instanceof Promise)) return this.decoded(answer, entry);
      const stored = answer.then((record) => this.decoded(record, entry));
      // Who asked may have gone away.
      stored.catch(() => undefined);
      return stored;
    });
  }

  override lease(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    return this.leases.ask(entry, terms);
  }

  override async fill(lease: Lease, stored: StoredEntry, keepMs: number): Promise<FillOutcome> {
    const { entry, token } = lease;
    const record = encodeRecord(stored, historyOf(lease));
    if (record === undefined) {
      await this.fail(lease, 0);
      throw refusal(
        new NoAnswerError(
          `An entry of '${entry.entity}' is longer than ${MOST_RECORD_BYTES} bytes`,
        ),
      );
    }
    const [code] = await this.commands.run(FILL, this.all(entry), [token, record, wholeMs(keepMs)]);
    if (code === -2) throw refusal(new NoAnswerError('Redis takes nothing at present'));
    return code === 1 ? 'stored' : code === 0 ? 'voided' : 'older version';
  }

  override async fail({ entry, token }: Lease, coolDownMs: number): Promise<void> {
    await this.commands.run(FAIL, [this.keys.lease(entry)], [token, wholeMs(coolDownMs)]);
  }

  override async claim(entry: EntryName, leaseMs: number): Promise<RedisLease> {
    const token = newToken();
    const [, micros, history] = await this.commands.run<[code: 1, micros: number, history: Buffer]>(
      CLAIM,
      [this.keys.lease(entry)],
      [token, Math.max(1, wholeMs(leaseMs))],
    );
    return { entry, token, grantedAt: micros / 1_000, history };
  }

  override async invalidate(
    entry: EntryName,
    below?: { readonly atLeast: Comparable; readonly keepMs: number },
  ): Promise<void> {
    const floor = below === undefined ? '' : encodeVersion(codeOf(below.atLeast));
    const keepMs = wholeMs(below?.keepMs ?? 0);
    await this.commands.run(INVALIDATE, this.all(entry), [floor, keepMs]);
  }

  override async close(): Promise<void> {
    await this.commands.close();
  }

  private decoded(found: Found, entry: EntryName): StoredEntry | undefined {
    if (found === null) return undefined;
    const stored = decodeRecord(found);
    if (stored === undefined) this.onUnreadable(entry);
    return stored;
  }

  private all(entry: EntryName): [record: string, lease: string, floor: string] {
    return [this.keys.record(entry), this.keys.lease(entry), this.keys.floor(entry)];
  }
}

/** One of this store has it; who makes up another has no right that any server has granted. */
function historyOf(lease: Lease & Partial<RedisLease>): Buffer {
  return lease.history ?? NO_HISTORY;
}
