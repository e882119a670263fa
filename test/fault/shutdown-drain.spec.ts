import { request } from 'node:http';
import { join } from 'node:path';
import { compileApps, PATIENCE_MS, until, type Processes } from '../support/fault-child.js';
import { committed, createTables, type Place } from '../support/fault-database.js';
import { testimony, timesApplied } from '../support/fault-operations.js';
import type { Settings } from './apps/drained.js';

let processes: Processes;
beforeAll(async () => {
  processes = await compileApps();
}, PATIENCE_MS);
afterEach(() => processes.stop());
afterAll(() => processes?.remove());

let applications = 0;
const [RUN, OWN_RUN] = [1, 2];

async function start(settings: Partial<Settings>) {
  const number = ++applications;
  const place: Place = {
    dialect: 'sqlite',
    url: join(processes.directory, `shop-${number}.sqlite`),
  };
  const witness = join(processes.directory, `witness-${number}`);
  await createTables(place);
  const whole: Settings = {
    place,
    witness,
    run: RUN,
    ownRun: OWN_RUN,
    listens: 'nest',
    ...settings,
  };
  const child = processes.start('drained', whole);
  const url = async () => (await child.said(/listening at (\S+)/))[1]!;
  return {
    child,
    url,
    post: async (path: string) => post(`${await url()}/${path}`),
    /** What it has written, and what it had written down of itself. */
    counted: async () => ({ counters: await committed(place, 'shop'), ...testimony(witness) }),
  };
}

/** The status of the answer, or that there was none; each on a connection of its own, so that a closed server shows. */
function post(url: string): Promise<number | 'refused'> {
  return new Promise((resolve) => {
    const sent = request(url, { method: 'POST', agent: false }, (response) => {
      response
        .resume()
        .on('close', () => resolve(response.complete ? response.statusCode! : 'refused'));
    });
    sent.on('error', () => resolve('refused')).end();
  });
}

/** Clients that go on until nobody answers them any more. */
function load(url: string) {
  const answers = new Map<number, number | 'refused'>();
  let sent = 0;
  const client = async () => {
    for (let answer; answer !== 'refused';) {
      const n = ++sent;
      answer = await post(`${url}/count/${n}`);
      answers.set(n, answer);
    }
  };
  const over = Promise.all([client(), client(), client(), client()]);
  return {
    over,
    sent: () => sent,
    /** Another request of the same kind. */
    slow: async () => {
      const n = ++sent;
      answers.set(n, await post(`${url}/slow/${n}`));
    },
    accepted: () => [...answers].flatMap(([n, answer]) => (answer === 202 ? n : [])),
  };
}

/** Stops an application under load, and says what became of what it had accepted. */
async function stopUnderLoad(settings: Partial<Settings>) {
  const { child, url, counted } = await start({ requestsWhenEnding: 20, ...settings });
  const clients = load(await url());
  await until('there is load', () => clients.accepted().length >= 100);
  const slow = clients.slow();
  await child.said(/slow request/);
  const acceptedBefore = clients.accepted().length;
  child.kill('SIGTERM');
  const end = await child.ended();
  await Promise.all([clients.over, slow]);
  const { counters, of, count } = await counted();
  const times = timesApplied(counters, RUN, clients.sent());
  const accepted = clients.accepted();
  return {
    end,
    output: child.output(),
    acceptedWhenEnding: accepted.length - acceptedBefore,
    /** What the clients know of. */
    missing: accepted.filter((n) => times[n - 1] !== 1),
    twice: times.flatMap((time, index) => (time > 1 ? index + 1 : [])),
    /** All that the application accepted, whether or not its answer arrived. */
    lost:
      count('ok') +
      count('own') -
      [...times, ...timesApplied(counters, OWN_RUN, 2)].reduce((sum, time) => sum + time, 0),
    own: { accepted: of('own'), times: timesApplied(counters, OWN_RUN, 2) },
  };
}

const LOST = /\[CACHE_MUTATIONS_LOST\] (\d+) accepted mutations of 'count' were lost/;

describe('an application that is asked to stop under load', () => {
  it(
    'has written everything it said it accepted, also what came while it stopped, and ends by the signal',
    async () => {
      const { output, ...end } = await stopUnderLoad({});
      expect(end).toMatchObject({ end: 'SIGTERM', missing: [], twice: [], lost: 0 });
      expect(end.acceptedWhenEnding).toBeGreaterThan(20);
      expect(end.own).toEqual({ accepted: [1], times: [1, 0] });
      expect(output).not.toMatch(/CACHE_|Nothing listens/);
    },
    2 * PATIENCE_MS,
  );

  it(
    'has written it also if the database fails at first',
    async () => {
      const { output, ...end } = await stopUnderLoad({ database: 'fails at first' });
      expect(end).toMatchObject({ end: 'SIGTERM', missing: [], twice: [], lost: 0 });
      expect(end.own).toEqual({ accepted: [1], times: [1, 0] });
      expect(output).toMatch(/CACHE_FLUSH_FAILED/);
      expect(output).not.toMatch(LOST);
    },
    2 * PATIENCE_MS,
  );

  it(
    'has written what is accepted last of all, where the database stays open',
    async () => {
      const { output, ...end } = await stopUnderLoad({ acceptsLast: true, staysOpen: true });
      expect(end).toMatchObject({ end: 'SIGTERM', missing: [], twice: [], lost: 0 });
      expect(end.own).toEqual({ accepted: [1, 2], times: [1, 1] });
      expect(output).not.toMatch(LOST);
    },
    2 * PATIENCE_MS,
  );

  it(
    'has written what is accepted after its server has closed, though the database closes in the same phase',
    async () => {
      const { output, ...end } = await stopUnderLoad({ acceptsLast: true });
      expect(end).toMatchObject({ end: 'SIGTERM', missing: [], twice: [], lost: 0 });
      expect(end.own).toEqual({ accepted: [1, 2], times: [1, 1] });
      expect(output).not.toMatch(LOST);
    },
    2 * PATIENCE_MS,
  );

  it(
    'ends although the database fails or hangs for good, and says how many mutations it has lost',
    async () => {
      const outages = (['fails', 'hangs'] as const).map((database) => stopUnderLoad({ database }));
      for (const { output, ...end } of await Promise.all(outages)) {
        expect(end).toMatchObject({ end: 'SIGTERM', twice: [] });
        expect(end.lost).toBeGreaterThan(20);
        expect(Number(LOST.exec(output)?.[1])).toBe(end.lost);
      }
    },
    2 * PATIENCE_MS,
  );
});

describe('an application that writes behind', () => {
  /** How many there were before the first batch, at the first one, and at the second one. */
  async function warnings(listens: Settings['listens']) {
    const { child, post, counted } = await start({ listens });
    for (const n of [1, 2]) {
      expect(await post(`count/${n}`)).toBe(202);
      expect(await post('flush')).toBe(201);
    }
    child.kill('SIGKILL');
    await child.ended();
    expect(timesApplied((await counted()).counters, RUN, 2)).toEqual([1, 1]);
    const parts = child.output().split('flush request');
    return parts.map((part) => part.match(/Nothing listens to SIGTERM/g)?.length ?? 0);
  }

  it(
    'warns once, at the first batch, if nobody would hear that it is to stop',
    async () => {
      expect(await warnings('nobody')).toEqual([0, 1, 0]);
    },
    PATIENCE_MS,
  );

  it.each(['nest', 'main'] as const)(
    'warns of nothing if %s would hear it',
    async (listens) => {
      expect(await warnings(listens)).toEqual([0, 0, 0]);
    },
    PATIENCE_MS,
  );
});
