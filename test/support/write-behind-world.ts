import { deserialize } from 'node:v8';
import fc from 'fast-check';
import { add, entity, readThrough, remove, set, writeBehind } from 'nestjs-cache-contract';
import { resolvePolicy, type Policy } from '../../lib/contract/policy.js';
import { MemoryLock } from '../../lib/coordination/memory-lock.js';
import { EventSource } from '../../lib/events/event-source.js';
import { EntityState } from '../../lib/store/entity-state.js';
import { Background } from '../../lib/time/background.js';
import { BatchWriter } from '../../lib/write/behind/batch-writer.js';
import { DeadLetters } from '../../lib/write/behind/dead-letters.js';
import { Flusher } from '../../lib/write/behind/flusher.js';
import { Gate } from '../../lib/write/behind/gate.js';
import type { Entry } from '../../lib/write/behind/journal.js';
import { MemoryJournal } from '../../lib/write/behind/memory-journal.js';
import type { Pending } from '../../lib/write/behind/pending.js';
import { TimeLimit } from '../../lib/write/behind/time-limit.js';
import { WriteBehind } from '../../lib/write/behind/write-behind.js';
import { ManualClock } from './manual-clock.js';
import {
  Database,
  entryOfLetter,
  ForgetfulLedger,
  Handler,
  idOfRow,
  ModelLedger,
} from './write-behind-database.js';
import {
  WitnessedJournal,
  type AcceptedMutation,
  type Call,
  type Failure,
} from './write-behind-witness.js';

const FLUSH_EVERY_MS = 5;
const FLUSH_TIMEOUT_MS = 20;
const NAMESPACE = 'test';

const KEYS = ['a', 'b', 'c'] as const;
const key = fc.constantFrom(...KEYS);
const op = fc.constantFrom('add' as const, 'add' as const, 'set' as const, 'remove' as const);
const which = fc.nat({ max: 9 });
const step = <Step extends { do: string }>(weight: number, fields: { [F in keyof Step]: any }) => ({
  weight,
  arbitrary: fc.record(fields) as fc.Arbitrary<Step>,
});
const is = <const Name extends string>(name: Name) => fc.constant(name);

/** What can happen. Everything that begins in one of them comes as far as it can before the next. */
const steps = fc.oneof(
  step<{ do: 'accept'; key: string; op: Op }>(9, { do: is('accept'), key, op }),
  step<{ do: 'write'; key: string; op: Op }>(2, { do: is('write'), key, op }),
  step<{ do: 'send again'; which: number; shard: number }>(2, {
    do: is('send again'),
    which,
    shard: which,
  }),
  step<{ do: 'seal'; shard: number }>(1, { do: is('seal'), shard: which }),
  step<{ do: 'flush' }>(5, { do: is('flush') }),
  step<{ do: 'rival flush' }>(3, { do: is('rival flush') }),
  step<{ do: 'pass'; ms: number }>(5, {
    do: is('pass'),
    ms: fc.constantFrom(1, FLUSH_EVERY_MS, FLUSH_TIMEOUT_MS),
  }),
  step<{ do: 'let go' }>(2, { do: is('let go') }),
  step<{ do: 'plan'; plan: Database['plans'][number] }>(6, {
    do: is('plan'),
    plan: fc.constantFrom(
      'goes well',
      'cannot begin',
      'begins late',
      'crashes before it commits',
      'commits late',
      'commits late',
      'commits, and its answer is lost',
      'commits, and its answer is lost',
    ),
  }),
  step<{ do: 'journal fails'; shard: number; what: readonly [Call, Failure] }>(3, {
    do: is('journal fails'),
    shard: which,
    what: fc.constantFrom<[Call, Failure][]>(
      ['put', 'before'],
      ['put', 'after'],
      ['putAwaited', 'before'],
      ['acknowledge', 'before'],
      ['acknowledge', 'after'],
      ['acknowledge', 'after'],
      ['seal', 'before'],
      ['seal', 'after'],
      ['head', 'before'],
      ['cancel', 'after'],
      ['beginAnew', 'before'],
      ['beginAnew', 'after'],
    ),
  }),
  step<{ do: 'poison'; what: string; how: 'throws' | 'rejects' }>(2, {
    do: is('poison'),
    what: fc.tuple(op, key).map((parts) => parts.join(' ')),
    how: fc.constantFrom('throws', 'rejects'),
  }),
  step<{ do: 'heal' }>(1, { do: is('heal') }),
  step<{ do: 'retry'; which: number }>(2, { do: is('retry'), which }),
  step<{ do: 'discard'; which: number }>(1, { do: is('discard'), which }),
  step<{ do: 'back up' }>(1, { do: is('back up') }),
  step<{ do: 'restore' }>(1, { do: is('restore') }),
);
type Op = 'add' | 'set' | 'remove';
type Step = typeof steps extends fc.Arbitrary<infer S> ? S : never;

export interface History {
  readonly shards: number;
  readonly maxBatch: number;
  readonly maxPending: number;
  readonly locking: 'one by one' | 'side by side';
  readonly rival: boolean;
  readonly steps: readonly Step[];
}

export const history: fc.Arbitrary<History> = fc.record({
  shards: fc.constantFrom(1, 1, 2),
  maxBatch: fc.constantFrom(1, 2, 3),
  maxPending: fc.constantFrom(3, 8),
  locking: fc.constantFrom('one by one' as const, 'side by side' as const),
  rival: fc.constantFrom(false, false, true),
  steps: fc.array(steps, { minLength: 4, maxLength: 20, size: 'max' }),
});

/** Everything that is started comes to its end, apart from what waits for the clock or for a late transaction. */
const settled = () => new Promise(setImmediate);
const ignore = () => undefined;

const policies = new Map<string, Policy>();
/** Checking a contract takes longer than a history. */
function policyOf({ shards, maxBatch, maxPending }: History): Policy {
  const name = `${shards} ${maxBatch} ${maxPending}`;
  let policy = policies.get(name);
  if (policy === undefined) {
    const Counters = entity<bigint | null>('counter', {
      maxStaleness: '1h',
      read: readThrough({ ttl: '1h' }),
      write: writeBehind({
        merge: 'sum',
        flushEvery: FLUSH_EVERY_MS,
        flushTimeout: FLUSH_TIMEOUT_MS,
        shards,
        maxBatch,
        maxPending: maxPending * shards,
        retry: { attempts: 1, delay: 2, maxDelay: 2 },
      }),
    });
    policies.set(name, (policy = resolvePolicy(Counters, 'here') as Policy));
  }
  return policy;
}

/** One application that writes behind, its journals, its database, and what became of every mutation. */
export class World {
  readonly clock = new ManualClock();
  readonly background = new Background(this.clock);
  readonly database: Database;
  readonly journals: WitnessedJournal[] = [];
  readonly behind: WriteBehind;
  private readonly handler: Handler;
  private readonly rivals: Flusher[];
  private readonly wrong: string[] = [];
  private weight = 0n;
  private asked = 0;
  private answered = 0;

  constructor(
    private readonly history: History,
    ledgerRemembers: boolean,
  ) {
    const { locking, maxBatch, maxPending, rival } = history;
    const policy = policyOf(history);
    const { clock, background } = this;
    this.database = new Database(locking);
    this.handler = new Handler((shard, seq) => this.tried(shard, seq));
    const state = new EntityState(policy, ignore);
    this.behind = new WriteBehind(state, {
      namespace: NAMESPACE,
      clock,
      background,
      lock: new MemoryLock(clock),
      events: new EventSource(NAMESPACE, ignore),
      show: ignore,
      forget: ignore,
      journal: (shard) => {
        const journal = new WitnessedJournal(new MemoryJournal(shard, maxBatch, maxPending));
        this.journals.push(journal);
        return journal;
      },
    });
    const ledger = new (ledgerRemembers ? ModelLedger : ForgetfulLedger)(this.database);
    const target = { flush: this.handler.flush, ledger };
    this.behind.bind(target);
    this.rivals = rival ? this.journals.map((journal) => this.rival(policy, journal, target)) : [];
  }

  /** Another flusher of the same journal, as after a lock was lost: neither knows of the other. */
  private rival(
    policy: Policy,
    journal: WitnessedJournal,
    target: ConstructorParameters<typeof BatchWriter>[1],
  ): Flusher {
    const { clock, background } = this;
    const of = { namespace: NAMESPACE, entity: policy.entity, revive: undefined };
    const after = (ms: number, task: () => void) => background.after(ms, task);
    const limit = new TimeLimit(of.entity, FLUSH_TIMEOUT_MS, after);
    const letters = new DeadLetters(of, target.ledger, 100);
    const batches = new BatchWriter(of, target, letters, limit);
    return new Flusher({
      policy: policy.writeBehind!,
      journal,
      gate: new Gate(),
      clock,
      background,
      lock: new MemoryLock(clock),
      lockName: 'rival',
      ended: () => new Error('the rival has ended'),
      write: (segment, attempt, witnesses) => batches.write(segment, attempt, witnesses),
      written: ignore,
      failed: ignore,
    });
  }

  async live(): Promise<void> {
    for (const step of this.history.steps) {
      const before = this.journals.map(({ mutations }) => mutations.length);
      const told = this.take(step);
      await settled();
      if (told === undefined) continue;
      this.journals.forEach(({ mutations }, shard) => {
        for (const mutation of mutations.slice(before[shard])) {
          if (mutation.awaited) mutation.told ??= told;
        }
      });
    }
    await this.recover();
    await this.shutDown();
  }

  /** What the caller is told, of a step that waits for a mutation to be written. */
  private take(step: Step): AcceptedMutation['told'] {
    const { behind, database, handler } = this;
    switch (step.do) {
      case 'accept':
        return this.ask(behind.accept(step.key, step.key, this.mutation(step.op)));
      case 'write':
        return this.ask(behind.acceptWritten(step.key, step.key, this.mutation(step.op)));
      case 'flush':
        return this.ask(behind.flush());
      case 'discard':
        return this.ask(this.letter(step.which, (letter) => behind.discard(letter)));
      case 'retry':
        // What is to happen in the same transaction is known to the flusher that was asked, and to no other.
        if (this.history.rival) return undefined;
        return this.ask(this.letter(step.which, (letter) => behind.retry(letter)));
      case 'send again':
        this.journalOf(step.shard)
          .resend(step.which)
          .catch((error: unknown) => this.wrong.push(String(error)));
        return undefined;
      case 'seal':
        this.journalOf(step.shard).seal().catch(ignore);
        return undefined;
      case 'rival flush':
        for (const rival of this.rivals) rival.flush().catch(ignore);
        return undefined;
      case 'pass':
        this.clock.advance(step.ms);
        return undefined;
      case 'let go':
        database.letGo();
        return undefined;
      case 'plan':
        database.plans.push(step.plan);
        return undefined;
      case 'journal fails':
        this.journalOf(step.shard).failNext(...step.what);
        return undefined;
      case 'poison':
        handler.poison.set(step.what, step.how);
        return undefined;
      case 'heal':
        handler.poison.clear();
        return undefined;
      case 'back up':
        database.backUp();
        return undefined;
      case 'restore':
        database.restore();
        return undefined;
    }
  }

  private ask(answer: Promise<unknown>): AcceptedMutation['told'] {
    const told: AcceptedMutation['told'] = { as: 'nothing yet' };
    this.asked++;
    answer.then(
      (said) => {
        this.answered++;
        told.as = said === false ? 'failed' : 'written';
      },
      () => {
        this.answered++;
        told.as = 'failed';
      },
    );
    return told;
  }

  private async letter(index: number, act: (letter: string) => Promise<boolean>): Promise<boolean> {
    const letters = [...this.database.contents.letters.keys()];
    const letter = letters[index % (letters.length || 1)];
    return letter === undefined ? false : act(letter);
  }

  /** Every sum tells which of these it is made of. */
  private mutation(op: Op) {
    const weight = 1n << this.weight++;
    return op === 'add' ? add(weight) : op === 'set' ? set(weight) : remove();
  }

  private journalOf(index: number): WitnessedJournal {
    return this.journals[index % this.journals.length]!;
  }

  private tried(shard: number, seq: number): void {
    if (this.history.rival) return;
    const mutation = this.journals[shard]!.mutations.find((one) => one.seq === seq);
    // A caller who was told that it failed may send it once more: it must not be written behind his back.
    if (mutation?.told?.as === 'failed') this.wrong.push(`${shard}:${seq} was given up, and tried`);
  }

  /** Nothing goes wrong any more, and everything is written. */
  private async recover(): Promise<void> {
    const { database, handler, behind, journals, clock } = this;
    database.plans = [];
    handler.poison.clear();
    for (const { failures } of journals) failures.clear();
    database.letGo();
    await settled();
    for (let i = 0; i < 10 && !this.isIdle(); i++) {
      behind.flush().catch(ignore);
      await settled();
      clock.advance(FLUSH_TIMEOUT_MS);
      database.letGo();
      await settled();
    }
    if (!this.isIdle()) this.wrong.push('something stays pending, though nothing is wrong');
  }

  private isIdle(): boolean {
    const empty = this.journals.every(({ size, sealed }) => size === 0 && sealed === 0);
    // What was written may have to be told once more.
    const told = this.behind.status.pending === 0 && this.answered === this.asked;
    return empty && (this.history.rival || told);
  }

  private async shutDown(): Promise<void> {
    const { behind, background, clock } = this;
    let ended = false;
    const end = behind.flush().then(() => {
      behind.close();
      for (const rival of this.rivals) rival.stop();
      return background.close();
    });
    void end.then(() => (ended = true));
    await settled();
    // Of two flushers one may still try what the other has written.
    clock.advance(FLUSH_TIMEOUT_MS);
    await settled();
    if (!ended || background.size > 0) this.wrong.push('the application cannot end');
    if (clock.pending > 0) this.wrong.push('a timer is left');
    const late = await behind.accept('a', 'a', remove()).then(
      () => 'accepted',
      () => 'refused',
    );
    if (late !== 'refused') this.wrong.push('something was accepted after the end');
    // With a rival, one waits for what the other has written.
    if (!this.history.rival && this.answered !== this.asked) {
      this.wrong.push(`${this.asked - this.answered} calls were never answered`);
    }
  }

  /** What is not as it should be. */
  faults(): string[] {
    const { contents, lost } = this.database;
    const { rows, values, buried, exhumed } = contents;
    const wrong = [...this.wrong];
    const written = new Set(rows.map(idOfRow));
    const dead = new Map([...buried].map(([letter, row]) => [entryOfLetter(letter), row]));
    const known = new Set<string>();
    const folds = new Map<string, bigint | undefined>();
    let deadMutations = 0;
    for (const journal of this.journals) {
      const entries = entriesOf(journal);
      let found = 0;
      for (const [id, { key, mutations, expected, acknowledged }] of entries) {
        known.add(id);
        found += mutations.length;
        if (mutations.length !== expected) wrong.push(`${id} is of ${expected} mutations`);
        const letter = dead.get(id);
        if (written.has(id)) {
          if (letter !== undefined) wrong.push(`${id} is written, and a dead letter`);
          folds.set(key, effectOf(mutations, folds.get(key)));
        } else if (letter !== undefined) {
          deadMutations += mutations.length;
          const { change } = deserialize(Buffer.from(letter.content, 'base64')) as Entry;
          if (applied(BASE, change) !== effectOf(mutations, BASE)) {
            wrong.push(`${id} is another mutation as a dead letter`);
          }
        } else {
          const isLost = lost.has(id) && acknowledged;
          const isGivenUp = mutations[0]?.awaited === true && mutations[0].told?.as !== 'written';
          if (!isLost && !isGivenUp) wrong.push(`${id} is neither written nor a dead letter`);
        }
      }
      // Given up before anybody tried it.
      const untried = journal.mutations.filter(
        ({ awaited, shard, seq, told }) =>
          awaited && !entries.has(`${shard}:${seq}`) && told?.as !== 'written',
      );
      if (found + untried.length !== journal.mutations.length) {
        wrong.push(`${found} of ${journal.mutations.length} mutations were tried`);
      }
      const seqs = rows.filter(({ shard }) => shard === journal.shard).map(({ seq }) => seq);
      if (seqs.some((seq, i) => i > 0 && seq <= seqs[i - 1]!)) {
        wrong.push(`shard ${journal.shard} was written in the order ${seqs.join()}`);
      }
    }
    for (const id of [...written, ...dead.keys()]) {
      if (!known.has(id)) wrong.push(`${id} was never accepted`);
    }
    for (const key of KEYS) {
      if (values.get(key) !== folds.get(key)) {
        wrong.push(`${key} is ${values.get(key)} in the database instead of ${folds.get(key)}`);
      }
    }
    for (const [letter, fate] of exhumed) {
      if (fate !== 'discarded' && !written.has(fate)) wrong.push(`${letter} is gone`);
    }
    return [...wrong, ...this.miscounted(deadMutations)];
  }

  private miscounted(deadMutations: number): string[] {
    const { accepted, pending, flushed, dead, duplicates } = this.behind.status;
    const wrong: string[] = [];
    if (accepted !== flushed + dead + pending) wrong.push('the status does not add up');
    // What a rival writes, the other does not count.
    if (this.history.rival) return wrong;
    const put = this.journals.flatMap(({ mutations }) => mutations.filter((m) => !m.awaited));
    if (pending !== 0) wrong.push(`${pending} are said to be pending`);
    // Of awaited ones those that a caller was told of, and perhaps others that are written all the same.
    const awaited = this.journals.flatMap(({ mutations }) => mutations.filter((m) => m.awaited));
    const told = awaited.filter((mutation) => mutation.told?.as === 'written').length;
    const counted = accepted - put.length;
    if (counted < told || counted > awaited.length) {
      wrong.push(
        `${accepted} are said to be accepted: ${put.length}, and at least ${told} awaited`,
      );
    }
    // Dead letters are lost with their database; and of a batch whose answer was lost nobody knows what it rejected.
    const isExcused = this.database.lost.size > 0 || (duplicates > 0 && dead < deadMutations);
    if (!isExcused && dead !== deadMutations) {
      wrong.push(`${dead} are said to be dead, instead of ${deadMutations}`);
    }
    return wrong;
  }
}

/** Any number will do that is no sum of the operands. */
const BASE = -1n;

interface TriedEntry {
  readonly key: string;
  readonly mutations: readonly AcceptedMutation[];
  /** How many the journal says it is made of. */
  readonly expected: number;
  readonly acknowledged: boolean;
}

/** The entries of all segments, by `shard:seq`, in the order of the journal, each with the mutations it is made of. */
function entriesOf(journal: WitnessedJournal): Map<string, TriedEntry> {
  const entries = new Map<string, TriedEntry>();
  const segments = [...journal.segments.values()].sort((a, b) => a.lastSeq - b.lastSeq);
  const mutations = [...journal.mutations].sort((a, b) => a.seq - b.seq);
  let after = 0;
  for (const { entries: of, lastSeq, awaited } of segments) {
    const within = mutations.filter(({ seq, awaited: alone }) =>
      awaited === undefined ? !alone && seq > after && seq <= lastSeq : seq === lastSeq,
    );
    for (const { id, seq, mutations: expected } of of) {
      entries.set(`${journal.shard}:${seq}`, {
        key: id,
        mutations: within.filter((mutation) => mutation.id === id),
        expected,
        acknowledged: journal.acknowledged.has(lastSeq),
      });
    }
    if (awaited === undefined) after = lastSeq;
  }
  return entries;
}

function effectOf(mutations: readonly AcceptedMutation[], value: bigint | undefined) {
  return mutations.reduce((value, { change }) => applied(value, change), value);
}

function applied(value: bigint | undefined, change: Pending): bigint | undefined {
  switch (change.op) {
    case 'add':
      return (value ?? 0n) + change.by;
    case 'total':
      return change.total;
    case 'remove':
      return undefined;
    case 'set':
      throw new Error('no number');
  }
}
