import type { Entry, Journal, Operation, Put, Segment } from '../../lib/write/behind/journal.js';
import type { Pending } from '../../lib/write/behind/pending.js';

export type Call = 'put' | 'putAwaited' | 'seal' | 'head' | 'acknowledge' | 'cancel' | 'beginAnew';
/** `before`: it fails without effect; `after`: it takes effect, and its answer is lost. */
export type Failure = 'before' | 'after';

/** One mutation that a journal has accepted. */
export interface AcceptedMutation {
  readonly shard: number;
  readonly seq: number;
  readonly id: string;
  readonly change: Pending;
  readonly awaited: boolean;
  /** What the caller of an awaited one was told. */
  told?: { as: 'nothing yet' | 'written' | 'failed' };
}

/** A journal whose calls fail when a test says so; it remembers what was asked of it, and what really happened. */
export class WitnessedJournal implements Journal {
  /** For the calls to come, one each. */
  readonly failures = new Map<Call, Failure[]>();
  readonly mutations: AcceptedMutation[] = [];
  readonly sent: { operation: Operation; accepted: () => void }[] = [];
  /** As they were when they were first tried, by the end of each. */
  readonly segments = new Map<number, Segment>();
  readonly acknowledged = new Set<number>();
  private readonly known = new Set<string>();

  constructor(private readonly inner: Journal) {}

  get shard() {
    return this.inner.shard;
  }
  get incarnation() {
    return this.inner.incarnation;
  }
  get size() {
    return this.inner.size;
  }
  get sealed() {
    return this.inner.sealed;
  }

  failNext(call: Call, failure: Failure): void {
    const failures = this.failures.get(call);
    if (failures === undefined) this.failures.set(call, [failure]);
    else failures.push(failure);
  }

  put(operation: Operation, accepted: () => void): Promise<Put> {
    this.sent.push({ operation, accepted });
    return this.failing('put', () => this.deliver(operation, accepted));
  }

  /** Sends an operation another time, as who did not get an answer does. */
  async resend(index: number): Promise<Put | undefined> {
    const found = this.sent[index % (this.sent.length || 1)];
    return found && this.deliver(found.operation, found.accepted);
  }

  private async deliver(operation: Operation, accepted: () => void): Promise<Put> {
    const { id, change, producer, number } = operation;
    const name = `${producer}/${number}`;
    const lives = operation.incarnation === this.incarnation;
    const put = await this.inner.put(operation, accepted);
    const expected = !lives ? ['ambiguous'] : this.known.has(name) ? ['duplicate'] : FIRST;
    if (!expected.includes(put.outcome)) {
      throw new Error(`Sent again, ${name} is ${put.outcome} instead of ${expected.join(' or ')}`);
    }
    if (put.outcome === 'accepted') {
      this.known.add(name);
      this.mutations.push({ shard: this.shard, seq: put.seq, id, change, awaited: false });
    }
    return put;
  }

  putAwaited(operation: Operation): Promise<Segment> {
    return this.failing('putAwaited', async () => {
      const { id, change } = operation;
      const segment = await this.inner.putAwaited(operation);
      const { shard, lastSeq: seq } = segment;
      this.mutations.push({ shard, seq, id, change, awaited: true });
      return segment;
    });
  }

  behind(segment: Segment, most: number, turn: number): Promise<readonly Entry[]> {
    return this.inner.behind(segment, most, turn);
  }

  seal(): Promise<number> {
    return this.failing('seal', () => this.inner.seal());
  }

  head(): Promise<Segment | undefined> {
    return this.failing('head', async () => {
      const head = await this.inner.head();
      if (head !== undefined && !this.segments.has(head.lastSeq)) {
        this.segments.set(head.lastSeq, head);
      }
      return head;
    });
  }

  acknowledge(segment: Segment): Promise<void> {
    return this.failing('acknowledge', async () => {
      const head = await this.inner.head();
      await this.inner.acknowledge(segment);
      if (head !== undefined && (await this.inner.head()) !== head) {
        this.acknowledged.add(head.lastSeq);
      }
    });
  }

  cancel(segment: Segment): Promise<void> {
    return this.failing('cancel', () => this.inner.cancel(segment));
  }

  beginAnew(incarnation: string): Promise<void> {
    return this.failing('beginAnew', () => this.inner.beginAnew(incarnation));
  }

  pendingOf(id: string): Pending | undefined {
    return this.inner.pendingOf(id);
  }

  private async failing<T>(call: Call, run: () => Promise<T>): Promise<T> {
    const failure = this.failures.get(call)?.shift();
    if (failure === 'before') throw new Error(`${call} failed`);
    const answer = await run();
    if (failure === 'after') throw new Error(`the answer of ${call} is lost`);
    return answer;
  }
}

const FIRST = ['accepted', 'full'];
