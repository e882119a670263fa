import fc from 'fast-check';
import type { CacheStore, Lease, StoredEntry } from '../../../lib/store/cache-store.js';
import { holds } from '../../support/property.js';
import { Rules } from './rules.js';
import { ENTRIES, step, type Step, type StepThat } from './steps.js';
import { bytes, Subject, watched, type StoreHarness } from './subject.js';
import { Witness } from './witness.js';

/** Whatever several processes do one after another, each answer is the one that follows from those before. */
export function describeHistories(harness: StoreHarness): void {
  it('answers in every history as its rules say, and wakes whoever waits for what has ended', async () => {
    await holds(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        const history = new History(await Subject.of(harness), 'by the rules');
        for (const next of steps) {
          await history.take(next);
          await history.check();
        }
        await history.end();
      }),
      harness.runs ?? 300,
    );
  });
}

/**
 * What holds also for a store whose commands may reject, and take effect later then, more than once, or never. All of
 * the harness's commands have to settle by themselves.
 */
export function describeStoreUnderFaults(implementation: string, harness: StoreHarness): void {
  describe(implementation, () => {
    it('never shows what was removed, and never lets two store, whatever is lost, late or sent twice', async () => {
      const together = fc.array(step, { minLength: 1, maxLength: 4 });
      await holds(
        fc.asyncProperty(fc.array(together, { maxLength: 30, size: 'max' }), async (groups) => {
          const history = new History(await Subject.of(harness), 'from outside');
          for (const steps of groups) {
            // Time moves between them, so that it is known what was sent before it did.
            const [moves, others] = [steps.filter(isMove), steps.filter((next) => !isMove(next))];
            await Promise.all(others.map((next) => history.take(next)));
            for (const move of moves) await history.take(move);
          }
          await history.end();
        }),
        harness.runs ?? 300,
      );
    });
  });
}

const isMove = (step: Step) => step.do === 'advance';

/** What was done to a store, and what is known of each entry by it. */
class History {
  private now = 0;
  private loads = 0;
  private readonly leases: Lease[][] = ENTRIES.map(() => []);
  private readonly rules = ENTRIES.map(() => new Rules());
  private readonly witnesses = ENTRIES.map(() => new Witness(() => this.now));

  constructor(
    private readonly subject: Subject,
    private readonly known: 'by the rules' | 'from outside',
  ) {}

  async take(step: Step): Promise<void> {
    if (step.do === 'advance') {
      this.now += step.seconds;
      for (const rules of this.rules) rules.advance(step.seconds);
      return this.subject.advance(step.seconds);
    }
    const from = this.subject[step.from];
    switch (step.do) {
      case 'read':
        return this.read(from, step.on);
      case 'lease':
        return this.lease(from, step);
      case 'claim':
        return this.claim(from, step);
      case 'invalidate':
        return this.invalidate(from, step);
      case 'fill':
      case 'fail': {
        const lease = this.leases[step.on]!.at(-1 - step.which);
        if (lease === undefined) return;
        return step.do === 'fill' ? this.fill(from, step, lease) : this.fail(from, step, lease);
      }
    }
  }

  async check(): Promise<void> {
    await this.subject.settle();
    for (const rules of this.rules) rules.checkWaiters();
  }

  /** What is there is seen by everybody. */
  async end(): Promise<void> {
    for (const on of ENTRIES.keys()) {
      for (const from of [this.subject.store, this.subject.other]) await this.read(from, on);
      this.rules[on]!.end();
    }
  }

  private get exact(): boolean {
    return this.known === 'by the rules';
  }

  private async read(from: CacheStore, on: number): Promise<void> {
    const begun = this.witnesses[on]!.begin();
    const answer = await this.answered(from.read(ENTRIES[on]!));
    if (answer === undefined) return;
    this.witnesses[on]!.seen(answer.value, begun);
    if (this.exact) this.rules[on]!.read(answer.value);
  }

  private async lease(from: CacheStore, step: StepThat<'lease'>): Promise<void> {
    const { on } = step;
    const [rules, witness] = [this.rules[on]!, this.witnesses[on]!];
    const loadedAt = this.leases[on]!.at(-1)?.grantedAt ?? 0;
    const newerThan = { any: 0, last: loadedAt, before: loadedAt - 1 }[step.newerThan];
    const begun = witness.begin();
    const asked = this.subject.lease(from, { ...step, newerThan }, ENTRIES[on]);
    const answer = (await this.answered(asked))?.value;
    if (answer === undefined) return;
    if (answer.outcome === 'granted') this.granted(on, answer.lease, begun);
    if (answer.outcome !== 'refused') {
      const good = answer.outcome === 'fresh' ? answer.stored : answer.stale;
      witness.seen(good, begun);
      if (good !== undefined) expect(good.loadedAt).toBeGreaterThan(newerThan);
    }
    if (this.exact) rules.lease(step, newerThan, answer, this.subject.second);
    if (answer.outcome !== 'held') return;
    // Who has something to serve need not be told.
    if (this.exact && answer.stale === undefined) {
      rules.wait({ seen: watched(answer.woken), leave: answer.leave });
    } else answer.leave();
  }

  private async claim(from: CacheStore, { on, lease: seconds }: StepThat<'claim'>): Promise<void> {
    const begun = this.witnesses[on]!.begin();
    const claimed = this.subject.claim(from, seconds, ENTRIES[on]);
    const lease = (await this.answered(claimed))?.value;
    if (lease === undefined) return;
    this.granted(on, lease, begun);
    this.rules[on]!.claim(lease, seconds);
  }

  private granted(on: number, lease: Lease, begun: number): void {
    this.witnesses[on]!.granted(lease, begun);
    this.leases[on]!.push(lease);
  }

  private async fill(from: CacheStore, step: StepThat<'fill'>, lease: Lease): Promise<void> {
    const { on, absent, freshFor, keep } = step;
    const [rules, witness] = [this.rules[on]!, this.witnesses[on]!];
    const loaded = ++this.loads;
    const content = absent
      ? { payload: undefined, freshFor }
      : { payload: bytes(`value ${loaded}`), version: step.version, freshFor };
    const entry: StoredEntry = this.subject.content(lease, content, loaded);
    const until = this.now + keep;
    witness.fillBegins(lease, entry);
    const outcome = (await this.answered(this.subject.fill(lease, entry, keep, from)))?.value;
    witness.fillEnded(entry, until, outcome);
    if (this.exact) rules.fill(lease, entry, step, outcome!);
  }

  private async fail(from: CacheStore, step: StepThat<'fail'>, lease: Lease): Promise<void> {
    await this.answered(this.subject.fail(lease, step.coolDown, from));
    this.rules[step.on]!.fail(lease, step.coolDown);
  }

  private async invalidate(from: CacheStore, step: StepThat<'invalidate'>): Promise<void> {
    const { on, atLeast, keep } = step;
    const until = this.now + keep;
    const below = atLeast === undefined ? undefined : { atLeast, keep };
    const begun = this.witnesses[on]!.invalidationBegins();
    const answer = await this.answered(this.subject.invalidate(below, from, ENTRIES[on]));
    this.witnesses[on]!.invalidationEnded(answer && begun, atLeast, until);
    this.rules[on]!.invalidate(atLeast, keep);
  }

  /** Nothing if no answer came, which only a store under faults may do. */
  private answered<T>(command: Promise<T>): Promise<{ readonly value: T } | undefined> {
    return command.then(
      (value) => ({ value }),
      (reason: unknown) => {
        if (this.exact) throw reason;
        return undefined;
      },
    );
  }
}
