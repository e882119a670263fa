import { checkSource } from '../../connection/checked-source.js';
import { checkedNamespace } from '../../connection/namespace.js';
import { openNodes } from '../../connection/open-nodes.js';
import type { RedisNodes } from '../../connection/redis-nodes.js';
import { reasonOf } from '../../connection/unreachable.js';
import type { RedisSource } from '../../connection/redis-source.js';
import { CacheUsageError } from '../../errors/cache.error.js';
import { SystemClock, type Clock } from '../../time/clock.js';
import {
  DistributedLock,
  lockTerms,
  type Lock,
  type LockAttempt,
  type LockOptions,
  type LockTerms,
} from '../distributed-lock.js';
import { Contest, type Contender } from './contest.js';
import { LockCommands, NONE } from './lock-commands.js';
import { LockNode } from './lock-node.js';
import { RedisHold } from './redis-hold.js';
import { Wakes } from './wakes.js';

export type RedisLockOptions = RedisSource & {
  /**
   * What all its keys and channels in Redis begin with: the same for all processes that share locks, and for no other.
   *
   * @range letters, digits, `-`, `_` and `.`, at most 64
   */
  readonly namespace: string;
};

/**
 * Locks among all processes that use one Redis, version 7.0 or later, or one cluster of them.
 *
 * While Redis is out of reach nobody gets a lock: who waits goes on waiting, as for a lock that is held. Who holds one is
 * told of its loss before its ttl is over, since it cannot be renewed. If Redis fails over to a replica that does not
 * know of a lock, a second holder gets it; the fences still tell them apart, unless the clock of the new primary is
 * behind by more than the failover took.
 */
export class RedisLock extends DistributedLock {
  private readonly commands: LockCommands;
  private readonly nodes: RedisNodes<LockNode>;
  private readonly wakes: Wakes;
  private readonly contests = new Map<string, Contest>();
  private readonly holds = new Map<string, RedisHold>();
  /** What is being told to Redis and nobody waits for. */
  private readonly telling = new Set<Promise<void>>();
  private closed = false;

  /** Connects when a lock is first asked for, so that an application starts without Redis. */
  constructor(
    options: RedisLockOptions,
    private readonly clock: Clock = new SystemClock(),
  ) {
    super();
    checkSource(options, 'RedisLock', ['namespace']);
    const { namespace, ...source } = options;
    checkedNamespace(namespace, 'RedisLock');
    this.nodes = openNodes(source, 'RedisLock', clock, (connection, onSilent) => {
      connection.onReady(() => this.askAgain());
      return new LockNode(connection, onSilent);
    });
    this.commands = new LockCommands(this.nodes, namespace, clock);
    this.wakes = new Wakes(
      this.nodes.subscriber,
      `${namespace}:k`,
      (name) => this.onWake(name),
      () => this.askAgain(),
    );
  }

  override async acquire(name: string, options: LockOptions = {}): Promise<Lock | undefined> {
    return (await this.attempt(name, options)).lock;
  }

  protected override async attempt(name: string, options: LockOptions): Promise<LockAttempt> {
    const terms = lockTerms(name, options);
    // A stalled process may come here before its timers have run.
    this.holds.get(name)?.check();
    terms.signal?.throwIfAborted();
    if (this.closed) throw ended(name);
    const contest = this.contests.get(name);
    if (contest !== undefined && terms.patienceMs === 0) return {};
    return this.contend(name, contest ?? this.contestOf(name), terms);
  }

  /**
   * Gives back what it holds, after telling the holders; whoever waits is rejected. Leaves no connection. A client that
   * was handed over stays as it is.
   */
  override async close(): Promise<void> {
    this.closed = true;
    for (const [name, contest] of this.contests) contest.close(ended(name));
    for (const hold of this.holds.values()) hold.lose();
    while (this.telling.size > 0) await Promise.all(this.telling);
    await this.nodes.close();
  }

  private contend(name: string, contest: Contest, terms: LockTerms): Promise<LockAttempt> {
    const { ttlMs, patienceMs, signal } = terms;
    return new Promise((resolve, reject) => {
      const settle = () => {
        signal?.removeEventListener('abort', abort);
        stop?.();
      };
      const contender: Contender = {
        ttlMs,
        now: patienceMs === 0,
        grant: (token, fence, sentAt) => {
          settle();
          resolve({ lock: this.hold(name, token, fence, ttlMs, sentAt) });
        },
        giveUp: (silence) => {
          settle();
          resolve({ trouble: silence && reasonOf(silence) });
        },
        fail: (reason) => {
          settle();
          reject(reason);
        },
      };
      const abort = () => {
        contest.leave(contender);
        contender.fail(signal?.reason);
      };
      const tire = () => {
        contest.leave(contender);
        contender.giveUp(contest.silence);
      };
      const stop = patienceMs ? this.clock.after(patienceMs, tire) : undefined;
      signal?.addEventListener('abort', abort, { once: true });
      contest.enter(contender);
    });
  }

  private contestOf(name: string): Contest {
    const contest = new Contest(name, this.commands, this.wakes, this.clock, (token, enlisted) => {
      this.contests.delete(name);
      if (token !== NONE || enlisted) void this.tell(name, token);
    });
    this.contests.set(name, contest);
    return contest;
  }

  private hold(
    name: string,
    token: string,
    fence: bigint,
    ttlMs: number,
    sentAt: number,
  ): RedisHold {
    // Redis has let it expire, so nobody else is to believe in it when this one begins to.
    this.holds.get(name)?.lose();
    const hold = new RedisHold(
      name,
      fence,
      token,
      ttlMs,
      sentAt,
      this.commands,
      this.clock,
      (given) => {
        if (this.holds.get(name) === given) this.holds.delete(name);
        return this.tell(name, token);
      },
    );
    this.holds.set(name, hold);
    return hold;
  }

  private onWake(name: string): void {
    const contest = this.contests.get(name);
    if (contest !== undefined) contest.wake();
    // He who was to be woken has gone: somebody in another process may still wait.
    else if (!this.closed) void this.tell(name, NONE);
  }

  /** Answers or wakes may have been lost with a connection. */
  private askAgain(): void {
    for (const contest of this.contests.values()) contest.wake();
  }

  /** Gives back the token, and the place in line of this process if nobody of it waits. If Redis does not hear it, the ttl does. */
  private tell(name: string, token: string): Promise<void> {
    const channel = this.contests.has(name) ? undefined : this.wakes.listeningOn;
    const told = this.commands.release(name, token, channel ?? NONE).catch(() => undefined);
    this.telling.add(told);
    return told.finally(() => this.telling.delete(told));
  }
}

function ended(name: string): CacheUsageError {
  return new CacheUsageError(
    'CACHE_NOT_RUNNING',
    `The lock '${name}' was asked for, but the application has ended`,
    'end what needs locks in an earlier hook of the shutdown.',
  );
}
