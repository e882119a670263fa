import { join } from 'node:path';
import { compileApps, PATIENCE_MS, type Processes } from '../support/fault-child.js';
import { committed, createTables, type Place } from '../support/fault-database.js';
import { ofOthers, testimony, timesApplied, type Counters } from '../support/fault-operations.js';
import { hasPostgres, startPostgres } from '../support/postgres.js';
import type { Settings, Step } from './apps/killed.js';

let processes: Processes;
beforeAll(async () => {
  processes = await compileApps();
}, PATIENCE_MS);
afterEach(() => processes.stop());
afterAll(() => processes?.remove());

/** Never reached by who is to be killed. */
const MANY = 5_000;
/** Of a run that ends by itself; the last ones are written when the application closes. */
const LAST_RUN = 90;

let runs = 0;

/** Runs the application to its end, whichever that is. */
async function run(place: Place, kill?: { step: Step; time: number }) {
  const number = ++runs;
  const name = `run ${number} of ${process.pid}`;
  const witness = join(processes.directory, `witness-${number}`);
  const operations = kill === undefined ? LAST_RUN : MANY;
  const settings: Settings = { place, name, witness, run: number, operations, kill };
  const child = processes.start('killed', settings);
  const end = await child.ended();
  const counters = await committed(place, name);
  return { number, end, said: child.output(), counters, ...testimony(witness) };
}

/** How many operations of a run count: each of the first ones once, and none of the others. */
function prefix(counters: Counters, run: number, tried: number): number {
  const times = timesApplied(counters, run, tried);
  const count = times.includes(0) ? times.indexOf(0) : tried;
  expect(times).toEqual(times.map((_, index) => (index < count ? 1 : 0)));
  return count;
}

const steps: [Step, string][] = [
  ['accepted', 'when a mutation is accepted and in no batch yet'],
  ['sealed', 'when a batch is made and its transaction has not begun'],
  ['begun', 'in the transaction, before the row of the ledger'],
  ['recorded', 'after the row of the ledger, before the writes'],
  ['half written', 'between the writes'],
  ['written', 'after the writes, before COMMIT'],
  ['commit under way', 'while COMMIT is under way'],
  ['commit answered', 'when COMMIT has succeeded and its answer is not looked at yet'],
  ['committed', 'after COMMIT, before the batch is acknowledged'],
  ['acknowledged', 'after the batch is acknowledged'],
];

/** On the first occasion, and in the middle of what goes on. */
const occasions = (step: Step) => (step === 'accepted' ? [3, 57] : [1, 5]);

const dialects = ['sqlite', ...(hasPostgres() ? ['postgres' as const] : [])] as const;

describe.each(dialects)('a process that is killed, with its counters in %s,', (dialect) => {
  let place: Place;
  let stop: (() => Promise<void>) | undefined;
  beforeAll(async () => {
    if (dialect === 'postgres') {
      const postgres = (await startPostgres())!;
      stop = () => postgres.stop();
      place = { dialect, url: postgres.url };
    } else {
      place = { dialect, url: join(processes.directory, 'shop.sqlite') };
    }
    await createTables(place);
  }, 2 * PATIENCE_MS);
  afterAll(() => stop?.());

  let before: Counters = new Map();

  /** Nobody who comes later changes what is there: not by writing it again, and not by undoing it. */
  const expectTheOthersAsBefore = (counters: Counters, run: number) => {
    expect(ofOthers(counters, run)).toEqual(before);
    before = counters;
  };

  it.each(steps)(
    '%s: has written each of the first mutations once, none of the others, and all that was reported; so has the one after it',
    async (step) => {
      for (const time of occasions(step)) {
        const { number, end, said, counters, of, count, most } = await run(place, { step, time });
        expect({ end, said, killed: count('killed') }).toMatchObject({ end: 'SIGKILL', killed: 1 });
        const tried = count('try');
        const m = prefix(counters, number, tried);
        expect(m).toBeGreaterThanOrEqual(most('flushed'));
        // A transaction whose answer is not known may have been committed, and no other.
        expect(m).toBeGreaterThanOrEqual(most('committed'));
        expect([...of('committing'), 0]).toContain(m);
        // What is lost was accepted, but for one at most that was just being asked for.
        expect(tried - count('ok')).toBeLessThanOrEqual(1);
        expectTheOthersAsBefore(counters, number);
      }
    },
    2 * PATIENCE_MS,
  );

  it(
    'is followed by one that writes everything to its end',
    async () => {
      const { number, end, said, counters, most } = await run(place);
      expect({ end, said, flushed: most('flushed') }).toEqual({ end: 0, said, flushed: LAST_RUN });
      expect(prefix(counters, number, LAST_RUN)).toBe(LAST_RUN);
      expectTheOthersAsBefore(counters, number);
    },
    PATIENCE_MS,
  );
});
