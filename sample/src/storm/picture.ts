import { OFFERS } from './offers.js';
import { EXPIRIES, READERS, TICK_MS, type Counts, type Outcome } from './storm.js';
import { WRITES, type Written } from './with-writes.js';

const BLOCKS = ' ▁▂▃▄▅▆▇█';
const HEIGHT = 3;
const COLUMNS_PER_TICK = 2;

/** What happened, as a table, and over time. */
export function picture(cached: Outcome, uncached: Outcome, date: Date): string {
  const most = Math.max(...cached.queriesPerTick, ...uncached.queriesPerTick);
  const ticks = Math.max(cached.queriesPerTick.length, uncached.queriesPerTick.length);
  return `
${date.toISOString().slice(0, 10)}: a key that everybody reads expires ${EXPIRIES} times, under ${number(READERS)} readers who try three times.
The database has ten connections. Who waits for one longer than a second is refused.

${table({ 'with the cache': cached, without: uncached })}

Queries per ${TICK_MS} ms, ${most} at most:

with the cache
${chart(cached.queriesPerTick, most)}
${axis(ticks)}
without
${chart(uncached.queriesPerTick, most)}
${axis(ticks)}
`;
}

/** The same of several processes, which share their entries or do not. */
export function severalPicture(instances: number, shared: Counts, apart: Counts, date: Date) {
  return `
${date.toISOString().slice(0, 10)}: a key that everybody reads expires ${EXPIRIES} times, under ${number(READERS)} readers in ${instances} processes.

${table({ 'one Redis': shared, 'a cache each': apart })}
`;
}

/** What came of readers and writers of the same rows, with copies in each process and without. */
export function writesPicture(instances: number, copies: Written, none: Written, date: Date) {
  const bound = `${copies.boundMs / 1_000} s`;
  const columns = Object.entries({ 'copies and Redis': copies, 'Redis alone': none });
  const row = (name: string, count: (written: Written) => number): Row => [
    name,
    ...columns.map(([, written]) => count(written)),
  ];
  return `
${date.toISOString().slice(0, 10)}: ${number(READERS)} readers of ${OFFERS} rows in ${instances} processes, each of which changes them too, ${WRITES} times in all.

${lines(32, [
  ['', ...columns.map(([heading]) => heading)],
  row('answers', ({ answers }) => answers),
  row('by a copy in the process', ({ byCopy }) => byCopy),
  row('commands to Redis', ({ commands }) => commands),
  row('writes', ({ writes }) => writes),
  row(`stale for longer than ${bound}`, ({ stale }) => stale.beyondBound),
  row('stale for any time', ({ stale }) => stale.atAll),
  row('failed', ({ failed }) => failed),
])}

Copies saved ${number(copies.byCopy)} reads of Redis: ${perThousand(copies)} commands for 1,000 answers instead of ${perThousand(none)}, with all that
processes tell each other. Stale is what is older than a write that was acknowledged before the read began; the
contract allows ${bound} of that for what another process has changed.
`;
}

const perThousand = ({ commands, answers }: Written) =>
  number(Math.round((1_000 * commands) / Math.max(1, answers)));

/** One line while it lasts. */
export function soFar({ answers, writes, stale, boundMs }: Written): string {
  return `${number(answers)} answers, ${writes} writes: ${stale.beyondBound} answers stale for longer than ${boundMs / 1_000} s, ${stale.atAll} for any time`;
}

function table(columns: { readonly [heading: string]: Counts }): string {
  const outcomes = Object.values(columns);
  return lines(22, [
    ['', ...Object.keys(columns)],
    ['queries', ...outcomes.map(({ queries }) => queries)],
    ['refused connections', ...outcomes.map(({ refused }) => refused)],
    ['failed readers', ...outcomes.map(({ failed }) => failed)],
    ['ms until all were done', ...outcomes.map(({ wallMs }) => wallMs)],
  ]);
}

type Row = readonly [name: string, ...cells: (string | number)[]];

function lines(width: number, rows: readonly Row[]): string {
  return rows
    .map(([name, ...cells]) => name.padEnd(width) + cells.map((cell) => right(cell)).join(''))
    .join('\n');
}

/** Columns of up to `HEIGHT` lines; whoever is not zero is seen. Empty lines on top are left out. */
function chart(perTick: readonly number[], most: number): string {
  const levels = perTick.map((count) => Math.ceil((count / most) * HEIGHT * 8));
  const lines = Array.from({ length: HEIGHT }, (_, line) => {
    const below = (HEIGHT - 1 - line) * 8;
    const blocks = levels.map((level) => BLOCKS[Math.min(8, Math.max(0, level - below))]!);
    return blocks
      .map((block) => block.repeat(COLUMNS_PER_TICK))
      .join('')
      .trimEnd();
  });
  return lines.filter((line, index) => line !== '' || index === HEIGHT - 1).join('\n');
}

function axis(ticks: number): string {
  const ticksPerSecond = 1_000 / TICK_MS;
  const seconds = Array.from({ length: Math.ceil(ticks / ticksPerSecond) }, (_, second) =>
    `└ ${second} s`.padEnd(ticksPerSecond * COLUMNS_PER_TICK),
  );
  return seconds.join('').trimEnd();
}

const number = (value: number) => value.toLocaleString('en');
const right = (cell: string | number) =>
  (typeof cell === 'number' ? number(cell) : cell).padStart(18);
