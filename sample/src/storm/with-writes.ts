import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { Database } from '../database/database.js';
import { Instances } from './instances.js';
import type { Seen, WritingOptions } from './messages.js';
import { OFFERS } from './offers.js';
import { Staleness, type Stale } from './staleness.js';
import { READERS } from './storm.js';

/** All instances together. */
export const WRITES = 60;
const LOOK_MS = 1_000;

export interface Written {
  readonly answers: number;
  /** Of these, by a copy in the process that was asked. */
  readonly byCopy: number;
  readonly commands: number;
  readonly writes: number;
  readonly failed: number;
  readonly stale: Stale;
  readonly boundMs: number;
}

/** Readers and writers of the same rows in several processes. `look` is told once a second what came of it so far. */
export async function withWrites(
  count: number,
  redis: string,
  copies: boolean,
  look: (so: Written) => void,
): Promise<Written> {
  const database = new Database();
  const options: WritingOptions = { namespace: `storm-${randomUUID()}`, redis, copies };
  const instances = await Instances.start(count, options, database, './writing-instance.js');
  try {
    await database.query('DELETE FROM products');
    for (let id = 1; id <= OFFERS; id++) {
      const sql = `INSERT INTO products VALUES (?, 'tea', 'Assam', 1, 1, 0)`;
      await database.query(sql, [id]);
    }
    instances.tellAll((index) => ({
      kind: 'storm',
      readers: share(READERS, count, index),
      writes: share(WRITES, count, index),
    }));
    let so = { answers: 0, byCopy: 0, commands: 0, writes: 0, failed: 0 };
    let staleness: Staleness | undefined;
    const learn = async (last: boolean) => {
      const seen = await instances.seen(last);
      const { boundMs } = seen[0]!;
      staleness ??= new Staleness(boundMs * 1_000);
      staleness.learn(seen);
      so = seen.reduce(
        (sum, one) => ({
          answers: sum.answers + one.reads.length,
          byCopy: sum.byCopy + one.byCopy,
          commands: sum.commands + one.commands,
          writes: sum.writes + one.writes.length,
          failed: sum.failed + one.failed,
        }),
        so,
      );
      return { seen, so: { ...so, stale: { ...staleness.stale }, boundMs } };
    };
    for (let left = 1; left > 0;) {
      await setTimeout(LOOK_MS);
      const learnt = await learn(false);
      left = writesLeft(learnt.seen);
      look(learnt.so);
    }
    // Who has not heard of the last of them within the bound reads something stale now.
    await setTimeout(LOOK_MS + (await learn(false)).so.boundMs);
    await learn(true);
    // Nothing was read since; the reads before are judged by all that was written.
    return (await learn(true)).so;
  } finally {
    await instances.end();
    database.onApplicationShutdown();
  }
}

const share = (all: number, count: number, index: number) => Math.floor((all + index) / count);
const writesLeft = (seen: readonly Seen[]) =>
  seen.reduce((sum, { writesLeft: left }) => sum + left, 0);
