import type { Refusal } from './flush-batch.js';
import type { Entry } from './journal.js';

/**
 * Tries to write entries, and says how that failed, if it did. Throws what says nothing of the entries: that it took too
 * long, or was to end.
 */
export type Trial = (entries: readonly Entry[]) => Promise<{ error: unknown } | undefined>;

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
  let failure: { error: unknown } | undefined;
  const refusals: Refusal[] = [];
  const outage = await trial([]);
  if (outage !== undefined) throw outage.error;
  const divide = async (some: readonly Entry[]): Promise<void> => {
    failure = await trial([...good, ...some]);
    if (failure === undefined) {
      good = [...good, ...some];
    } else if (some.length > 1) {
      const half = Math.ceil(some.length / 2);
      await divide(some.slice(0, half));
      await divide(some.slice(half));
    } else {
      // A database that is out of reach is no fault of the entry, nor is a connection that broke just then.
      const without = await trial(good);
      if (without !== undefined) throw without.error;
      failure = await trial([...good, ...some]);
      if (failure === undefined) good = [...good, ...some];
      else refusals.push({ entry: some[0]!, reason: reasonOf(failure.error) });
    }
  };
  if (entries.length > 0) await divide(entries);
  if (failure !== undefined && good.length === 0 && !(await anyGood(witnesses, trial))) {
    throw failure.error;
  }
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
  let failure: { error: unknown } | undefined;
  let failures = 0;
  const trial: Trial = async ([entry]) => {
    try {
      refusals.push(...(await write(entry!)));
      return undefined;
    } catch (error) {
      return { error };
    }
  };
  for (const entry of entries) {
    const failed = await trial([entry]);
    if (failed === undefined) continue;
    failures++;
    failure = failed;
    refusals.push({ entry, reason: reasonOf(failed.error) });
  }
  const harmless = witnesses.map((witness): Entry => {
    const { change } = witness;
    return change.op === 'add' ? { ...witness, change: { ...change, by: 0n } } : witness;
  });
  if (failure !== undefined && failures === entries.length && !(await anyGood(harmless, trial))) {
    throw failure.error;
  }
  return refusals.filter(({ entry }) => entries.includes(entry));
}

async function anyGood(witnesses: readonly Entry[], trial: Trial): Promise<boolean> {
  for (const witness of witnesses) if ((await trial([witness])) === undefined) return true;
  return false;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
