import { CacheFlushFailedError } from '../../errors/write-behind.error.js';
import type { Refusal } from './flush-batch.js';
import type { Entry } from './journal.js';

/** It threw; or it went, but for what it rejected. */
type Tried = { readonly error: unknown } | { readonly rejected: readonly Refusal[] };

/**
 * Tries to write entries, and says how that went. Throws what says nothing of the entries: that it took too long, or was
 * to end.
 */
export type Trial = (entries: readonly Entry[]) => Promise<Tried>;

/** The application ends, and with it what takes several transactions. */
export class Ending extends CacheFlushFailedError {
  constructor(entity: string) {
    super(entity, 'the application is ending');
  }
}

/** So many that cannot be written, while none could be: then it is asked whether anything can. */
const MANY = 16;

/**
 * The entries without which the rest can be written, found by trials that are undone. Grown from the good ones, so that
 * of two entries which only fail together one is found.
 *
 * What cannot be written while nothing else can is no fault of its own: a table that is missing, a bug. `witnesses` are
 * asked then, entries that wait behind.
 *
 * @throws what the trials fail with, if that is not the entries' fault
 */
export async function findPoison(
  entries: readonly Entry[],
  witnesses: readonly Entry[],
  trial: Trial,
): Promise<Refusal[]> {
  let good: readonly Entry[] = [];
  const refusals: Refusal[] = [];
  const proof = new Proof(witnesses, trial);
  let last: unknown;
  const outage = await trial([]);
  if ('error' in outage) throw outage.error;
  const succeeds = async (some: readonly Entry[]) => {
    const tried = await trial([...good, ...some]);
    if ('error' in tried) return tried;
    good = [...good, ...some];
    proof.see(good, tried.rejected);
    return undefined;
  };
  const divide = async (some: readonly Entry[]): Promise<void> => {
    if ((await succeeds(some)) === undefined) return;
    if (some.length > 1) {
      const half = Math.ceil(some.length / 2);
      await divide(some.slice(0, half));
      return divide(some.slice(half));
    }
    // A database that is out of reach is no fault of the entry, nor is a connection that broke just then.
    const without = await trial(good);
    if ('error' in without) throw without.error;
    const failure = await succeeds(some);
    if (failure === undefined) return;
    last = failure.error;
    refusals.push({ entry: some[0]!, reason: reasonOf(last) });
    if (refusals.length === MANY) await proof.demand(last);
  };
  if (entries.length > 0) await divide(entries);
  if (refusals.length > 0) await proof.demand(last);
  return refusals;
}

/**
 * The same where nothing can be undone: what works is written, perhaps for the second time. So is a witness; of a sum
 * nothing is added.
 */
export async function writeSingly(
  entries: readonly Entry[],
  witnesses: readonly Entry[],
  write: (entry: Entry) => Promise<readonly Refusal[]>,
): Promise<Refusal[]> {
  const refusals: Refusal[] = [];
  const trial: Trial = async ([entry]) => {
    try {
      return { rejected: await write(entry!) };
    } catch (error) {
      if (error instanceof Ending) throw error;
      return { error };
    }
  };
  const harmless = witnesses.map((witness): Entry => {
    const { change } = witness;
    return change.op === 'add' ? { ...witness, change: { ...change, by: 0n } } : witness;
  });
  const proof = new Proof(harmless, trial);
  let failure: { error: unknown } | undefined;
  for (const entry of entries) {
    const tried = await trial([entry]);
    if ('error' in tried) {
      failure = tried;
      refusals.push({ entry, reason: reasonOf(tried.error) });
    } else {
      proof.see([entry], tried.rejected);
      refusals.push(...tried.rejected);
    }
  }
  if (failure !== undefined) await proof.demand(failure.error);
  return refusals;
}

/** That anything can be written at all: without it, what fails says nothing of the entries. */
class Proof {
  private found = false;

  constructor(
    private readonly witnesses: readonly Entry[],
    private readonly trial: Trial,
  ) {}

  see(tried: readonly Entry[], rejected: readonly Refusal[]): void {
    this.found ||= rejected.length < tried.length;
  }

  /** @throws `error` if there is none */
  async demand(error: unknown): Promise<void> {
    for (const witness of this.witnesses) {
      if (this.found) return;
      const tried = await this.trial([witness]);
      if (!('error' in tried)) this.see([witness], tried.rejected);
    }
    if (!this.found) throw error;
  }
}

function reasonOf(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    return 'something that cannot be put into words was thrown';
  }
}
