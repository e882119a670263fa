import type { Comparable } from '../../../lib/entry/version.js';
import type { FillOutcome, Lease, StoredEntry } from '../../../lib/store/cache-store.js';

interface Attempt {
  /** When it was known to be granted. */
  readonly since: number;
  /** When somebody else surely had the right. */
  voidedBy: number;
  /** When what it has loaded was surely removed: all of it, or what is older than that. */
  readonly removals: { readonly by: number; readonly atLeast: Comparable | undefined }[];
}

interface Value {
  readonly attempt: Attempt;
  readonly entry: StoredEntry;
  /** When it was sent first. */
  readonly sent: number;
}

interface Bound {
  readonly version: Comparable;
  readonly since: number;
  /** In seconds of the test. */
  readonly until: number;
}

const isBelow = (version: Comparable | undefined, atLeast: Comparable | undefined) =>
  atLeast === undefined || version === undefined || version < atLeast;

/**
 * What was seen of one entry from outside; knows what must never be seen, whatever was lost, late or sent twice.
 *
 * It counts turns: a command begins in one and is answered in another. In which one between it took effect is unknown.
 */
export class Witness {
  private turn = 0;
  private readonly attempts = new Map<string, Attempt>();
  /** By `loadMs`, which the histories make the name of a value: what is not there has one too. */
  private readonly values = new Map<number, Value>();
  private readonly floors: Bound[] = [];
  private newest: Bound | undefined;
  /** An answer was lost: what was stored may be removed at any later time. */
  private unsure = false;

  constructor(private readonly now: () => number) {}

  begin(): number {
    return ++this.turn;
  }

  /** By a lease or a claim. Each is granted once, and nobody who had the right before has it any more. */
  granted({ token }: Lease, begun: number): void {
    expect(this.attempts.has(token)).toBe(false);
    const since = this.supersede(begun);
    this.attempts.set(token, { since, voidedBy: Infinity, removals: [] });
  }

  fillBegins({ token }: Lease, entry: StoredEntry): number {
    const sent = this.begin();
    this.values.set(entry.loadMs, { attempt: this.attempts.get(token)!, entry, sent });
    if (entry.version === undefined) this.newest = undefined;
    return sent;
  }

  /** `outcome` is nothing where the answer was lost. */
  fillEnded({ loadMs, version }: StoredEntry, until: number, outcome?: FillOutcome): void {
    const turn = ++this.turn;
    const { attempt, sent } = this.values.get(loadMs)!;
    if (outcome === undefined) this.unsure ||= version === undefined;
    else if (attempt.voidedBy < sent) expect(outcome).toBe('voided');
    if (outcome !== 'stored' || version === undefined) return;
    for (const bound of [...this.floors, ...(this.newest === undefined ? [] : [this.newest])]) {
      const counts = bound.since < sent && this.now() < bound.until;
      if (counts) expect(isBelow(version, bound.version)).toBe(false);
    }
    if (!this.unsure) this.newest = { version, since: turn, until };
  }

  invalidationBegins(): number {
    this.newest = undefined;
    return this.begin();
  }

  /** `begun` is nothing where the answer was lost. */
  invalidationEnded(
    begun: number | undefined,
    atLeast: Comparable | undefined,
    until: number,
  ): void {
    this.newest = undefined;
    if (begun === undefined) return void (this.unsure = true);
    const by = this.supersede(begun);
    for (const { since, removals } of this.attempts.values()) {
      if (since < begun) removals.push({ by, atLeast });
    }
    if (atLeast !== undefined) this.floors.push({ version: atLeast, since: by, until });
  }

  /** Whoever asked for it in the turn `begun` was given it. */
  seen(got: StoredEntry | undefined, begun: number): void {
    if (got === undefined) return;
    const { attempt, entry, sent } = this.values.get(got.loadMs)!;
    expect(got).toEqual(entry);
    expect(attempt.voidedBy < sent).toBe(false);
    for (const { by, atLeast } of attempt.removals) {
      if (by < begun) expect(isBelow(entry.version, atLeast)).toBe(false);
    }
  }

  private supersede(begun: number): number {
    const by = ++this.turn;
    for (const attempt of this.attempts.values()) {
      if (attempt.since < begun) attempt.voidedBy = Math.min(attempt.voidedBy, by);
    }
    return by;
  }
}
