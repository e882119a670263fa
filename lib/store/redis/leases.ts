import { LuaScript } from '../../connection/lua-script.js';
import { newToken } from '../../coordination/redis/lock-commands.js';
import type { EntryName, Lease, LeaseAnswer, LeaseTerms, StoredEntry } from '../cache-store.js';
import type { EntryKeys } from './entry-keys.js';
import type { StoreCommands } from './store-commands.js';
import { LostAnswerError, ReplicaError, type Found } from './store-node.js';
import { judged } from './stored-record.js';
import type { Waiter, Waiters } from './waiters.js';

const LEASE = new LuaScript('lease', import.meta.url);

/** As long as it is worth waiting for a new connection with a question whose answer was lost with the last one. */
const RECONNECTED_WITHIN_MS = 500;

/** Some 300 years, which Redis takes as a ttl; longer ones are cut. */
const MOST_MS = 1e13;

/** What the script answers, by its codes. */
type Answer =
  | [code: 0, micros: number, history: Buffer, record: Buffer]
  | [code: 1, micros: number, history: Buffer, stale: Buffer]
  | [code: 2, micros: number, history: Buffer, stale: Buffer, remainingMs: number]
  | [code: 3, micros: number, history: Buffer, record: Buffer, remainingMs: number]
  | [code: 4, micros: number];

/** A lease of this store. */
export interface RedisLease extends Lease {
  /** In which history of its server it was granted: what is stored under it says so. */
  readonly history: Buffer;
}

/** As scripts want a duration: a record or a lease without one does not exist. */
export function wholeMs(ms: number): number {
  return Math.min(Math.max(Math.ceil(ms), 0), MOST_MS);
}

/** Asks for the right to load entries. */
export class Leases {
  constructor(
    private readonly commands: StoreCommands,
    private readonly keys: EntryKeys,
    private readonly waiters: Waiters,
    /** Nothing for what is no entry. */
    private readonly decode: (record: Found, entry: EntryName) => StoredEntry | undefined,
  ) {}

  async ask(entry: EntryName, terms: LeaseTerms): Promise<LeaseAnswer> {
    this.waiters.open();
    // Before it is sent: what it waits for may end before the answer is read.
    const waiter = this.waiters.enter(this.keys.lease(entry));
    let isHeld = false;
    try {
      const answer = await this.askAgainIfLost(entry, terms, waiter);
      isHeld = answer.outcome === 'held';
      return answer;
    } catch (error) {
      if (error instanceof ReplicaError) return { outcome: 'refused' };
      throw error;
    } finally {
      if (!isHeld) waiter.leave();
    }
  }

  private async askAgainIfLost(
    entry: EntryName,
    terms: LeaseTerms,
    waiter: Waiter,
  ): Promise<LeaseAnswer> {
    const token = newToken();
    try {
      return await this.attempt(entry, terms, waiter, token, '');
    } catch (error) {
      if (!(error instanceof LostAnswerError)) throw error;
      const lease = this.keys.lease(entry);
      if (!(await this.commands.reconnected(lease, RECONNECTED_WITHIN_MS))) throw error;
      return this.attempt(entry, terms, waiter, newToken(), token);
    }
  }

  private async attempt(
    entry: EntryName,
    terms: LeaseTerms,
    waiter: Waiter,
    token: string,
    previous: string,
  ): Promise<LeaseAnswer> {
    const answer = await this.commands.run<Answer>(
      LEASE,
      [this.keys.record(entry), this.keys.lease(entry)],
      [
        token,
        previous,
        Math.max(1, wholeMs(terms.leaseMs)),
        terms.staleForMs,
        terms.staleOnErrorMs,
        terms.newerThan,
        this.waiters.channel ?? '',
      ],
    );
    if (answer[0] === 4) return { outcome: 'refused' };
    const [code, micros, history, record, forMs = 0] = answer;
    const stored = record.length === 0 ? undefined : this.decode(judged(record, history), entry);
    if (code === 1) {
      const lease: RedisLease = { entry, token, grantedAt: micros / 1_000, history };
      return { outcome: 'granted', lease, stale: stored };
    }
    if (code === 2) {
      return { outcome: 'held', forMs, stale: stored, woken: waiter.woken, leave: waiter.leave };
    }
    if (stored === undefined) {
      // The script does not look at all of it: what nobody can read is replaced.
      if (terms.newerThan === Infinity) return { outcome: 'refused' };
      return this.attempt(entry, { ...terms, newerThan: Infinity }, waiter, newToken(), '');
    }
    return code === 0 ? { outcome: 'fresh', stored } : { outcome: 'cooling', forMs, stale: stored };
  }
}
