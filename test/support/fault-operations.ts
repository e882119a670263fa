import { fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';

/** One addition to one counter. */
export interface Operation {
  readonly key: number;
  readonly by: number;
}

const COUNTERS = 8;
const ROUNDS = 7;
const BLOCK = COUNTERS * ROUNDS * 2;
const FIRST_KEY_OF_RUN = 1_000_000;

/**
 * The n-th operation of a run, from 1. Two in a row are of one key, so that they may be merged; of one key each is four
 * times as much as the one before. A counter in base 4 therefore says of each of its operations how often it counts.
 */
export function operation(run: number, n: number): Operation {
  const [block, within] = [Math.floor((n - 1) / BLOCK), (n - 1) % BLOCK];
  const key = run * FIRST_KEY_OF_RUN + block * COUNTERS + (Math.floor(within / 2) % COUNTERS);
  return { key, by: 4 ** digitOf(within) };
}

const digitOf = (within: number) => 2 * Math.floor(within / (2 * COUNTERS)) + (within % 2);

export type Counters = ReadonlyMap<number, bigint>;

/** How often each of the first operations of a run counts, in their order. */
export function timesApplied(counters: Counters, run: number, operations: number): number[] {
  const left = new Map([...counters].filter(([key]) => runOf(key) === run));
  const times = Array.from({ length: operations }, (_, index) => {
    const { key, by } = operation(run, index + 1);
    const count = ((counters.get(key) ?? 0n) / BigInt(by)) % 4n;
    left.set(key, (left.get(key) ?? 0n) - count * BigInt(by));
    return Number(count);
  });
  const foreign = [...left].filter(([, rest]) => rest !== 0n);
  if (foreign.length > 0)
    throw new Error(`nobody asked for ${foreign.join(' and ')} in run ${run}`);
  return times;
}

/** The counters of all other runs. */
export const ofOthers = (counters: Counters, run: number): Counters =>
  new Map([...counters].filter(([key]) => runOf(key) !== run));

const runOf = (key: number) => Math.floor(key / FIRST_KEY_OF_RUN);

/** What a process writes down of what it did and was told. Every line is on the disk before anything else happens. */
export class Witness {
  private readonly file: number;

  constructor(path: string) {
    this.file = openSync(path, 'a');
  }

  note(...words: (string | number)[]): void {
    writeSync(this.file, `${words.join(' ')}\n`);
    fsyncSync(this.file);
  }
}

/** What a witness has written down: the numbers after a word, and how often and at most that was. */
export function testimony(path: string) {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  const of = (word: string) =>
    lines.flatMap((line) => {
      const [first, number] = line.split(' ');
      return first === word ? [Number(number)] : [];
    });
  return {
    of,
    count: (word: string) => of(word).length,
    most: (word: string) => Math.max(0, ...of(word)),
  };
}
